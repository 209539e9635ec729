"""Nobody waits for a task: every route of the real app answers while one stands in its own code, and nothing that may
block does so on the event loop.

What waits here waits for an event or a lock that the test holds; seconds are limits of patience, never the measure.
"""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.http.house import SMALL, House, house
from webui.store.database import Database
from webui.types import COMMON, PROMPTS, Decode, EncodeText, LoadModel, Task

SLOW_S = 5.0  # a callback that waits for the task would take a minute
ANSWERS = ("process_completed", "process_generating")  # of a handler that streams, its first
IDS = {
    "number": "0",
    "picture": "1",
    "name": "quality",
    "code": "de",
    "file": "1",
    "download": "x",
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/jobs"): SMALL,
    ("PATCH", "/api/jobs/{job}"): {"priority": 3},
    ("POST", "/api/tokens"): {"text": "a cat", "model": "tiny"},
    ("PUT", "/api/styles"): {"name": "Ink", "prompt": "ink"},
    ("PATCH", "/api/settings"): {"quality": 80},
    ("PATCH", "/api/pictures"): {"ids": [1], "favourite": True},
    ("POST", "/api/pictures/trash"): {"ids": [1]},
    ("POST", "/api/pictures/restore"): {"ids": [1]},
    ("POST", "/api/downloads"): {"repo": "a/b", "kind": "lora", "path": "x.safetensors"},
    ("PATCH", "/api/models/files/{file}"): {"notes": "x"},
    ("POST", "/api/models/files/{file}/preview"): {"picture": 1},
}


class Stuck:
    """A task that stands in its own code, on the engine's thread, until the test lets it go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def make(self, asked: Any, studio: Any) -> Any:
        self.reached.set()
        assert self.go.wait(300), "nobody let it go"
        model = yield LoadModel(asked.model)
        encoded = yield EncodeText(model, asked.prompt, "")
        return (yield Decode(model, studio.noise(1, (4, 8, 8)) + 0 * encoded.cond.sum()))


@pytest.fixture(scope="module")
def stuck() -> Iterator[Stuck]:
    stuck = Stuck()
    yield stuck
    stuck.go.set()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, models_dir: Any, stuck: Stuck
) -> Iterator[House]:
    """A server whose loop says which of its callbacks take long; its engine stands in a task's code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONASYNCIODEBUG", "1")
        task = Task("stuck", "Stuck", stuck.make, (*PROMPTS, *COMMON))
        with house(tmp_path_factory.mktemp("stuck"), models_dir, tasks=(task,)) as served:
            with httpx.Client(base_url=served.url, timeout=60) as http:
                served.submit(http, task="stuck")
            assert stuck.reached.wait(60)
            yield served
            stuck.go.set()


def ours(served: House, jobs: Iterator[str]) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Method, address and body of every route of our own app; each with a job of its own."""
    found = [("HEAD", "/health", None), ("GET", "/docs", None), ("GET", "/openapi.json", None)]
    for path, methods in served.app.openapi()["paths"].items():
        for method in map(str.upper, methods):
            query = {"/api/pictures/archive": "?ids=1", "/api/settings/name": "?pattern=[seed]"}
            query |= {"/api/styles": "?name=Ink", "/api/downloads/repository": "?repo=a/b"}
            query |= {"/api/examples/{number}": "?model=tiny", "/api/state": "?model=tiny"}
            url = path.format(**IDS, job=next(jobs) if "{job}" in path else "")
            body = BODIES.get((method, path), None if method in ("GET", "DELETE") else {})
            found.append((method, url + query.get(path, ""), body))
    return found


def gradios(served: House) -> list[tuple[str, str, dict[str, Any] | None]]:
    """The same of every route of Gradio's."""
    found = []
    for path, methods in routes(served.page._blocks.app.routes):
        url = path
        for name in ("{path:path}", "{path_or_url:path}", "{url_path:path}", "{session_hash}"):
            url = url.replace(name, "x")
        while "{" in url:
            url = url[: url.index("{")] + "1" + url[url.index("}") + 1 :]
        for method in sorted(methods - {"HEAD", "OPTIONS"}):
            found.append((method, url, {} if method == "POST" else None))
    return found


def routes(all_: Any) -> Iterator[tuple[str, set[str]]]:
    for route in all_:
        if getattr(route, "methods", None):
            yield route.path, set(route.methods)
        original = getattr(route, "original_router", None)
        prefix = getattr(getattr(route, "include_context", None), "prefix", "")
        for path, methods in routes(getattr(original, "routes", None) or ()):
            yield path if path.startswith(prefix) else prefix + path, methods


def answers(
    http: httpx.Client, method: str, url: str, body: dict[str, Any] | None
) -> tuple[int, str]:
    """Status and beginning of an answer; of a stream it is left at that."""
    with http.stream(method, url, json=body) as answer:
        if "event-stream" in answer.headers.get("content-type", ""):
            return answer.status_code, ""
        return answer.status_code, answer.read()[:300].decode("utf-8", "replace")


