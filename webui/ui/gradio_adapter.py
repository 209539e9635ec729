"""Gradio's inside, all of it that this page leans on: each coupling is a function here, or one of assets/gradio.js.

What Gradio documents is used where it is needed, as `gr.…`. What it does not may change with any of its releases, so
requirements.txt names one minor; tests/ui/test_gradio_adapter.py has a test for each name of `__all__`, which says what
breaks, and `make gradio-next` runs those against the newest release.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from gradio.queueing import Queue
from gradio.utils import get_upload_folder, run_coro_in_background, set_task_name

from webui.sentences import with_keys

__all__ = [
    "UNWATCHED",
    "RestingQueue",
    "answers_event",
    "answers_session",
    "as_text",
    "asks_endpoint",
    "asks_event",
    "built_file",
    "check_with",
    "components_of",
    "endpoint_path",
    "event_at",
    "event_body",
    "few_at_once",
    "file_object",
    "for_people",
    "is_heartbeat",
    "is_login_page",
    "is_unused",
    "is_upload",
    "key_in",
    "language_module",
    "last_again",
    "links_of",
    "literal",
    "login_of",
    "pending_of",
    "plain",
    "rest",
    "say",
    "server_of",
    "state_of",
    "unmarked",
    "upload_folder",
    "verdict_of",
]

# --- Addresses -----------------------------------------------------------------------------------

BUILT = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
NAMED = re.compile(r"/assets/([\w.-]+-[\w-]{8}\.(?:js|css))")  # by a hash of what is in it
CALL = re.compile(r"/gradio_api/(call/v2|call|run|api)/([^/]+)/?$")
JOIN = re.compile(r"/gradio_api/queue/join/?$")
ANSWER = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)/?$")
STREAM = re.compile(r"/gradio_api/queue/data/?$")
UPLOAD = re.compile(r"/gradio_api/upload/?$")
UNUSED = re.compile(r"/pwa_icon/.*$|/gradio_api/(component_server|dev/reload)/?$")


def asks_endpoint(path: str) -> tuple[str, str] | None:
    """The way ("call/v2" where arguments have names) and the name of the endpoint that a POST asks for."""
    found = CALL.search(path)
    return None if found is None else (found[1], found[2])


def endpoint_path(name: str) -> str:
    """Where an endpoint is asked, with arguments by their names."""
    return f"/gradio_api/call/v2/{name}"


def asks_event(path: str) -> bool:
    """Whether a POST brings an event of the page, or a call of gradio_client."""
    return JOIN.search(path) is not None


def answers_event(path: str) -> str | None:
    """The event whose answer a GET waits for."""
    found = ANSWER.search(path)
    return None if found is None else found[1]


def answers_session(path: str) -> bool:
    """Whether a GET waits for all answers of a session, which its `session_hash` names."""
    return STREAM.search(path) is not None


def is_upload(path: str) -> bool:
    return UPLOAD.search(path) is not None


def is_heartbeat(path: str) -> bool:
    """Whether this is a page's stream that says nothing: its server is there, and it is."""
    return "/gradio_api/heartbeat/" in path


def is_unused(path: str) -> bool:
    """Gradio's routes that nothing here uses, and that it answers with a traceback or never."""
    return UNUSED.search(path) is not None


def built_file(path: str) -> Path | None:
    """The file behind an address of Gradio's own that says its content by a hash, None for any other address."""
    found = NAMED.fullmatch(path)
    return None if found is None else BUILT / found[1]


@cache
def language_module() -> str:
    """The address of the module that holds the language in which Gradio draws (assets/gradio.js changes it there)."""
    names = (one.name for one in sorted(BUILT.glob("*.js")) if _exports_language(one))
    return f"assets/{next(names)}"


def _exports_language(module: Path) -> bool:
    text = module.read_text(encoding="utf-8")
    return all(
        f" as {name}" in text for name in ("changeLocale", "load_translations", "process_langs")
    )


# --- The page ------------------------------------------------------------------------------------

# Of `launch`: no look whether the page answers within three seconds; a busy machine needs longer.
UNWATCHED: Mapping[str, Any] = {"_frontend": False}
LOGIN = b'"auth_required":true'
ADVERTS = re.compile(rb'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*>')
CONFIG = re.compile(rb"(?<=window\.gradio_config = )\{.*?\}(?=;</script>)", re.DOTALL)

KEYED = re.compile(r'__i18n__\{.*"key": ("(?:[^"\\]|\\.)*")\}', re.DOTALL)


def is_login_page(page: bytes) -> bool:
    return LOGIN in page


