"""What this page leans on of Gradio's inside, and what breaks with it: a test for each name of the adapter, against a
page of Gradio's own with nothing of ours around it. `make gradio-next` runs them with the newest release.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.sentences import Sentence
from webui.ui import gradio_adapter as adapter

ADA = {"username": "ada", "password": "lace"}


class Noted:
    """Middleware that leaves something for handlers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["visitor"] = "somebody"
        await self.app(scope, receive, send)


class Bare:
    """A small page of Gradio's, served, and somebody who has logged in."""

    def __init__(self, published: Path) -> None:
        self.heard: list[Any] = []
        self.published = published
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            box, shown = gr.Textbox(), gr.HTML({})
            gr.Button().click(self.stream, box, shown, api_visibility="private", preprocess=False)
            gr.Button().click(None, None, None, js="() => {}")
            gr.HTML("", js_on_load="'told'").told(self.hear, None, None, api_visibility="private")
            gr.Button().click(self.tell, None, None, api_visibility="private")
            endpoint = gr.api(self.echo, api_name="echo")
            adapter.check_with(self.blocks, endpoint, self.check)
            gr.api(self.file)
        self.blocks.queue(api_open=False, default_concurrency_limit=None)
        adapter.rest(self.blocks)
        with adapter.few_at_once():
            self.blocks.launch(
                prevent_thread_lock=True,
                quiet=True,
                auth=[tuple(ADA.values())],
                app_kwargs={"middleware": [Middleware(Noted)]},
                **adapter.UNWATCHED,
            )
        self.http = httpx.Client(base_url=self.blocks.local_url, timeout=60)
        assert self.http.post("/login", data=ADA).json()["success"]

    async def stream(self, word: str) -> AsyncIterator[Any]:
        yield {"word": word, "number": 1}
        yield {"word": word, "number": 2}
        yield adapter.last_again(1)

    def tell(self) -> None:
        adapter.say(Sentence("{number} of <b>", number=2))

    def hear(self, request: gr.Request, event: gr.EventData) -> None:
        self.heard += [event.word, adapter.state_of(request).visitor]

    def echo(self, what: dict[str, Any]) -> dict[str, Any]:
        self.heard.append(what)
        return what

    def file(self) -> dict[str, Any]:
        return adapter.file_object(self.published, "a.png", "image/png")

    def check(self, what: object) -> Any:
        return gr.validate(what != {"no": 1}, "what: not this")

    @property
    def routes(self) -> list[str]:
        return sorted(self.blocks.app.openapi()["paths"])

    def number(self, name: str) -> int:
        """The number of an event, by the name of its function."""
        return next(n for n, one in self.blocks.fns.items() if one.api_name == name)

    def join(self, name: str, data: list[Any], **more: Any) -> list[dict[str, Any]]:
        """The messages that answer an event."""
        body = {"fn_index": self.number(name), "data": data, "session_hash": "mine", **more}
        self.http.post("/gradio_api/queue/join", json=body).raise_for_status()
        answer = self.http.get("/gradio_api/queue/data", params={"session_hash": "mine"})
        told = [json.loads(line[5:]) for line in answer.text.splitlines() if line[:5] == "data:"]
        return [one for one in told if "output" in one or one["msg"] == "log"]

    def call(self, name: str, *data: Any) -> str:
        """The stream that answers an endpoint."""
        asked = self.http.post(f"/gradio_api/call/{name}", json={"data": list(data)})
        return self.http.get(f"/gradio_api/call/{name}/{asked.json()['event_id']}").text


@pytest.fixture(scope="module")
def bare() -> Iterator[Bare]:
    folder = adapter.upload_folder() / "0f0f"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.png").write_bytes(b"picture")
    made = Bare(folder / "a.png")
    yield made
    made.http.close()
    made.blocks.close(verbose=False)