def test_every_route_answers_while_a_task_stands(
    served: House, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    with httpx.Client(base_url=served.url, timeout=60) as http:
        jobs = iter(lambda: served.submit(http), None)
        asked = [*ours(served, jobs), *gradios(served)]
        assert len(asked) > 100
        wrong = {}
        for method, url, body in asked:
            status, words = answers(http, method, url, body)
            if status >= 500 and url.startswith(("/api", "/health", "/metrics", "/docs")):
                wrong[method, url] = (status, words)
        assert wrong == {}
        assert not stuck.go.is_set()
    assert slow(caplog) == []


def test_every_event_of_the_page_is_answered_while_a_task_stands(
    served: House, stuck: Stuck, caplog: pytest.LogCaptureFixture
) -> None:
    """Gradio's handlers, by their numbers, with nothing in their components; tasks of the API are accepted."""
    functions = served.page._blocks.fns
    painting = set(served.catalog.tasks)
    with httpx.Client(base_url=served.url, timeout=60) as http:
        waiting: dict[str, Any] = {}
        for number, function in functions.items():
            if function.fn is None:
                continue
            values = [None] * len(function.inputs)
            event = {"fn_index": number, "data": values, "session_hash": "here", "event_data": {}}
            answer = http.post("/gradio_api/queue/join", json=event)
            if answer.status_code == 200 and function.api_name not in painting:
                waiting[answer.json()["event_id"]] = (number, function.name)
            elif answer.status_code != 200:
                assert function.api_name in (*painting, "png_info"), (number, answer.text)
        assert len(waiting) > 30
        limit = time.monotonic() + 60
        with http.stream("GET", "/gradio_api/queue/data?session_hash=here") as told:
            for line in told.iter_lines():
                if line.startswith("data: "):
                    message = json.loads(line.removeprefix("data: "))
                    if message["msg"] in ANSWERS:
                        waiting.pop(message["event_id"], None)
                if not waiting or time.monotonic() > limit:
                    break
        assert waiting == {}
        begun = http.post("/gradio_api/call/v2/txt2img", json={"prompt": "x", "model": "tiny"})
        assert begun.json()["event_id"]
        assert not stuck.go.is_set()
    assert slow(caplog) == []


def test_no_handler_waits_on_the_event_loop_for_what_others_hold(served: House) -> None:
    """While the test holds every database and every lock of the engine, whatever is asked, /health answers."""
    where = urlsplit(served.url).netloc
    with httpx.Client(base_url=served.url, timeout=60) as http, ExitStack() as held:
        jobs = iter(lambda: served.submit(http), None)
        asked = [*ours(served, jobs), *gradios(served)]
        event = {"data": [], "session_hash": "there", "event_data": {"number": 1}}
        events = [
            {**event, "fn_index": number, "data": [None] * len(function.inputs)}
            for number, function in served.page._blocks.fns.items()
            if function.fn is not None
        ]
        asked += [("POST", "/gradio_api/queue/join", one) for one in events]
        asked.append(("GET", "/gradio_api/queue/data?session_hash=there", None))
        for lock in locks_of(served):
            assert lock.acquire(timeout=60)
            held.callback(lock.release)
        open_ = []
        for method, url, body in asked:
            connection = HTTPConnection(where, timeout=60)
            content = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, url, content, headers)  # nobody waits for the answer
            open_.append(connection)
            held.callback(connection.close)
            assert http.get("/health").status_code == 200, (method, url)
        for _ in range(50):
            assert http.get("/health").status_code == 200


def locks_of(served: House) -> list[Any]:
    databases = [one for one in gc.get_objects() if type(one) is Database]
    mine = [one._using for one in databases if served.folder in one.path.parents]
    assert len(mine) == 3  # jobs, gallery, models
    return [served.engine._jobs._lock, served.gallery._index._asking, *mine]


def test_a_priority_moves_a_job_among_its_owners_own(served: House) -> None:
    """Those of others keep their turns; what is below 0 waits for everybody's."""
    with (
        httpx.Client(base_url=served.url, timeout=60) as ann,
        httpx.Client(base_url=served.url, timeout=60) as bob,
    ):
        ann.get("/"), bob.get("/")  # each is given a cookie, and is an owner of their own
        names: dict[str, str] = {}
        for who, name in ((ann, "a1"), (bob, "b1"), (ann, "a2"), (bob, "b2"), (ann, "a3")):
            names[served.submit(who)] = name
        jobs = {name: job for job, name in names.items()}

        def order() -> list[str]:
            places = {job: ann.get(f"/api/jobs/{job}").json()["position"] for job in names}
            return [names[job] for job in sorted(places, key=lambda job: places[job])]

        def move(name: str, priority: int) -> None:
            who = ann if name[0] == "a" else bob
            answer = who.patch(f"/api/jobs/{jobs[name]}", json={"priority": priority})
            assert answer.json()["priority"] == priority

        assert order() == ["a1", "b1", "a2", "b2", "a3"]
        move("a3", 1000)
        assert order() == ["a3", "b1", "a1", "b2", "a2"]
        move("b2", 1)
        assert order() == ["a3", "b2", "a1", "b1", "a2"]
        names[served.submit(bob, priority=1000)] = "b3"
        assert order() == ["a3", "b3", "a1", "b2", "a2", "b1"]
        move("a3", -1)
        assert order() == ["a1", "b3", "a2", "b2", "b1", "a3"]


def slow(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What asyncio's debug mode names as slow."""
    found = [one for one in caplog.records if one.name == "asyncio" and "took" in one.msg]
    return [one.getMessage() for one in found if float(one.args[1]) > SLOW_S]  # type: ignore[index, arg-type]


def test_asyncio_tells_of_a_callback_that_blocks(caplog: pytest.LogCaptureFixture) -> None:
    """So that the tests above would hear of one."""

    async def block() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.01
        threading.Event().wait(0.05)

    with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have a loop on this thread
        pool.submit(lambda: asyncio.run(block(), debug=True)).result()
    (said,) = [one for one in caplog.records if one.name == "asyncio" and "took" in one.msg]
    assert float(said.args[1]) > 0.01  # type: ignore[index, arg-type]
