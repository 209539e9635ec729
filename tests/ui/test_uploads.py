"""Uploads that are cut, or that do not fit: a sentence, no traceback, and nothing left behind."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.ui.painter import FlatPainter, until
from webui.ui.gradio_adapter import upload_folder
from webui.ui.page import Page
from webui.ui.uploads import COARSE_S, KEEP_S, UploadsFolder

URL = "/gradio_api/upload"


def parts() -> list[Path]:
    return list(upload_folder().glob("tmp*"))


def test_an_upload_that_is_cut_leaves_nothing(
    page: Page, painter: FlatPainter, capfd: pytest.CaptureFixture[str]
) -> None:
    address = urlsplit(page.url)
    head = (
        f"POST {URL} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + bytes(300_000))
        until(parts, "the upload's file")
        assert page.uploads.sweep() == 0  # it is in use
        assert parts()
    until(lambda: not parts(), "its end")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("number", "status", "sentence"),
    [
        (errno.ENOSPC, 507, "the disk is full: make some space"),
        (errno.EMFILE, 503, "cannot be kept"),
    ],
)
def test_an_upload_that_does_not_fit_is_told(
    http: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: int,
    status: int,
    sentence: str,
) -> None:
    from gradio.route_utils import GradioUploadFile

    async def full(self: Any, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(GradioUploadFile, "write", full)
    answer = http.post(URL, files={"files": ("a.png", bytes(1000))})
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]
    assert not parts()
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    assert http.post(URL, files={"files": ("a.png", bytes(1000))}).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        {"data": {"files": "x"}, "files": {"other": ("a.png", b"x")}},
        {"files": {"files": (None, "a text")}},
        {"files": {"files": (None, "a text")}, "params": {"upload_id": "u"}},
    ],
)
def test_what_is_no_upload_is_told(
    http: httpx.Client, capfd: pytest.CaptureFixture[str], given: Any
) -> None:
    answer = http.post(URL, **given)
    assert answer.status_code == 400
    assert "send files" in answer.json()["detail"]
    assert not parts()
    assert "Traceback" not in capfd.readouterr().err


# --- Sweeping -------------------------------------------------------------------------------------


def put(path: Path, age_s: float = 0) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    left, mine = put(tmp_path / "tmp0a_b9cde"), put(tmp_path / "tmp.txt")
    whole = put(tmp_path / ("ab" * 32) / "a.png")
    with left.open("rb") as still_open:
        assert UploadsFolder(tmp_path).sweep() == 1
        assert os.fstat(still_open.fileno()).st_size == 0  # the space is free at once
    assert (left.exists(), mine.exists(), whole.exists()) == (False, True, True)


def test_an_upload_does_not_wait_for_a_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins on the event loop, and a folder may take its time."""
    reached, go = threading.Event(), threading.Event()
    scan = os.scandir

    def slow(path: Any) -> Any:
        reached.set()
        assert go.wait(60)
        return scan(path)

    monkeypatch.setattr(os, "scandir", slow)
    folder = UploadsFolder(tmp_path)
    left = put(tmp_path / "tmpleft0000", COARSE_S + 60)
    sweeping = threading.Thread(target=folder.sweep)
    sweeping.start()
    assert reached.wait(60)
    with folder.one():
        go.set()
        sweeping.join(60)
    assert not left.exists()


def test_a_file_that_may_be_in_use_stays(tmp_path: Path) -> None:
    folder = UploadsFolder(tmp_path)
    before = put(tmp_path / "tmpbefore00", COARSE_S + 60)
    with folder.one():
        mine = put(tmp_path / "tmpmine0000")
        with folder.one():  # another begins and ends
            pass
        assert folder.sweep() == 1
        assert (before.exists(), mine.exists()) == (False, True)
    assert folder.sweep() == 1
    assert not mine.exists()


def test_uploads_of_another_day_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / ("ab" * 32) / "a.png")
    other = put(tmp_path / "mine" / "a.png")
    now = time.time()
    monkeypatch.setattr("webui.ui.uploads.time.time", lambda: now + KEEP_S + 60)
    assert UploadsFolder(tmp_path).sweep() == 1
    assert not (tmp_path / ("ab" * 32)).exists() and other.exists()


def test_no_folder_is_no_fault(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert UploadsFolder(folder).sweep() == 0
    shutil.rmtree(folder, ignore_errors=True)
