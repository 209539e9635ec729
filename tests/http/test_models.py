"""The routes of models and downloads: paging, rights, previews, notes; ten thousand files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.numpy import save_file
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.catalog.formats.files import checkpoint
from tests.store.hub import fake_hub
from tests.ui.painter import FlatPainter, catalog
from webui import images
from webui.catalog.checkpoints import ModelList
from webui.catalog.library import Library
from webui.http import Metrics, face
from webui.settings import Settings
from webui.store.downloads import Downloads
from webui.store.downloads.hub import Hub
from webui.store.models import ModelIndex
from webui.store.thumbnails import Thumbnails
from webui.types import Visitor

DOWN = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"


class As:
    """Says who asks, as the gate does."""

    def __init__(self, app: ASGIApp, owner: str) -> None:
        self.app, self.owner = app, owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "state": {"visitor": Visitor(self.owner)}}
        await self.app(scope, receive, send)


def lora(path: Path, width: int = 768, value: float = 0.0, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({DOWN: np.full((4, width), value, np.float32)}, path, metadata=metadata)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of an app over `tmp_path`/models, for somebody; `logins` and settings as told."""
    index = ModelIndex(tmp_path / "state")
    models = tmp_path / "models"
    models.mkdir()
    previews = Thumbnails(tmp_path / "previews", images.thumbnail)
    made: list[Downloads] = []
    with fake_hub() as hub:
        hub.files = {"a.safetensors": os.urandom(2000)}

        def one(owner: str = "me", logins: tuple[str, ...] = (), **values: Any) -> TestClient:
            settings = Settings.at(tmp_path, models_dirs=(models,), **values)
            library = Library((models,), ModelList((models,), index), index)
            made.append(
                Downloads(models, tmp_path / "state", offline=settings.offline, hub=Hub(hub.url))
            )
            app: FastAPI = face(
                FlatPainter(tmp_path / "outputs"),
                catalog(),
                settings,
                Metrics(),
                logins=logins,
                library=library,
                previews=previews.of,
                downloads=made[-1],
            )
            return TestClient(As(app, owner))

        yield one
        for downloads in made:
            downloads.close()
    previews.close()
    index.close()


