"""The ASGI middleware in front of Gradio: turns away what Gradio would answer with a 500 or a traceback.

It knows the public endpoints and their parameters' names, never what a value means (that is
`webui.defaults`, asked by each endpoint's validator). It also takes Gradio's marks off incoming file
objects, so that Gradio neither fetches a URL nor opens a path: `webui.ui.files` decides on those.

Every event of the page is an HTTP endpoint, so what an event carries has its shape here: handlers may count on an
object of event data and on as many values as they have components, of any kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from anyio import to_thread
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.errors import RequestError
from webui.registry import nearest
from webui.ui import gradio_adapter as gradio
from webui.ui.files import UPLOAD_BYTES, uploaded

__all__ = ["Asked", "GradioValidation", "Parameters"]

BODY_BYTES = 2 * (UPLOAD_BYTES * 4 // 3) + 2**20  # a picture and a mask as data URLs, and words
DEPTH = 32
NAME_MAX = 200  # characters of a session's name


@dataclass(frozen=True, slots=True)
class Parameters:
    """An endpoint's parameters in order; the first `required` ones have no default."""

    names: tuple[str, ...]
    required: int = 0


class Asked(Protocol):
    """What has been asked of Gradio, and is not answered yet."""

    def has_event(self, event: str) -> bool: ...

    def has_session(self, session: str) -> bool: ...


