"""Tokens, styles and the pictures of example prompts over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.ui import painter as paint
from webui.http import Metrics, face
from webui.settings import Settings
from webui.store.shipped_styles import SHIPPED
from webui.types import Example


def own(client: TestClient) -> list[str]:
    """The names of the styles that people kept."""
    styles = client.get("/api/styles").json()["styles"]
    return [style["name"] for style in styles if not style["shipped"]]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    picture = tmp_path / "circle.webp"
    Image.new("RGB", (16, 16), "red").save(picture)
    examples = {"a blue square": Example(picture, 7)}
    cards = (replace(paint.CARDS[0], name="my models/flat", examples=examples), *paint.CARDS[1:])
    catalog = replace(paint.catalog(), list_models=lambda: cards)
    app = face(
        paint.FlatPainter(tmp_path / "outputs"), catalog, Settings.at(tmp_path, port=0), Metrics()
    )
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("words", "tokens", "chunks"), [(0, 0, 1), (3, 3, 1), (75, 75, 1), (76, 76, 2), (200, 200, 3)]
)
def test_tokens_are_counted_in_chunks(
    client: TestClient, words: int, tokens: int, chunks: int
) -> None:
    answer = client.post("/api/tokens", json={"model": "flat", "text": "word " * words})
    assert answer.json() == {"tokens": tokens, "chunks": chunks, "limit": 75}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *(({}, "text"), ({"text": 5}, "text"), ({"text": "half \ud83d"}, "text")),
        *(({"text": "x" * 20_001}, "text"), ({"text": "", "model": 1}, "model")),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused(client: TestClient, body: object, field: str) -> None:
    answer = client.post(
        "/api/tokens", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_styles_are_kept_renamed_and_deleted(client: TestClient, tmp_path: Path) -> None:
    for name in ("Oil / thick", "Ink"):
        assert client.put("/api/styles", json={"name": name, "prompt": "x, {prompt}"}).is_success
    renamed = {"name": "Pen", "prompt": "pen", "negative_prompt": "photo"}
    assert client.put("/api/styles", json={**renamed, "former": "Ink"}).json() == renamed
    assert own(client) == ["Oil / thick", "Pen"]
    assert (tmp_path / "styles.csv").read_text(encoding="utf-8").count("\n") == 3
    assert client.delete("/api/styles", params={"name": "Oil / thick"}).is_success
    assert client.delete("/api/styles", params={"name": "Oil / thick"}).status_code == 404
    back = {"name": "Oil / thick", "prompt": "", "place": 0}
    assert client.put("/api/styles", json=back).is_success
    assert own(client)[0] == "Oil / thick"


def test_our_styles_are_listed_and_a_users_of_the_same_name_wins(
    client: TestClient, tmp_path: Path
) -> None:
    shipped = SHIPPED.read_bytes()
    before = client.get("/api/styles").json()["styles"]
    assert all(style["shipped"] for style in before) and len(before) >= 30
    (ours,) = (style for style in before if style["name"] == "Watercolor")
    assert client.put("/api/styles", json={**ours, "prompt": "pale {prompt}"}).is_success
    (own_one,) = (
        s for s in client.get("/api/styles").json()["styles"] if s["name"] == "Watercolor"
    )
    assert (own_one["prompt"], own_one["shipped"], own_one["group"]) == ("pale {prompt}", False, "")
    assert client.delete("/api/styles", params={"name": "Watercolor"}).is_success
    assert client.get("/api/styles").json()["styles"] == before
    refused = client.delete("/api/styles", params={"name": "Watercolor"})
    assert refused.status_code == 403
    assert refused.json()["error"].startswith("The style Watercolor comes with Easel and stays")
    renamed = {"name": "Washes", "prompt": "washes", "former": "Watercolor"}
    assert client.put("/api/styles", json=renamed).is_success
    after = client.get("/api/styles").json()["styles"]
    assert own(client) == ["Washes"] and after[1:] == before
    assert SHIPPED.read_bytes() == shipped


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": "no name"}, "name"),
        ({"name": "a", "prompt": 5}, "prompt"),
        ({"name": "a", "place": "first"}, "place"),
        ({"name": "a", "colour": "red"}, "colour"),
    ],
)
def test_what_is_no_style_is_refused(client: TestClient, body: object, field: str) -> None:
    answer = client.put("/api/styles", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert own(client) == []


def test_damaged_lines_are_listed(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "styles.csv").write_bytes(b"name,prompt,negative_prompt\nink,caf\xe9,\n")
    (damaged,) = client.get("/api/styles").json()["damaged"]
    assert damaged == {"line": 2, "text": "ink,caf\ufffd,", "reason": "it is not UTF-8"}


@pytest.mark.parametrize(
    "text",
    ["Name,Prompt,Negative_Prompt\nInk,ink,bad\n", "name;prompt\nInk;ink\n", "Ink,ink\n", "\0", "",
     "name,prompt\nInk,ink\nlong," + "x" * 140_000],
)  # fmt: skip
def test_styles_are_listed_and_saved_whatever_the_file_is(
    client: TestClient, tmp_path: Path, text: str
) -> None:
    (tmp_path / "styles.csv").write_text(text)
    known = own(client)
    assert client.put("/api/styles", json={"name": "Pen", "prompt": "pen"}).status_code == 200
    assert own(client) == [*known, "Pen"]
    assert not client.get("/api/styles").json()["damaged"]


def test_the_picture_of_an_example_is_kept_by_browsers(client: TestClient, tmp_path: Path) -> None:
    answer = client.get("/api/examples/1", params={"model": "my models/flat", "v": 1})
    assert answer.content == (tmp_path / "circle.webp").read_bytes()
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("number", "model"), [(0, "my models/flat"), (9, "my models/flat"), (-1, "my models/flat"), (0, "nowhere")]
)  # fmt: skip
def test_where_there_is_no_picture_is_404(client: TestClient, number: int, model: str) -> None:
    assert client.get(f"/api/examples/{number}", params={"model": model}).status_code == 404
