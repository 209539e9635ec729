"""`jobs` against a live server, as people type it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from tests.engine.conftest import models_dir
from tests.http.house import LONG, House, house
from webui import app

__all__ = ["models_dir"]

LOGIN = ("ann", "a:b")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("served"), models_dir, logins=(LOGIN,)) as running:
        yield running


def test_jobs_are_listed_shown_paused_resumed_and_cancelled(served, capsys):
    common = ["jobs", "--url", served.url, "--auth", ":".join(LOGIN)]

    def said(*words: str) -> str:
        assert app.main([*common, *words]) == 0
        return capsys.readouterr().out

    assert said() == "There are no jobs.\n"
    with httpx.Client(base_url=served.url, auth=LOGIN) as http:
        made = [served.submit(http, **LONG, prompt="many\nwords " * 9) for _ in range(2)]
    assert [line.split()[1] for line in said("pause", *made).splitlines()[1:]] == ["paused"] * 2
    table = said("list").splitlines()
    assert table[0].split()[:2] == ["ID", "STATE"] and len(table) == 3
    assert [line.split()[0] for line in table[1:]] == made[::-1]  # the newest first
    assert "many words" in table[1] and table[1].endswith("…") and " ann " in table[1]
    assert said("resume", made[0]).splitlines()[1].split()[1] in ("queued", "running")
    told = json.loads(said("show", made[0], "--json"))
    assert (told["id"], told["request"]["seed"]) == (made[0], 1)
    assert f"id: {made[1]}" in said("show", made[1]) and "seed: 1" in said("show", made[1])
    assert "0 of 8 made" in table[1]
    said("skip", made[0])
    assert "skipped: 0\n" in said("show", made[0])
    said("interrupt", made[0])
    said("cancel", made[1])
    assert len(json.loads(said("list", "--json"))["jobs"]) == 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["list", "--auth", "ann:wrong"], "asks for a login: give it with --auth USER:PASS"),
        (["list"], "asks for a login"),
        (["show", "lost", "--auth", "ann:a:b"], "job 'lost' is not known"),
        (["show", "../x?y", "--auth", "ann:a:b"], "there is no"),
        (["pause"], "say which, by its ID"),
        (["list", "3f"], "takes no ID"),
        (["stop", "3f"], "use list, show, pause, resume, interrupt, skip or cancel"),
        (["--url", "here:7860"], "give an address like"),
        (["--url", "http://[::1"], "no Easel answers"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_what_does_not_work_is_one_sentence(served, capsys, words, sentence):
    url = [] if "--url" in words else ["--url", served.url]
    assert app.main(["jobs", *words, *url]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1 and printed.out == ""


def test_where_nothing_answers_it_says_so(capsys, monkeypatch):
    port = free_port()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # it asks no proxy
    assert app.main(["jobs", "--port", str(port), "--host", "0.0.0.0"]) == 2
    assert f"no Easel answers at http://127.0.0.1:{port} (" in capsys.readouterr().err


def test_where_something_else_answers_it_says_so(capsys):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.server.server_port % 2 else 404)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert app.main(["jobs", "--url", f"http://127.0.0.1:{server.server_port}"]) == 2
        server.shutdown()
    assert "is no Easel" in capsys.readouterr().err