class Refusal(Exception):
    """Why a call is turned away, with the HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class GradioValidation:
    """Wraps Gradio's app. `endpoints` maps public names to parameters, `event` gives every event by its number."""

    def __init__(
        self,
        app: ASGIApp,
        endpoints: Mapping[str, Parameters],
        event: Callable[[int], gradio.Event | None],
        asked: Asked,
    ) -> None:
        self.app = app
        self.endpoints = endpoints
        self.event = event
        self.asked = asked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and gradio.is_unused(scope["path"]):
            unused = JSONResponse({"detail": "there is nothing here"}, status_code=404)
            await unused(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "GET":
            await self._answering(scope, receive, send)
            return
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
        call, join = gradio.asks_endpoint(path), gradio.asks_event(path)
        if call is None and not join:
            await self.app(scope, receive, send)
            return
        try:
            if call is not None:
                self._known(*call)
            content = await to_thread.run_sync(self._checked, call, await _read(scope, receive))
        except Refusal as refusal:
            refused = JSONResponse({"detail": str(refusal)}, status_code=refusal.status)
            await refused(scope, receive, send)
            return
        length = (b"content-length", str(len(content)).encode("ascii"))
        headers = [
            h for h in scope["headers"] if h[0] not in (b"content-length", b"transfer-encoding")
        ]
        answer = send if join else _plainly(send)
        await self.app({**scope, "headers": [*headers, length]}, _again(content, receive), answer)

    def _checked(self, call: tuple[str, str] | None, content: bytes) -> bytes:
        """What Gradio is given of a body; on a thread of its own, as it may be large and name files."""
        body = _parsed(content)
        if call is not None:
            self._complete(body, self.endpoints[call[1]], named=call[0] == "call/v2")
        else:
            body = self._joined(body)
        return _text(_unmarked(body))

    async def _answering(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streams of answers, of what was asked; Gradio would break the others off, with a traceback."""
        event, refusal = gradio.answers_event(scope["path"]), None
        if event is not None and not self.asked.has_event(event):
            refusal = Refusal(404, f"event {event!r} is not known: call its endpoint again")
        if gradio.answers_session(scope["path"]):
            session = QueryParams(scope["query_string"]).get("session_hash")
            if not session:
                refusal = Refusal(422, "session_hash: say whose answers you wait for")
            elif not self.asked.has_session(session):
                refusal = Refusal(404, f"session {session!r} is not known: nothing was asked in it")
        if refusal is None:
            await self.app(scope, receive, send)
            return
        refused = JSONResponse({"detail": str(refusal)}, status_code=refusal.status)
        await refused(scope, receive, send)

    def _known(self, way: str, name: str) -> None:
        if name not in self.endpoints:
            hint = nearest(name, list(self.endpoints))
            raise Refusal(404, f"endpoint {name!r} is not known{hint}")
        if way not in ("call", "call/v2"):
            path = gradio.endpoint_path(name)
            raise Refusal(404, f"use {path}: every job goes through the queue")

    def _complete(self, body: dict[str, Any], parameters: Parameters, named: bool) -> None:
        names = parameters.names
        if named:
            for key in body:
                if key not in names:
                    hint = nearest(key, names)
                    raise Refusal(422, f"argument {key!r} is not known{hint}")
            for name in names[: parameters.required]:
                if name not in body:
                    raise Refusal(422, f"argument {name!r} is missing")
            return
        data = body.get("data")
        if not isinstance(data, list):
            raise Refusal(422, "give the arguments in order as a list named 'data'")
        if len(data) > len(names):
            raise Refusal(422, f"{len(data)} arguments; there are {len(names)}: {', '.join(names)}")
        if len(data) < parameters.required:
            raise Refusal(422, f"argument {names[len(data)]!r} is missing")
        data.extend([None] * (len(names) - len(data)))

    def _joined(self, body: dict[str, Any]) -> dict[str, Any]:
        """An event of the page, or a call of gradio_client, which names it by its number. Gives what Gradio is told
        of it."""
        index, data = body.get("fn_index"), body.get("data")
        known = isinstance(index, int) and not isinstance(index, bool)
        event = self.event(index) if known else None  # type: ignore[arg-type]
        if event is None:
            raise Refusal(404, f"fn_index {index!r} is not known; reload the page")
        if not event.runs:
            raise Refusal(404, f"fn_index {index!r} is done in the browser")
        if not isinstance(data, list):
            raise Refusal(422, "give the arguments in order as a list named 'data'")
        session, trigger = body.get("session_hash"), body.get("trigger_id")
        if not isinstance(session, str) or not 0 < len(session) <= NAME_MAX:
            raise Refusal(422, f"session_hash: give a text of 1 to {NAME_MAX} characters")
        if trigger is not None and (isinstance(trigger, bool) or not isinstance(trigger, int)):
            raise Refusal(422, "trigger_id: give the number of a component, or leave it out")
        parameters = self.endpoints.get(event.name or "")
        if parameters is not None:
            self._complete(body, parameters, named=False)
        elif event.takes is not None and len(data) != event.takes:
            raise Refusal(422, f"{len(data)} values where {event.takes} belong")
        event_data = body.get("event_data")
        if event_data is not None and not isinstance(event_data, dict):
            raise Refusal(422, "event_data: give a JSON object")
        _uploads_of(event_data)
        if parameters is None:
            _countable([data, event_data])
        return gradio.event_body(body, event_data or {})


def _uploads_of(value: Any, depth: int = 0) -> None:
    """Refuses event data with the path of a file that is no upload, at any depth; Gradio would say so with a
    traceback."""
    if depth > DEPTH:
        raise Refusal(422, f"values are nested more than {DEPTH} deep")
    if isinstance(value, dict):
        path = value.get("path")
        if isinstance(path, str) and path:
            try:
                uploaded(path, "path")
            except RequestError as error:
                raise Refusal(422, str(error)) from None
        for inner in value.values():
            _uploads_of(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _uploads_of(inner, depth + 1)


def _countable(value: Any, depth: int = 0) -> None:
    """Refuses whole numbers that Gradio could not send back: handlers may answer with what they were told."""
    if depth > DEPTH:
        raise Refusal(422, f"values are nested more than {DEPTH} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Refusal(422, "a number has more than 64 bits")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _countable(one, depth + 1)


async def _read(scope: Scope, receive: Receive) -> bytes:
    length = dict(scope["headers"]).get(b"content-length", b"0")
    parts, came, size = [], 0, int(length) if length.isdigit() else 0
    while True:
        if size > BODY_BYTES:
            limit = BODY_BYTES >> 20
            raise Refusal(413, f"more than {limit} MB; upload pictures as files")
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "the request ended early")
        part = message.get("body", b"")
        parts.append(part)
        came += len(part)
        size = max(size, came)
        if not message.get("more_body", False):
            return b"".join(parts)


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(422, "the body must be a JSON object")
    return body


def _text(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        raise Refusal(422, "the text has a character that is no character") from None


def _unmarked(value: Any, depth: int = 0) -> Any:
    """`value` without Gradio's marks of file objects at any depth."""
    if depth > DEPTH:
        raise Refusal(422, f"values are nested more than {DEPTH} deep")
    if isinstance(value, dict):
        return {k: _unmarked(v, depth + 1) for k, v in gradio.unmarked(value).items()}
    if isinstance(value, list):
        return [_unmarked(v, depth + 1) for v in value]
    return value


def _again(content: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, then what the connection really says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": content, "more_body": False}

    return again


def _plainly(send: Send) -> Send:
    """A `send` that turns a validator's 422, a list with an entry for every parameter, into the one
    sentence and its field. (gradio_client reads the list; it comes by another route.)"""
    start: Message | None = None
    content = b""

    async def plainly(message: Message) -> None:
        nonlocal start, content
        if message["type"] == "http.response.start" and message["status"] == 422:
            start = message
            return
        if start is None:
            await send(message)
            return
        content += message.get("body", b"")
        if message.get("more_body", False):
            return
        answer = json.dumps(_sentence(json.loads(content))).encode("utf-8")
        headers = [h for h in start["headers"] if h[0] != b"content-length"]
        headers.append((b"content-length", str(len(answer)).encode("ascii")))
        await send({**start, "headers": headers})
        await send({**message, "body": answer})

    return plainly


def _sentence(answer: dict[str, Any]) -> dict[str, Any]:
    verdict = gradio.verdict_of(answer)
    return answer if verdict is None else {"detail": verdict[0], "field": verdict[1]}