def listed(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    answer = client.get("/api/models/files", params=asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_file_whose_name_is_no_text_does_not_silence_the_others(make, tmp_path):
    folder = tmp_path / "models" / "Stable-diffusion"
    checkpoint(folder / "good.safetensors")
    with open(os.fsencode(folder) + b"/\xff.safetensors", "wb"):
        pass
    client = make()
    told = {one["name"]: one for one in listed(client)["files"]}
    assert told["good.safetensors"]["problem"] is None
    odd = told["\ufffd.safetensors"]
    assert "not UTF-8" in odd["problem"] and odd["file"] == "\ufffd.safetensors"
    assert client.get(f"/api/models/files/{odd['id']}").status_code == 200


def test_every_kind_is_told_and_found(make, tmp_path):
    models = tmp_path / "models"
    lora(models / "Lora" / "ink.safetensors")
    lora(models / "LyCORIS" / "deep" / "xl.safetensors", 2048)
    (models / "embeddings").mkdir()
    save_file(
        {"emb_params": np.zeros((2, 768), np.float32)}, models / "embeddings" / "mood.safetensors"
    )
    (models / "hypernetworks").mkdir()
    (models / "hypernetworks" / "soft.pt").write_bytes(b"PK\x03\x04")
    (models / "VAE").mkdir()
    (models / "VAE" / "old.vae.pt").write_bytes(b"PK")
    lora(models / "Stable-diffusion" / "wrong.safetensors")
    client = make()
    told = listed(client)
    assert told["counts"] == {
        "checkpoint": 1,
        "lora": 2,
        "embedding": 1,
        "hypernetwork": 1,
        "vae": 1,
        "controlnet": 0,
        "upscaler": 0,
    }
    by_name = {one["name"]: one for one in told["files"]}
    assert by_name["ink"]["insert"] == "<lora:ink:1>" and by_name["mood"]["insert"] == "mood"
    assert by_name["soft"]["insert"] == "<hypernet:soft:1>" and by_name["soft"]["problem"] is None
    assert by_name["ink"]["family"] == "Stable Diffusion 1"
    assert by_name["deep/xl"]["family"] == "Stable Diffusion XL"
    assert "models convert" in by_name["old.vae.pt"]["problem"]
    assert "models/Lora" in by_name["wrong.safetensors"]["problem"]
    key, values = by_name["wrong.safetensors"]["problem_said"]  # for a page in another language
    assert key == "{file}: {problem}"
    assert values["problem"][0] == "a LoRA: put it into models/Lora"
    assert [one["name"] for one in listed(client, words="DEEP xl")["files"]] == ["deep/xl"]
    assert [one["name"] for one in listed(client, kind="embedding")["files"]] == ["mood"]
    assert client.get("/api/models/files?kind=else").status_code == 422
    assert client.get("/api/models/files/nobody").status_code == 422


def test_pages_follow_each_other(make, tmp_path):
    for number in range(7):
        lora(tmp_path / "models" / "Lora" / f"one{number}.safetensors")
    client, after, seen = make(), "", []
    while True:
        page = listed(client, limit=3, after=after)
        seen += [one["name"] for one in page["files"]]
        after = page["next"]
        if not after:
            break
    assert seen == [f"one{number}" for number in range(7)] and page["total"] == 7


def test_notes_go_into_the_file_beside_it_and_leave_the_rest_alone(make, tmp_path):
    path = lora(tmp_path / "models" / "Lora" / "ink.safetensors")
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps({"activation text": "old", "sd version": "SD1", "extra": [1]}))
    client = make()
    (one,) = listed(client)["files"]
    url = f"/api/models/files/{one['id']}"
    told = client.patch(url, json={"activation_text": "ink", "preferred_weight": 0.5}).json()
    assert (told["activation_text"], told["insert"]) == ("ink", "<lora:ink:0.5> ink")
    assert json.loads(beside.read_text()) == {
        "activation text": "ink",
        "sd version": "SD1",
        "extra": [1],
        "preferred weight": 0.5,
    }
    beside.write_text(json.dumps({"activation text": "by another program"}))
    client.post("/api/models/rescan")
    assert client.get(url).json()["activation_text"] == "by another program"


def test_notes_without_a_file_beside_it_stay_with_the_content(make, tmp_path):
    path = lora(tmp_path / "models" / "Lora" / "ink.safetensors")
    client = make()
    (one,) = listed(client)["files"]
    client.patch(f"/api/models/files/{one['id']}", json={"notes": "mine"})
    assert not path.with_suffix(".json").exists()
    path.rename(path.with_name("renamed.safetensors"))
    client.post("/api/models/rescan")
    (one,) = listed(client, words="mine")["files"]
    assert one["name"] == "renamed"
    client.patch(f"/api/models/files/{one['id']}", json={"notes": ""})
    assert client.get(f"/api/models/files/{one['id']}").json()["notes"] == ""


def test_what_is_said_at_once_is_all_kept(make, tmp_path):
    """Leaving one field for the next sends both; each is read, changed and written."""
    lora(tmp_path / "models" / "Lora" / "ink.safetensors")
    client = make()
    (one,) = listed(client)["files"]
    url = f"/api/models/files/{one['id']}"
    for number in range(8):
        said = {name: f"{name} {number}" for name in ("description", "notes", "activation_text")}
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda item: client.patch(url, json=dict([item])), said.items()))
        now = client.get(url).json()
        assert {name: now[name] for name in said} == said


@pytest.mark.parametrize(
    "values",
    [{"vae": "x"}, {"else": 1}, {"notes": 3}, {"preferred_weight": "1"}, {"preferred_weight": 99}],
)
def test_what_cannot_be_said_is_refused(make, tmp_path, values):
    lora(tmp_path / "models" / "Lora" / "ink.safetensors")
    client = make()
    (one,) = listed(client)["files"]
    answer = client.patch(f"/api/models/files/{one['id']}", json=values)
    assert answer.status_code == 422 and answer.json()["field"] == next(iter(values))


