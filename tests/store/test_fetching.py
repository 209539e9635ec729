"""What a hub answers instead of a file: whatever it is, nothing that came before is lost, and a sentence says it."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from webui.errors import EaselError
from webui.store.downloads.fetching import fetch, verify
from webui.store.downloads.hub import Hub, HubError
from webui.types.library import HubFile

BODY = os.urandom(50_000)
FILE = HubFile(path="a.safetensors", size=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())
HAVE = 20_000
PAGE = b"\n<!DOCTYPE html><html>log in to the network</html>".ljust(635)
PART = {"Content-Range": f"bytes {HAVE}-{len(BODY) - 1}/{len(BODY)}"}
WRONG = bytes(len(BODY))
HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass
class Answer:
    """One answer of the hub. `chunked` tells no length but that it ended; `told` is a length that is not the body's."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    told: int | None = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: list[Answer]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        answer = self.answers.pop(0)
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        self.send_header("Connection", "close")
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer.body), answer.body))
            return
        length = len(answer.body) if answer.told is None else answer.told
        self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            self.wfile.write(answer.body)
        except OSError:
            pass  # who asked has seen enough


@contextmanager
def serving(*answers: Answer) -> Iterator[Hub]:
    handler = type("Served", (Handler,), {"answers": list(answers)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


def asked(part: Path, *answers: Answer) -> str:
    """What is said when the hub answers so; "" where all is well."""
    with serving(*answers) as hub, hub.client() as client:
        try:
            fetch(client, hub, "o/n", "main", FILE, part, lambda done: None)
        except EaselError as fault:
            return str(fault)
    return ""


NO_FILE = {
    "a page": (Answer(PAGE, headers=HTML), "a web page"),
    "a page without a type": (Answer(PAGE, chunked=True), "a web page"),
    "a page as long as the file": (Answer(PAGE.ljust(len(BODY)), headers=HTML), "a web page"),
    "the same without a type": (Answer(PAGE.ljust(len(BODY))), "a web page"),
    "a redirect to a page": (Answer(b"", 302, {"Location": "/login"}), "a web page"),
    "an honest short length": (Answer(BODY[:1000]), "1000 bytes"),
    "a longer file": (Answer(BODY + b"x"), f"{len(BODY) + 1} bytes"),
    "a longer file of no told length": (Answer(BODY + b"x", chunked=True), "more than that"),
    "a message that ends": (Answer(b'{"error": "rate"}', chunked=True), "something else"),
    "nothing": (Answer(b"", 204), "error 204"),
    "no such range": (Answer(b"", 416), "error 416"),
    "too many": (Answer(b"", 429), "too many"),
    "an error": (Answer(PAGE, 503, HTML), "error 503"),
    "not allowed": (Answer(PAGE, 403, HTML), "HF_TOKEN"),
    "nobody's address": (Answer(b"", 302, {"Location": "http://[bad"}), "broke off"),
}
NO_REST = {
    "from the beginning": (Answer(BODY, 206, {"Content-Range": "bytes 0-49999/50000"}), "another part"),
    "of nowhere": (Answer(BODY[HAVE:], 206), "another part"),
    "of another file": (Answer(b"y" * 10, 206, {"Content-Range": f"bytes {HAVE}-20009/20010"}), "20010 bytes"),
    "packed": (Answer(gzip.compress(BODY[HAVE:]), 206, PART | {"Content-Encoding": "gzip"}), "another part"),
    "a page": (Answer(PAGE, 206, PART | HTML), "a web page"),
    "too much": (Answer(BODY, 206, PART), "more than that"),
    "another file, whole": (Answer(WRONG), "another content"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_FILE)
@pytest.mark.parametrize("have", [0, HAVE])
def test_what_is_not_the_file_changes_nothing(part, have, name, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    answer, words = NO_FILE[name]
    if have:
        part.write_bytes(BODY[:have])
    said = asked(part, answer, Answer(PAGE, headers=HTML))
    assert words in said or (have and "another content" in said), said
    assert (part.read_bytes() if part.exists() else b"") == BODY[:have]


@pytest.mark.parametrize("name", NO_REST)
def test_what_is_not_the_rest_changes_nothing(part, name):
    answer, words = NO_REST[name]
    part.write_bytes(BODY[:HAVE])
    assert words in asked(part, answer)
    assert part.read_bytes() == BODY[:HAVE]
    assert asked(part, Answer(BODY[HAVE:], 206, PART)) == ""
    verify(FILE, part, lambda done: None)


GOOD = {
    "its rest": Answer(BODY[HAVE:], 206, PART),
    "its rest of a size that nobody knows": Answer(
        BODY[HAVE:], 206, {"Content-Range": f"bytes {HAVE}-{len(BODY) - 1}/*"}
    ),
    "all of it": Answer(BODY),
    "all of it, packed": Answer(gzip.compress(BODY), 200, {"Content-Encoding": "gzip"}),
    "all of it, of no told length": Answer(BODY, chunked=True),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_file_arrives_however_it_is_sent(part, name):
    part.write_bytes(BODY[:HAVE])
    assert asked(part, GOOD[name]) == ""
    verify(FILE, part, lambda done: None)


def test_a_whole_file_that_breaks_off_goes_on_where_more_of_it_came(part):
    part.write_bytes(BODY[:HAVE])
    assert "broke off" in asked(part, Answer(BODY[:1000], told=len(BODY)))
    assert part.read_bytes() == BODY[:HAVE]
    assert "broke off" in asked(part, Answer(BODY[: 2 * HAVE], told=len(BODY)))
    assert part.read_bytes() == BODY[: 2 * HAVE]


def test_a_page_is_not_asked_for_again(part):
    with serving(Answer(PAGE, headers=HTML)) as hub, hub.client() as client:
        with pytest.raises(HubError) as fault:
            fetch(client, hub, "o/n", "main", FILE, part, lambda done: None)
    assert not fault.value.again


def test_a_disk_that_takes_a_part_of_a_block_gets_the_rest(part, monkeypatch):
    from webui.store.downloads import fetching

    class Slow:
        def __init__(self) -> None:
            self.got = b""

        def write(self, block: memoryview) -> int:
            self.got += block[:7]
            return min(7, len(block))

    slow = Slow()
    write: Callable[[Slow, bytes], None] = fetching._whole  # type: ignore[assignment]
    write(slow, BODY[:100])
    assert slow.got == BODY[:100]
