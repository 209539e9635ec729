"""What stands in front of Gradio's app: our own paths go to our own app, and every request learns who asks.

Whoever may pass is decided here, for all our paths at once, so that a new route is guarded unless `OPEN` names it.
Gradio guards its own routes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.http.logins import Logins, named
from webui.http.owners import cookie_name, cookie_of, owner_of, visitor_in
from webui.types import Visitor

__all__ = ["OPEN", "Gate", "is_ours"]

OPEN = ("/health",)  # of our paths: what everybody may see
OURS = ("/docs", "/openapi.json", "/health", "/metrics")
READING = ("GET", "HEAD", "OPTIONS")
YEAR_S = 365 * 24 * 3600


def is_ours(path: str) -> bool:
    return path in OURS or path == "/api" or path.startswith("/api/")


class Gate:
    """Wraps Gradio's app. `login(cookies)` says whose login the page's cookies are; `face` is our own app.

    Leaves a `Visitor` in every request's `state.visitor`. With `logins` our paths demand one of them, by HTTP
    Basic or the page's cookie; without, the page gives each browser a cookie of ours.
    """

    def __init__(
        self,
        app: ASGIApp,
        login: Callable[[Mapping[str, str]], str | None],
        face: ASGIApp,
        logins: Logins,
        key: bytes,
    ) -> None:
        self._app = app
        self._login = login
        self._face = face
        self._logins = tuple(logins)
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        ours = is_ours(scope["path"])
        login = self._login_of(asked, basic=ours)
        cookie = asked.cookies.get(cookie_name(self._key))
        address = asked.client.host if asked.client else None
        owner = owner_of(login, cookie, address, self._key)
        visitor = Visitor(owner, sees_all=not self._logins)
        scope = {**scope, "state": {**scope.get("state", {}), "visitor": visitor}}
        if ours:
            refused = self._refusal(scope, asked, login)
            await (refused or self._face)(scope, receive, send)
        elif scope["path"] == "/" and not self._logins and visitor_in(cookie, self._key) is None:
            await self._app(scope, receive, self._giving_cookie(send))
        else:
            await self._app(scope, receive, send)

    def _login_of(self, asked: HTTPConnection, basic: bool) -> str | None:
        if not self._logins:
            return None
        if basic and "authorization" in asked.headers:
            return named(asked.headers["authorization"], self._logins)
        return self._login(asked.cookies)

    def _refusal(self, scope: Scope, asked: HTTPConnection, login: str | None) -> ASGIApp | None:
        """Why a request does not come to our app, or None. Another site's page may use a visitor's cookies:
        it is told nothing and changes nothing."""
        headers = asked.headers
        origin = headers.get("origin")
        if origin is not None and not _same_place(origin, headers.get("host", "")):
            return _refused(403, "the page of another site may not ask this")
        if self._logins and login is None and scope["path"] not in OPEN:
            basic = {"WWW-Authenticate": 'Basic realm="Easel", charset="UTF-8"'}
            return _refused(401, "log in: send the name and the password as HTTP Basic", basic)
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if scope["method"] not in READING and has_body:
            kind = headers.get("content-type", "").split(";")[0].strip().lower()
            if kind != "application/json":
                return _refused(415, "send JSON, with the header Content-Type: application/json")
        return None

    def _giving_cookie(self, send: Send) -> Send:
        async def giving(message: Message) -> None:
            if message["type"] == "http.response.start":
                value = f"{cookie_name(self._key)}={cookie_of(self._key)}"
                how = f"Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Lax"
                MutableHeaders(scope=message).append("set-cookie", f"{value}; {how}")
            await send(message)

        return giving


def _same_place(origin: str, host: str) -> bool:
    """Whether an `Origin` is the page that `Host` names; "null" is none."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> ASGIApp:
    return JSONResponse({"error": sentence, "field": None}, status, headers)
