"""What is turned away at the door: 4xx with a sentence, never a 500, never a traceback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from random import Random
from typing import Any, cast

import httpx
import pytest

from tests.ui.painter import FlatPainter
from webui.ui.gradio_validation import Asked, GradioValidation, Parameters

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
    ("call/txt2img", {"data": ["x"] * 30}, 422, "30 arguments; there are 18"),
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
    reception = GradioValidation(
        gradio, {"models": Parameters(())}, lambda number: None, cast(Asked, None)
    )
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


# --- Events of the page: each is an HTTP endpoint --------------------------------------------------


def events_of(http: httpx.Client) -> list[dict[str, Any]]:
    """The page's events that its server answers."""
    found: list[dict[str, Any]] = http.get("/config").json()["dependencies"]
    return [one for one in found if one["backend_fn"]]


def joined(http: httpx.Client, event: Mapping[str, Any], **changed: Any) -> httpx.Response:
    data = [None] * len(event["inputs"])
    body = {"fn_index": event["id"], "data": data, "session_hash": "a", "event_data": {}}
    return http.post("/gradio_api/queue/join", json=body | changed)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"event_data": 7}, "event_data: give a JSON object"),
        ({"event_data": "jobs"}, "event_data: give a JSON object"),
        ({"event_data": [{"job": "x"}]}, "event_data: give a JSON object"),
        ({"event_data": False}, "event_data: give a JSON object"),
        ({"event_data": {"path": "/etc/passwd"}}, "path: no such upload"),
        ({"event_data": {"a": [{"path": "data:x"}]}}, "path: no such upload"),
        ({"session_hash": 5}, "session_hash: give a text"),
        ({"session_hash": None}, "session_hash: give a text"),
        ({"session_hash": ""}, "session_hash: give a text"),
        ({"session_hash": "x" * 1000}, "session_hash: give a text"),
        ({"trigger_id": "x"}, "trigger_id: give the number of a component"),
        ({"trigger_id": [1]}, "trigger_id: give the number of a component"),
        ({"data": [None] * 200}, "200 values where"),
        ({"event_data": {"number": [10**30]}}, "a number has more than 64 bits"),
    ],
)
def test_an_event_of_another_shape_is_turned_away(
    http: httpx.Client, changed: Any, sentence: str
) -> None:
    event = next(one for one in events_of(http) if one["api_name"] == "follow")
    answer = joined(http, event, **changed)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)


def test_what_the_browser_does_itself_is_no_event(http: httpx.Client) -> None:
    config = http.get("/config").json()["dependencies"]
    event = next(one for one in config if not one["backend_fn"])
    answer = joined(http, event)
    assert answer.status_code == 404
    assert "done in the browser" in answer.json()["detail"]


ODD: list[Any] = [None, True, -1, 1e308, 10**30, "", "x", "\0", "NaN", [], [[1]], {}, {"a": [None]}]
ODD += [{"path": 5}, {"url": []}, {"image": {"sized": True}}, {"__type__": "update"}, "data:a,b"]
NAMES = ("jobs", "number", "job", "act", "name", "on", "open", "ended", "prompt", "seed", "vary")
NAMES += ("parameters", "to", "url", "path", "width", "height", "target", "_data", "__class__")


def test_random_events_leave_no_traceback(
    http: httpx.Client, painter: FlatPainter, capfd: pytest.CaptureFixture[str]
) -> None:
    random, sessions = Random(11), []
    events = [one for one in events_of(http) if one["api_visibility"] == "private"]
    for event in random.sample(events, 30):
        session = f"odd{len(sessions)}"
        named = {random.choice(NAMES): random.choice(ODD) for _ in range(random.randrange(6))}
        odd = random.choice([None, {}, named, named])
        data = [random.choice(ODD) for _ in event["inputs"]]
        more = {random.choice(["batched", "event_id", "simple_format", "x"]): random.choice(ODD)}
        answer = joined(http, event, data=data, event_data=odd, session_hash=session, **more)
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 200:
            sessions.append(session)
            http.get("/gradio_api/queue/data", params={"session_hash": session})  # to its end
    assert len(sessions) > 15
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("call/txt2img/unknown", 404, "event 'unknown' is not known: call its endpoint again"),
        ("call/v2/txt2img/unknown", 404, "event 'unknown' is not known"),
        ("call/nothing/unknown", 404, "event 'unknown' is not known"),
        ("dev/reload", 404, "there is nothing here"),
        ("component_server", 404, "there is nothing here"),
        ("queue/data", 422, "session_hash: say whose answers you wait for"),
        ("queue/data?session_hash=", 422, "session_hash: say whose answers you wait for"),
        ("queue/data?session_hash=unknown", 404, "session 'unknown' is not known"),
    ],
)
def test_answers_to_what_nobody_asked_are_not_there(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], path: str, status: int, sentence: str
) -> None:
    answer = http.get(f"/gradio_api/{path}")
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(sentence)
    assert "Traceback" not in capfd.readouterr().err


def test_an_answer_is_fetched_once(http: httpx.Client) -> None:
    event = http.post("/gradio_api/call/v2/samplers", json={}).json()["event_id"]
    assert "event: complete" in http.get(f"/gradio_api/call/v2/samplers/{event}").text
    assert http.get(f"/gradio_api/call/v2/samplers/{event}").status_code == 404
