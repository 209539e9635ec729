"""What is turned away at the door: 4xx with a sentence, never a 500, never a traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import httpx
import pytest

from tests.ui.painter import FlatPainter
from webui.ui.reception import Parameters, Reception

JSON = {"content-type": "application/json"}

TURNED_AWAY: list[tuple[str, Any, int, str]] = [
    ("call/v2/txt2im", {}, 404, "endpoint 'txt2im' is not known; did you mean 'txt2img'?"),
    ("call/txt2im", {"data": []}, 404, "endpoint 'txt2im' is not known; did you mean 'txt2img'?"),
    ("call/run", {"data": []}, 404, "endpoint 'run' is not known"),  # an event of the page
    ("run/txt2img", {"data": ["x"]}, 404, "use /gradio_api/call/v2/txt2img"),
    ("api/txt2img", {"data": ["x"]}, 404, "use /gradio_api/call/v2/txt2img"),
    ("run/nothing", {"data": []}, 404, "endpoint 'nothing' is not known"),
    ("call/v2/txt2img", {}, 422, "argument 'prompt' is missing"),
    (
        "call/v2/txt2img",
        {"prompt": "x", "stps": 3},
        422,
        "argument 'stps' is not known; did you mean 'steps'?",
    ),
    ("call/v2/inpaint", {"image": None, "prompt": "x"}, 422, "argument 'mask' is missing"),
    ("call/v2/models", {"x": 1}, 422, "argument 'x' is not known"),
    ("call/txt2img", {"data": []}, 422, "argument 'prompt' is missing"),
    ("call/txt2img", {"data": ["x"] * 30}, 422, "30 arguments; there are 17"),
    ("call/txt2img", {}, 422, "give the arguments in order as a list named 'data'"),
    ("call/txt2img", {"data": "x"}, 422, "give the arguments in order as a list named 'data'"),
    ("call/v2/txt2img", "[1]", 422, "the body must be a JSON object"),
    ("call/v2/txt2img", "{", 400, "the body is not JSON"),
    ("call/v2/txt2img", "", 400, "the body is not JSON"),
    ("call/v2/txt2img", b"\xff\xfe{}", 400, "the body is not JSON"),
    ("call/v2/txt2img", "[" * 100_000, 400, "the body is not JSON"),
    (
        "call/v2/txt2img",
        '{"prompt": ' + "[" * 50 + "]" * 50 + "}",
        422,
        "values are nested more than 32 deep",
    ),
    (
        "call/v2/txt2img",
        '{"prompt": "\\ud800"}',
        422,
        "the text has a character that is no character",
    ),
    (
        "queue/join",
        {"data": [], "fn_index": 9999, "session_hash": "a"},
        404,
        "fn_index 9999 is not known",
    ),
    (
        "queue/join",
        {"data": [], "fn_index": "x", "session_hash": "a"},
        404,
        "fn_index 'x' is not known",
    ),
    ("queue/join", {"fn_index": 1, "session_hash": "a"}, 422, "give the arguments in order"),
    ("queue/join", {"data": [], "fn_index": 1, "session_hash": "a"}, 422, "0 values where"),
]


@pytest.mark.parametrize(("path", "body", "status", "sentence"), TURNED_AWAY)
def test_turned_away(
    http: httpx.Client, painter: FlatPainter, path: str, body: Any, status: int, sentence: str
) -> None:
    given = {"content": body, "headers": JSON} if isinstance(body, str | bytes) else {"json": body}
    answer = http.post(f"/gradio_api/{path}", **given)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)
    assert not painter.submitted


def test_positional_arguments_may_end_early(http: httpx.Client, painter: FlatPainter) -> None:
    posted = http.post("/gradio_api/call/txt2img", json={"data": ["x"]})
    http.get(f"/gradio_api/call/txt2img/{posted.json()['event_id']}")
    assert painter.submitted[0].steps == 4  # the model's own


def answer_without_server(headers: list[tuple[bytes, bytes]], bodies: Iterator[bytes]) -> list[Any]:
    """What the reception sends for a body that no well-behaved client would send."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": next(bodies), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async def gradio(*_: Any) -> None:
        raise AssertionError("the call got through")

    path = "/gradio_api/call/v2/models"
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    reception = Reception(gradio, {"models": Parameters(())}, {})
    with ThreadPoolExecutor(1) as pool:  # the browser tests' loop runs in this thread
        pool.submit(lambda: asyncio.run(reception(scope, receive, send))).result()
    return sent


def test_an_endless_body_is_cut_off() -> None:
    assert answer_without_server([], repeat(bytes(2**24)))[0]["status"] == 413


def test_a_body_that_is_announced_as_too_long_is_not_read() -> None:
    sent = answer_without_server([(b"content-length", b"999999999999")], iter(()))
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:7860"])
def test_another_name_for_this_machine_is_refused(http: httpx.Client, host: str) -> None:
    assert http.get("/", headers={"host": host}).status_code == 400


def test_the_own_names_are_served(http: httpx.Client) -> None:
    for host in ("127.0.0.1", "localhost", "localhost:7860", "[::1]:7860"):
        assert http.get("/config", headers={"host": host}).status_code == 200