def for_people(page: bytes, programs: bool = False) -> bytes:
    """Gradio's page without its advertising and, unless it is for `programs`, without the parameters of the public
    endpoints and without those, which nothing on the page calls (`/config` has all of it)."""
    if not programs:
        page = CONFIG.sub(lambda found: _without_endpoints(found[0]), page, count=1)
    return ADVERTS.sub(b"", page)


def _without_endpoints(config: bytes) -> bytes:
    told = json.loads(config)
    parameters = {one["id"] for one in told["components"] if one["type"] == "api"}
    called = [one for one in told["dependencies"] if one["targets"]]
    told["components"] = [one for one in told["components"] if one["id"] not in parameters]
    told["dependencies"] = called
    for layout in (told, *told["page"].values()):
        nodes = layout["layout"]["children"]
        layout["layout"]["children"] = [one for one in nodes if one["id"] not in parameters]
    for page in told["page"].values():
        page["components"] = [one for one in page["components"] if one not in parameters]
        page["dependencies"] = [one["id"] for one in called]
    return json.dumps(told).replace("<", "\\u003c").encode("ascii")


def components_of(blocks: gr.Blocks) -> list[dict[str, Any]]:
    """What has been drawn so far, as the page is told of it: `id`, `type` and `props` of each component."""
    drawn: list[dict[str, Any]] = blocks.config["components"]
    return drawn


def key_in(text: object) -> str | None:
    """The key that stands in a component's property for one of the texts of `gr.I18n`; None where it is no key."""
    found = KEYED.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else json.loads(found[1])


def literal(value: Any) -> str:
    """A value for a component's `js_on_load`, whatever is in its texts. Gradio loses the properties of a component in
    a tab that nobody has opened yet; what its JavaScript is told there stays."""
    return json.dumps(value).replace("<", "\\u003c")


def plain(text: str) -> str:
    """`text` for an `html_template`, which Gradio takes for HTML, Handlebars and a JavaScript literal at once."""
    escaped = html.escape(text)
    return "".join(f"&#{ord(c)};" if c in "`${}\\" else c for c in escaped)


def as_text(value: Any) -> str:
    """A value of a stream as its component's JavaScript shall get it: of an object Gradio sends what changed, and the
    component would not notice."""
    return json.dumps(value)


def last_again(outputs: int) -> Any:
    """What a stream to so many components ends with. Gradio sends the last thing twice, the second time when another
    stream may have said something else."""
    return gr.skip() if outputs == 1 else (gr.skip(),) * outputs


# --- Events --------------------------------------------------------------------------------------

JOINING = ("fn_index", "data", "event_data", "session_hash", "trigger_id")  # what a client may say


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the page or an endpoint. `name` is the public one, `takes` the number of its values, None for any;
    one that does not `run` is done in the browser."""

    name: str | None
    takes: int | None
    runs: bool


def event_at(blocks: gr.Blocks, index: int) -> Event | None:
    """The event that a client names by its number."""
    found = blocks.fns.get(index)
    if found is None:
        return None
    name = found.api_name if found.api_visibility == "public" else None
    return Event(name, None if found.cancels else len(found.inputs), found.fn is not None)


def event_body(body: Mapping[str, Any], event_data: Mapping[str, Any]) -> dict[str, Any]:
    """What Gradio is given of an event: what it knows of, and event data that handlers can ask for names."""
    return {**{key: body[key] for key in JOINING if key in body}, "event_data": event_data}


def check_with(blocks: gr.Blocks, endpoint: Any, check: Callable[..., Any]) -> None:
    """Lets `check` say of the arguments of a `gr.api` endpoint whether they may be queued; `gr.api` itself takes no
    validator."""
    blocks.fns[endpoint["id"]].validator = check


def verdict_of(answer: Mapping[str, Any]) -> tuple[str, str] | None:
    """The sentence of a validator's 422, and the parameter that it is about; None for any other answer."""
    detail = answer.get("detail")
    for found in detail if isinstance(detail, list) else ():
        if isinstance(found, dict) and found.get("is_valid") is False:
            return str(found.get("message")), str(found.get("parameter_name"))
    return None


def say(sentence: str) -> None:
    """Says something over the page, from within an event: a sentence as the page is told it (`assets/gradio.js`)."""
    gr.Info(html.escape(json.dumps(with_keys(sentence), ensure_ascii=False), quote=False))


# --- Visitors and files --------------------------------------------------------------------------


def login_of(blocks: gr.Blocks, cookies: Mapping[str, str]) -> str | None:
    """Whose login a request's cookies are."""
    app = blocks.app
    secure, plainly = f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}"
    user: str | None = app.tokens.get(cookies.get(secure) or cookies.get(plainly))
    return user


def state_of(request: gr.Request) -> Any:
    """What middleware has noted of a handler's request."""
    return request.request.state