def in_a_loop(made: Any) -> Any:
    with ThreadPoolExecutor(1) as pool:  # the browser tests' loop runs in this thread
        return pool.submit(asyncio.run, made).result()


# --- Addresses -----------------------------------------------------------------------------------


def test_asks_endpoint_knows_every_way_to_an_endpoint(bare: Bare) -> None:
    """A way that it does not know would pass the check of arguments."""
    ways = [path for path in bare.routes if "{api_name}" in path and "{event_id}" not in path]
    found = {path: adapter.asks_endpoint(path.format(api_name="echo")) for path in ways}
    assert len(ways) == 8 and {name for _, name in filter(None, found.values())} == {"echo"}
    assert None not in found.values()


def test_endpoint_path_is_where_arguments_have_names(bare: Bare) -> None:
    """Clients would be told an address where nothing is."""
    path = adapter.endpoint_path("echo")
    assert bare.http.post(path, json={"what": {}}).json()["event_id"]
    assert adapter.asks_endpoint(path) == ("call/v2", "echo")


def test_asks_event_is_where_events_go(bare: Bare) -> None:
    """Events would come in unchecked."""
    assert [path for path in bare.routes if adapter.asks_event(path)] == ["/gradio_api/queue/join"]
    assert bare.join("stream", ["x"])


def test_answers_event_knows_whom_an_answer_is_for(bare: Bare) -> None:
    """Who asks for an event that is not known would wait, or get a traceback."""
    ways = [path for path in bare.routes if path.endswith("{api_name}/{event_id}")]
    asked = [adapter.answers_event(path.format(api_name="echo", event_id="e")) for path in ways]
    assert asked == ["e", "e"]
    assert "event: complete" in bare.call("echo", {})


def test_answers_session_is_the_stream_of_a_session(bare: Bare) -> None:
    """Who names no session, or one that is not known, would get a traceback."""
    assert [p for p in bare.routes if adapter.answers_session(p)] == ["/gradio_api/queue/data"]


def test_is_upload_is_where_files_come_in(bare: Bare) -> None:
    """An upload that fails would leave its file behind."""
    assert [path for path in bare.routes if adapter.is_upload(path)] == ["/gradio_api/upload"]


def test_is_heartbeat_is_a_stream_of_nothing(bare: Bare) -> None:
    """Heartbeats would count as connections that are missed."""
    assert any(map(adapter.is_heartbeat, bare.routes))
    with bare.http.stream("GET", "/gradio_api/heartbeat/mine") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")


def test_is_unused_names_routes_that_are_there(bare: Bare) -> None:
    """A rule about what is there no more can go."""
    found = {path.rstrip("/") for path in bare.routes if adapter.is_unused(path)}
    names = {"/pwa_icon/{size}", "/gradio_api/component_server", "/gradio_api/dev/reload"}
    assert found == names


def test_built_file_finds_what_the_page_loads(bare: Bare) -> None:
    """The page's files would be packed anew for each visitor, and asked for at each visit."""
    page = bare.http.get("/").text
    named = re.findall(r'(?:src|href)="\.?(/assets/[^"]+\.(?:js|css))"', page)
    files = [adapter.built_file(path) for path in named]
    assert len(files) > 1 and all(file is not None and file.is_file() for file in files)
    assert adapter.built_file("/assets/../config-12345678.js") is None


# --- The page ------------------------------------------------------------------------------------


