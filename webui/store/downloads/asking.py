"""GET requests over kept connections, any of which the other side may be closing while we ask.

Hubs and proxies close a connection that rested, or that has answered often enough, without a word. A request that was
on its way just then gets no byte of an answer, though nothing is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

__all__ = ["Client"]

CLOSED = (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)


class Client(httpx.Client):
    """Follows redirects. What was asked on a connection that had answered before, and got no byte of an answer, is
    asked once more: each request of a chain of redirects by itself."""

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = self._asked(request, **options)
        for _ in range(self.max_redirects):
            if answer.next_request is None:
                return answer
            answer.read()  # else its connection serves nothing more
            options["auth"] = httpx.Auth()  # the header was kept, or dropped for another host
            answer = self._asked(answer.next_request, **options)
        answer.close()
        raise httpx.TooManyRedirects("too many redirects", request=request)

    def _asked(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """The answer to one request. Where it is a redirect, `next_request` is what it leads to."""
        seen: set[str] = set()

        def trace(event: str, info: Mapping[str, Any]) -> None:
            seen.add(event.partition(".")[2])

        request.extensions = {**request.extensions, "trace": trace}
        options["follow_redirects"] = False
        try:
            return super().send(request, **options)
        except CLOSED:
            fresh, answered = "connect_tcp.started", "receive_response_headers.complete"
            if request.method != "GET" or seen & {fresh, answered}:
                raise
        return super().send(request, **options)