def test_a_preview_is_small_and_may_be_kept_for_ever(make, tmp_path):
    path = lora(tmp_path / "models" / "Lora" / "ink.safetensors")
    Image.new("RGB", (900, 1200), "red").save(path.with_name("ink.preview.png"))
    client = make()
    (one,) = listed(client)["files"]
    answer = client.get("/" + one["preview"])
    assert (
        answer.headers["content-type"] == "image/webp"
        and "immutable" in answer.headers["cache-control"]
    )
    again = client.get("/" + one["preview"], headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    Image.new("RGB", (90, 90), "blue").save(path.with_name("ink.preview.png"))
    client.post("/api/models/rescan")
    (other,) = listed(client)["files"]
    assert other["preview"] != one["preview"]


def test_training_words_are_the_most_frequent(make, tmp_path):
    tags = {"1_a": {"cat": 3, "dog": 5}, "2_b": {"cat": 4, "": 9, "x": "many"}}
    lora(tmp_path / "models" / "Lora" / "ink.safetensors", ss_tag_frequency=json.dumps(tags))
    lora(tmp_path / "models" / "Lora" / "odd.safetensors", 768, 1.0, ss_tag_frequency="[[")
    client = make()
    ink, odd = listed(client)["files"]
    assert client.get(f"/api/models/files/{ink['id']}").json()["tags"] == [["cat", 7], ["dog", 5]]
    assert client.get(f"/api/models/files/{odd['id']}").json()["tags"] == []


@pytest.mark.parametrize(
    ("owner", "logins", "host", "status"),
    [
        ("me", (), "127.0.0.1", 200),
        ("me", (), "0.0.0.0", 403),
        ("ann", ("ann", "bob"), "0.0.0.0", 200),
        ("bob", ("ann", "bob"), "127.0.0.1", 403),
    ],
)
def test_who_may_look_and_who_may_change(make, tmp_path, owner, logins, host, status):
    lora(tmp_path / "models" / "Lora" / "ink.safetensors")
    client = make(owner, logins, host=host)
    told = listed(client)
    assert bool(told["locked"]) == (status == 403)
    file = f"/api/models/files/{told['files'][0]['id']}"
    assert str(tmp_path) in client.get(file).json()["path"] or status == 403
    assert client.patch(file, json={"notes": "x"}).status_code == status
    asked = {"repo": "owner/name", "kind": "lora", "path": "a.safetensors"}
    added = client.post("/api/downloads", json=asked)
    assert added.status_code == (201 if status == 200 else 403)
    assert client.get("/api/downloads/repository?repo=owner/name").status_code == status
    for method, path in (("POST", "x/pause"), ("POST", "x/resume"), ("DELETE", "x")):
        answer = client.request(method, f"/api/downloads/{path}")
        assert answer.status_code == (422 if status == 200 else 403)
    if status == 403:
        assert client.post(f"{file}/preview", json={"picture": 1}).status_code == 403
        assert client.get("/api/downloads").json()["folder"] == ""


def test_offline_the_downloads_say_so(make):
    client = make(offline=True)
    assert "--offline" in client.get("/api/downloads").json()["locked"]
    answer = client.post("/api/downloads", json={"repo": "owner/name", "kind": "lora"})
    assert answer.status_code == 409 and "--offline" in answer.json()["error"]
    assert client.get("/api/downloads/repository?repo=owner/name").status_code == 409


def test_what_the_hub_refuses_is_the_hub_s_fault(make):
    client = make()
    answer = client.get("/api/downloads/repository?repo=owner/nobody")
    assert answer.status_code == 502 and "nothing of that name" in answer.json()["error"]
    for repo in ("nobody", "../x/y"):
        assert client.get("/api/downloads/repository", params={"repo": repo}).status_code == 422