def test_unwatched_starts_however_long_the_first_answer_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A busy machine would not start."""
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)  # as after its 3 s
    with gr.Blocks(analytics_enabled=False) as blocks:
        pass
    blocks.launch(prevent_thread_lock=True, quiet=True, **adapter.UNWATCHED)
    assert httpx.get(blocks.local_url, timeout=60).status_code == 200
    blocks.close(verbose=False)


def test_is_login_page_tells_it_from_the_page(bare: Bare) -> None:
    """Our scripts would run on the login page, or nowhere."""
    page = bare.http.get("/").content
    login = httpx.get(bare.blocks.local_url, timeout=60).content
    assert adapter.is_login_page(login) and not adapter.is_login_page(page)


def test_for_people_leaves_out_what_only_programs_need(bare: Bare) -> None:
    """The page would be larger, or come without what events and layout name."""
    page = bare.http.get("/").content

    def config(html: bytes) -> Any:
        found = re.search(rb"window\.gradio_config = (\{.*?\});</script>", html, re.DOTALL)
        assert found
        return json.loads(found[1])

    whole, shown = config(page), config(adapter.for_people(page))
    assert whole == config(adapter.for_people(page, programs=True))
    assert whole["components"] == bare.http.get("/config").json()["components"]
    assert "api" in {one["type"] for one in whole["components"]}
    kinds = {one["type"] for one in shown["components"]}
    assert {one["type"] for one in whole["components"]} == kinds | {"api"} and len(kinds) > 2
    assert {one["api_name"] for one in shown["dependencies"]} >= {"stream", "hear"}
    assert "echo" not in {one["api_name"] for one in shown["dependencies"]}
    numbers = {one["id"] for one in shown["components"]}
    assert {one["id"] for one in shown["layout"]["children"]} <= numbers
    assert shown["page"][""]["components"] == [one["id"] for one in shown["components"]]
    assert b'"og:' in page and b'"og:' not in adapter.for_people(page)


def test_components_of_are_told_before_the_page_is_served(bare: Bare) -> None:
    """Gradio would be given no words for the keys in them."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        box = gr.Textbox(label="Prompt", placeholder="Say it")
    (told,) = (one for one in adapter.components_of(blocks) if one["id"] == box._id)
    assert told["type"] == "textbox"
    assert (told["props"]["label"], told["props"]["placeholder"]) == ("Prompt", "Say it")


def test_key_in_reads_what_i18n_writes() -> None:
    """Labels would stay in English, or be drawn as their keys."""
    words = gr.I18n()
    for key in ("Steps", 'a "quoted" \\ one, with a\nline', "größer: 寸法"):
        assert adapter.key_in(str(words(key))) == key
    assert adapter.key_in("Steps") is None and adapter.key_in(3) is None


def test_language_module_exports_what_changes_the_language(bare: Bare) -> None:
    """All that Gradio draws would stay English, whatever the page speaks."""
    module = adapter.built_file(f"/{adapter.language_module()}")
    assert module is not None
    exported = module.read_text(encoding="utf-8").rpartition("export{")[2]
    for name in ("changeLocale", "load_translations", "process_langs"):
        assert f" as {name}" in exported


def test_literal_is_the_value_and_ends_no_script() -> None:
    """A text could end the script that it stands in."""
    value = {"text": "</script><!-- \\ \" ' ` ${1} \u2028", "none": None, "on": True}
    assert json.loads(adapter.literal(value)) == value and "<" not in adapter.literal(value)


def test_plain_has_no_sign_that_a_template_acts_on() -> None:
    """A control's label could be run. In the browser: tests/ui/test_gradio_js.py."""
    said = adapter.plain("`${alert(1)}` {{value}} <b> \\ & \"'")
    assert not set("`${}\\<>\"'") & set(said)


def test_as_text_keeps_a_value_whole_in_a_stream(bare: Bare) -> None:
    """Of an object only what changed comes: where that ends, it need not be text any more."""
    _, second = [one["output"]["data"][0] for one in bare.join("stream", ["x"])][:2]
    assert second == [["replace", ["number"], 2]]
    assert json.loads(adapter.as_text({"word": "x", "number": 2})) == {"word": "x", "number": 2}


def test_say_is_sent_with_its_keys_and_as_no_html(bare: Bare) -> None:
    """What is said over the page would be English in every language, or could be run."""
    said = next(one for one in bare.join("tell", []) if one["msg"] == "log")
    assert said["log"] == '["{number} of &lt;b&gt;", {"number": 2}]'


