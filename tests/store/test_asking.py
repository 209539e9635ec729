"""A server that closes a kept connection without a word: what was asked on it is asked once more, nothing else is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from webui.store.downloads.asking import Client

ANSWER = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s"


@dataclass
class Closer:
    """Keeps every connection, answers `good` requests on each, and closes it when the next one has arrived."""

    good: int = 1
    rest: bytes = b""  # what it says before it closes
    url: str = ""
    asked: list[tuple[int, str]] = field(default_factory=list)  # which connection, what

    def serve(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as lines:
            for count in range(self.good + 1):
                words = lines.readline().decode().split()
                while lines.readline().strip():
                    pass
                if not words:
                    return
                self.asked.append((number, f"{words[0]} {words[1]}"))
                if count == self.good:
                    connection.sendall(self.rest)
                    return
                place, hop = words[1][1:].partition("/")[::2]
                if place == "away":
                    said = b"302 Found", 0, b"Location: /%s\r\n" % hop.encode(), b""
                else:
                    said = b"200 OK", 4, b"", b"file"
                connection.sendall(ANSWER % said)


@contextmanager
def closer(good: int = 1, rest: bytes = b"") -> Iterator[Closer]:
    made = Closer(good, rest)
    with socket.create_server(("127.0.0.1", 0)) as server:
        made.url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def accept() -> None:
            for number in range(20):
                try:
                    connection, _ = server.accept()
                except OSError:  # the test is over
                    return
                threading.Thread(target=made.serve, args=(connection, number), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield made


def read(client: Client, url: str) -> bytes:
    return client.get(url).content


def streamed(client: Client, url: str) -> bytes:
    with client.stream("GET", url) as answer:
        return b"".join(answer.iter_raw())


WAYS = pytest.mark.parametrize("ask", [read, streamed])


@WAYS
def test_a_connection_that_is_closed_at_the_second_request_costs_nothing(
    ask: Callable[[Client, str], bytes],
) -> None:
    with closer() as server, Client() as client:
        assert [ask(client, server.url + path) for path in ("/one", "/two")] == [b"file"] * 2
    assert server.asked == [(0, "GET /one"), (0, "GET /two"), (1, "GET /two")]


@WAYS
def test_every_request_of_a_chain_of_redirects_is_asked_again_by_itself(
    ask: Callable[[Client, str], bytes],
) -> None:
    with closer() as server, Client() as client:
        assert ask(client, server.url + "/away/away/file") == b"file"
    assert server.asked == [
        (0, "GET /away/away/file"),
        (0, "GET /away/file"),
        (1, "GET /away/file"),
        (1, "GET /file"),
        (2, "GET /file"),
    ]


def test_a_new_connection_without_an_answer_is_a_fault() -> None:
    with closer(good=0) as server, Client() as client, pytest.raises(httpx.HTTPError):
        client.get(server.url + "/one")
    assert server.asked == [(0, "GET /one")]


def test_what_is_no_question_is_not_sent_twice() -> None:
    with closer() as server, Client() as client:
        client.get(server.url + "/one")
        with pytest.raises(httpx.HTTPError):
            client.post(server.url + "/two")
    assert server.asked == [(0, "GET /one"), (0, "POST /two")]


def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfi"
    with closer(rest=half) as server, Client() as client:
        client.get(server.url + "/one")
        with pytest.raises(httpx.HTTPError):
            client.get(server.url + "/two")
    assert server.asked == [(0, "GET /one"), (0, "GET /two")]


def test_redirects_have_an_end() -> None:
    with closer(good=50) as server, Client() as client, pytest.raises(httpx.TooManyRedirects):
        client.get(server.url + "/" + "away/" * 30)
    assert len(server.asked) == 21


def test_a_token_stays_with_its_host() -> None:
    """As with httpx's own way of following."""
    with closer() as server, Client(headers={"Authorization": "Bearer x"}) as client:
        answer = client.get(server.url + "/away/file")
        assert answer.request.headers["Authorization"] == "Bearer x"
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        with closer() as other, Client(headers={"Authorization": "Bearer x"}) as second:
            moved = second.get(f"{other.url}/away//{elsewhere.removeprefix('http://')}/file")
    assert "Authorization" not in moved.request.headers