def upload_folder() -> Path:
    """Where the upload route writes, and from where files are served."""
    return Path(get_upload_folder())


def links_of(blocks: gr.Blocks) -> set[str]:
    """Names of the files of that folder which Gradio deletes when they are old, and at its own end."""
    links: set[str] = blocks.upload_file_set
    return links


def file_object(file: Path, name: str, kind: str) -> dict[str, Any]:
    """A file of the upload folder as an endpoint gives it to clients, which fetch it at the `url`."""
    url = f"gradio_api/file={file.as_posix()}"
    meta = {"_type": "gradio.FileData"}
    return {"path": str(file), "url": url, "orig_name": name, "mime_type": kind, "meta": meta}


def unmarked(value: Mapping[str, Any]) -> dict[str, Any]:
    """A client's object without the mark by which Gradio would fetch its URL or open its path."""
    marked = "path" in value or "url" in value
    return {key: one for key, one in value.items() if not (marked and key == "meta")}


# --- The server and its queue --------------------------------------------------------------------

AT_ONCE = (
    8  # connections taken in a turn; a few pass until one is counted, and another has made room
)
LOOK_S = 1.0  # between two looks for what nobody told of, and for Gradio's progress bars, which nothing uses


@contextmanager
def few_at_once() -> Iterator[None]:
    """A server that Gradio starts meanwhile takes few connections in a turn of its loop.

    As many as come would be taken before the first of them is counted, and all the files that may be open with them.
    """
    before = uvicorn.Config

    class Config(before):  # type: ignore[misc, valid-type]
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{"backlog": AT_ONCE, **named})

    uvicorn.Config = Config  # type: ignore[misc]
    try:
        yield
    finally:
        uvicorn.Config = before  # type: ignore[misc]


def server_of(blocks: gr.Blocks) -> Any:
    """The `uvicorn.Server` that runs since `launch`."""
    return blocks.server


def rest(blocks: gr.Blocks) -> None:
    """Lets the queue of a page that is not served yet rest while nothing is asked."""
    blocks._queue = RestingQueue(blocks._queue)


def pending_of(blocks: gr.Blocks) -> RestingQueue:
    """What a page at rest has been asked and has not answered."""
    queue: RestingQueue = blocks._queue
    return queue


class RestingQueue(Queue):  # type: ignore[misc]
    """A queue in the state of another that has not started, which waits to be told of events. Gradio's own looks a
    thousand times a second whether there is one, a twentieth of a processor that serves nobody."""

    def __init__(self, queue: Queue) -> None:
        self.__dict__.update(vars(queue))
        self.stopped: bool = queue.stopped
        self.progress_update_sleep_when_free = LOOK_S
        self._turn = asyncio.Event()  # something came, or something is done

    async def start_processing(self) -> None:
        try:
            while not self.stopped:
                self._turn.clear()
                while await self._begun():
                    pass
                try:
                    await asyncio.wait_for(self._turn.wait(), LOOK_S)
                except asyncio.TimeoutError:  # another class on Python 3.10
                    continue
        finally:
            self.stopped = True
            self._cancel_asyncio_tasks()

    async def _begun(self) -> bool:
        """Begins with what has waited longest, if there is something and a place for it."""
        if len(self) == 0 or None not in self.active_jobs:
            return False
        async with self.delete_lock:
            found = self.get_events()
        if not found:
            return False
        events, batch, concurrency_id = found
        first, began = events[0], time.time()
        self.active_jobs[self.active_jobs.index(None)] = events
        queue = self.event_queue_per_concurrency_id[concurrency_id]
        queue.current_concurrency += 1
        queue.start_times_per_fn[first.fn].add(began)
        for event in events:
            if event._id in self.event_analytics:
                self.event_analytics[event._id]["status"] = "processing"
        task = run_coro_in_background(self.process_events, events, batch, began, first.fn)
        set_task_name(task, first.session_hash, first.fn._id, first._id, batch)
        self._asyncio_tasks.add(task)
        task.add_done_callback(self._asyncio_tasks.discard)
        if self.live_updates:
            self.broadcast_estimations(concurrency_id)
        return True

    async def push(self, *args: Any, **kwargs: Any) -> Any:
        pushed = await super().push(*args, **kwargs)
        self._turn.set()
        return pushed

    async def process_events(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().process_events(*args, **kwargs)
        finally:
            self._turn.set()

    def has_event(self, event: str) -> bool:
        """Whether an event has not been answered, or its answer has not been fetched."""
        waiting = self.pending_event_ids_session
        if event in self.event_ids_to_events or event in waiting.get(event, ()):
            return True
        return any(event in events for events in list(waiting.values()))

    def has_session(self, session: str) -> bool:
        """Whether something was asked in a session lately."""
        return session in self.pending_messages_per_session