def test_last_again_says_nothing_twice(bare: Bare) -> None:
    """A stage could be told of a job that it shows no more."""
    *_, last, ended = bare.join("stream", ["x"])
    assert (last["msg"], ended["msg"]) == ("process_generating", "process_completed")
    (said,) = ended["output"]["data"]
    assert said["__type__"] == "update" and "value" not in said
    assert adapter.last_again(2) == (gr.skip(), gr.skip())


# --- Events --------------------------------------------------------------------------------------


def test_event_at_tells_events_from_endpoints(bare: Bare) -> None:
    """Events of the page would be refused, or come with any number of values."""
    found = [adapter.event_at(bare.blocks, number) for number in range(6)]
    assert found == [
        adapter.Event(None, 1, True),
        adapter.Event(None, 0, False),
        adapter.Event(None, 0, True),
        adapter.Event(None, 0, True),
        adapter.Event("echo", 1, True),
        adapter.Event("file", 0, True),
    ]
    assert adapter.event_at(bare.blocks, 6) is None


def test_event_is_what_a_client_reads_of_it(bare: Bare) -> None:
    """The numbers by which clients name events would be others."""
    told = bare.http.get("/config").json()["dependencies"]
    for one in told:
        event = adapter.event_at(bare.blocks, one["id"])
        assert event is not None and event.runs == one["backend_fn"]
        assert event.takes == len(one["inputs"])


def test_event_body_brings_data_to_its_handler(bare: Bare) -> None:
    """What somebody does on the page would not be heard."""
    body = adapter.event_body({"data": [], "trigger_id": None, "request": {}}, {"word": "hello"})
    assert set(body) == {"data", "trigger_id", "event_data"}
    bare.heard.clear()
    bare.join("hear", **body)
    assert bare.heard[0] == "hello"


def test_check_with_is_asked_before_anything_is_queued(bare: Bare) -> None:
    """What is wrong would be queued, and told of after a status of 200."""
    answers = [
        bare.http.post("/gradio_api/call/echo", json={"data": [{"no": number}]}).status_code
        for number in (1, 2)
    ]
    assert answers == [422, 200]


def test_verdict_of_finds_sentence_and_parameter(bare: Bare) -> None:
    """Clients would get Gradio's list instead of a sentence."""
    answer = bare.http.post("/gradio_api/call/echo", json={"data": [{"no": 1}]})
    assert adapter.verdict_of(answer.json()) == ("what: not this", "what")
    assert adapter.verdict_of({"detail": "no"}) is None


# --- Visitors and files --------------------------------------------------------------------------


def test_login_of_knows_the_cookies_of_a_login(bare: Bare) -> None:
    """Nobody would be known on our own paths, which fail closed: no gallery, no API for anybody."""
    cookies = dict(bare.http.cookies)
    assert adapter.login_of(bare.blocks, cookies) == "ada"
    for name in cookies:
        assert adapter.login_of(bare.blocks, {name: cookies[name]}) == "ada"
        assert adapter.login_of(bare.blocks, {name: "made up"}) is None
    assert adapter.login_of(bare.blocks, {}) is None


def test_state_of_is_what_middleware_has_noted(bare: Bare) -> None:
    """Handlers would not know who asks."""
    bare.heard.clear()
    bare.join("hear", [], event_data={"word": ""})
    assert bare.heard[1] == "somebody"


def test_upload_folder_is_where_uploads_lie(bare: Bare) -> None:
    """No picture that somebody sends would be opened."""
    answer = bare.http.post("/gradio_api/upload", files={"files": ("a.png", b"sent")})
    (path,) = map(Path, answer.json())
    assert path.is_relative_to(adapter.upload_folder()) and path.read_bytes() == b"sent"


