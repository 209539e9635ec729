"""A hub like huggingface.co on loopback: repositories, LFS checksums, redirects, ranges, and its bad days."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class FakeHub:
    """What a test sets and sees. `files` are of the repository `owner/name`; those over 1 kB are LFS files, which are
    fetched from another path behind a redirect."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    token: str = ""  # what it demands
    status: int = 0  # what it answers with to everything
    cut_after: int = 0  # bytes of the next file after which the connection breaks off
    wrong: bool = False  # other bytes than the listing says
    ranges: bool = True
    hold: threading.Event = field(
        default_factory=threading.Event
    )  # cleared: stops in the middle of files
    asked: list[tuple[str, str]] = field(default_factory=list)  # paths, with the Range
    listed: bytes | None = None  # instead of the listing

    def listing(self) -> dict[str, Any]:
        siblings = []
        for path, content in self.files.items():
            told: dict[str, Any] = {"rfilename": path, "size": len(content)}
            told["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if len(content) > 1000:
                digest = hashlib.sha256(content).hexdigest()
                told["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(told)
        return {"id": "owner/name", "modelId": "owner/name", "sha": COMMIT, "siblings": siblings}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.asked.append((path, self.headers.get("Range", "")))
        if hub.status:
            self.answer(hub.status, b"no", {"Retry-After": "0"})
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.answer(401, b"who?")
        elif path == "/api/models/owner/name":
            self.answer(200, hub.listed or json.dumps(hub.listing()).encode())
        elif path.startswith(begin := f"/owner/name/resolve/{COMMIT}/"):
            self.file(path.removeprefix(begin), redirect=True)
        elif path.startswith("/cdn/"):
            self.file(path.removeprefix("/cdn/"), redirect=False)
        else:
            self.answer(404, b"Repository not found")

    def file(self, name: str, redirect: bool) -> None:
        hub = self.hub
        content = hub.files.get(name)
        if content is None:
            self.answer(404, b"Entry not found")
            return
        if redirect and len(content) > 1000:
            digest = hashlib.sha256(content).hexdigest()
            headers = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
            self.answer(302, b"", {**headers, "Location": f"{hub.url}/cdn/{quote(name)}"})
            return
        if hub.wrong:
            content = bytes(len(content))
        asked, begin, status = self.headers.get("Range", ""), 0, 200
        headers = {"Accept-Ranges": "bytes"}
        if asked and hub.ranges:
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
            status = 206
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        body = content[begin:]
        cut, hub.cut_after = hub.cut_after, 0
        if cut:
            headers["Connection"] = "close"
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if cut:
            self.wfile.write(body[:cut])
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        hub.hold.wait(60)
        try:
            self.wfile.write(body[half:])
        except OSError:  # nobody listens any more
            self.close_connection = True

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.hold.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.hold.set()
        server.shutdown()
        server.server_close()
