"""What a browser loads first: our scripts from an address of their own, Gradio's page and files packed once.

Gradio would carry our scripts inside the page's configuration, send the page unpacked, and pack each of its files anew
for every visitor. Here all of it is packed once and, where its name says its content, kept by the browser for good.
And of the page's configuration what only programs need (who read it at /config) is left out: Gradio's page looks at
every component for every event before it shows the first.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.ui.gradio_adapter import built_file, for_people, is_login_page, language_module
from webui.ui.theme import icon, scripts

__all__ = ["AssetCache"]

KINDS = {".js": "text/javascript", ".css": "text/css"}
KEPT = "public, max-age=31536000, immutable"
LEVEL = 5  # of gzip: a page of half a megabyte in about ten milliseconds
HEAD = b"<head>"


class AssetCache:
    """Wraps Gradio's app. `stale` says whether a form that is drawn now would be another than the one that Gradio
    keeps; the page is told, and asks for the new one (assets/forms.js)."""

    def __init__(self, app: ASGIApp, stale: Callable[[], bool] = lambda: False) -> None:
        self._app = app
        self._stale = stale
        ours = scripts().encode("utf-8")
        self._script = f"/easel.{hashlib.sha256(ours).hexdigest()[:16]}.js"
        self._files = {self._script: (KINDS[".js"], gzip.compress(ours, LEVEL))}
        self._page: tuple[Any, bytes] = (None, b"")  # what the last one was made of, and it packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        elif (file := await self._file(scope["path"])) is not None:
            kind, packed = file
            answer = _answer(scope, packed, {"content-type": kind, "cache-control": KEPT})
            await answer(scope, receive, send)
        elif scope["path"] == "/":
            await self._app(scope, receive, self._lightening(scope, receive, send))
        else:
            await self._app(scope, receive, send)

    async def _file(self, path: str) -> tuple[str, bytes] | None:
        """A file's kind and packed content; None for what Gradio is to answer."""
        built = built_file(path)
        if path not in self._files and built is not None:
            packed = await to_thread.run_sync(_packed_file, built)
            if packed is not None:
                self._files[path] = (KINDS[built.suffix], packed)
        return self._files.get(path)

    def _lightening(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """Sends Gradio's page as we want it, and anything else as it comes."""
        started: list[Message] = []
        body = bytearray()

        async def lightening(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            start = started[0]
            headers = [one for one in start["headers"] if one[0].lower() != b"content-length"]
            page = Headers(raw=headers)
            if start["status"] != 200 or not page.get("content-type", "").startswith("text/html"):
                await send(start)
                await send({**message, "body": bytes(body), "more_body": False})
                return
            of_programs = b"view=" in scope["query_string"]
            packed = await to_thread.run_sync(self._packed, bytes(body), of_programs)
            answer = _answer(scope, packed, {"cache-control": "no-cache"})
            answer.raw_headers = [*headers, *answer.raw_headers]
            await answer(scope, receive, send)

        return lightening

    def _packed(self, page: bytes, of_programs: bool) -> bytes:
        """On a thread of its own: the models folders are looked at, and packing takes its time."""
        made_of, kept = (page, of_programs, self._stale()), self._page
        if kept[0] != made_of:
            kept = self._page = (made_of, gzip.compress(self._lightened(*made_of), LEVEL))
        return kept[1]

    def _lightened(self, page: bytes, of_programs: bool, stale: bool) -> bytes:
        ours, login = icon(), is_login_page(page)
        if not login:
            ours += f'<title>Easel</title><script type="module" src="{self._script[1:]}"></script>'
            ours += f'<meta name="easel-gradio" content="{language_module()}">'
            if stale:
                ours += '<meta name="easel-form" content="stale">'
        page = for_people(page, programs=of_programs or login)
        return page.replace(HEAD, HEAD + ours.encode("utf-8"), 1)


def _packed_file(path: Path) -> bytes | None:
    """A file's content, packed; None where there is no such file."""
    try:
        return gzip.compress(path.read_bytes(), LEVEL)
    except OSError:
        return None


def _answer(scope: Scope, packed: bytes, headers: dict[str, str]) -> Response:
    """Unpacked for the rare one who cannot do it."""
    if "gzip" in Headers(scope=scope).get("accept-encoding", ""):
        packing = {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        return Response(packed, headers={**headers, **packing})
    return Response(gzip.decompress(packed), headers=headers)