def test_links_of_are_the_files_that_will_be_deleted(bare: Bare) -> None:
    """Published pictures would lie there after the server has ended."""
    (path,) = bare.http.post("/gradio_api/upload", files={"files": ("b.png", b"sent")}).json()
    assert path in adapter.links_of(bare.blocks)
    assert any(adapter.links_of(bare.blocks) is one for one in bare.blocks.temp_file_sets)


def test_file_object_can_be_fetched_where_it_says(bare: Bare) -> None:
    """Clients would not get their pictures."""
    (found,) = re.findall(r"data: (\[.*\])", bare.call("file"))
    (shown,) = json.loads(found)
    assert bare.http.get(shown["url"]).content == b"picture"
    assert bare.http.get("/" + bare.file()["url"]).content == b"picture"


def test_unmarked_is_neither_fetched_nor_opened(bare: Bare) -> None:
    """Anybody could have the server fetch a URL, or open a file."""
    marked = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    bare.heard.clear()
    refused = bare.http.post("/gradio_api/call/echo", json={"data": [marked]})
    assert refused.status_code == 400 and not bare.heard
    assert "event: complete" in bare.call("echo", adapter.unmarked(marked))
    assert bare.heard == [{"path": "/etc/passwd"}]
    assert adapter.unmarked({"meta": 1}) == {"meta": 1}


# --- The server and its queue --------------------------------------------------------------------


def test_few_at_once_is_what_the_server_begins_with(bare: Bare) -> None:
    """All connections that come at once would be taken before one is counted."""
    assert adapter.server_of(bare.blocks).config.backlog == adapter.AT_ONCE
    assert uvicorn.Config(bare.blocks.app).backlog > adapter.AT_ONCE


def test_server_of_is_uvicorns_and_runs(bare: Bare) -> None:
    """Connections could not be counted, and an idle server would look ten times a second whether it shall stop."""
    server = adapter.server_of(bare.blocks)
    assert isinstance(server, uvicorn.Server) and server.started and server.servers


def test_rest_is_the_queue_of_the_served_page(bare: Bare) -> None:
    """An idle page would take a twentieth of a processor."""
    queue = bare.blocks.app.get_blocks()._queue
    assert isinstance(queue, adapter.RestingQueue) and queue.active_jobs
    assert queue.progress_update_sleep_when_free >= 0.5


def test_restingqueue_waits_for_events_and_does_not_look_for_them(bare: Bare) -> None:
    """One look, then nothing until something comes; Gradio's would go on looking."""

    class Counted(adapter.RestingQueue):
        looks = 0

        def __len__(self) -> int:
            self.looks += 1
            return 0

    async def idle() -> int:
        queue = Counted(bare.blocks._queue)
        run = asyncio.create_task(queue.start_processing())
        for _ in range(1000):  # turns of the loop, without waiting
            await asyncio.sleep(0)
        before = queue.looks
        queue._turn.set()
        for _ in range(10):
            await asyncio.sleep(0)
        run.cancel()
        assert queue.looks == before + 1
        return before

    assert in_a_loop(idle()) == 1


def test_restingqueue_begins_with_all_of_many_at_once(bare: Bare) -> None:
    """Some would wait for the next."""
    asked = [bare.http.post("/gradio_api/call/v2/echo", json={"what": {}}) for _ in range(20)]
    for one in asked:
        event = one.json()["event_id"]
        assert "event: complete" in bare.http.get(f"/gradio_api/call/v2/echo/{event}").text


def test_pending_of_knows_what_is_not_answered_yet(bare: Bare) -> None:
    """Who asks for another event would wait for ever; or nobody would get an answer."""
    pending = adapter.pending_of(bare.blocks)
    event = bare.http.post("/gradio_api/call/echo", json={"data": [{}]}).json()["event_id"]
    assert pending.has_event(event) and not pending.has_event("another")
    bare.http.get(f"/gradio_api/call/echo/{event}")
    assert not pending.has_event(event)
    bare.join("stream", ["x"])
    assert pending.has_session("mine") and not pending.has_session("another")
