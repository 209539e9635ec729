"""What counts as a picture that was sent, and how a saved one is handed out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from webui.errors import RequestError
from webui.ui.files import given_file, publish
from webui.ui.gradio_adapter import upload_folder


def upload(name: str, content: bytes = b"x") -> Path:
    folder = upload_folder() / "0123"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_an_upload_is_its_path() -> None:
    path = upload("a.png")
    assert given_file({"path": str(path)}, "image") == path.resolve()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_out_of_the_upload_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    link = upload("link.png")
    link.unlink()
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(RequestError, match="image: no such upload"):
        given_file({"path": str(link)}, "image")


def test_a_folder_is_no_upload() -> None:
    with pytest.raises(RequestError):
        given_file({"path": str(upload("a.png").parent)}, "image")


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_is_none(nothing: object) -> None:
    assert given_file(nothing, "image") is None


def test_a_data_url_is_its_bytes() -> None:
    assert given_file("data:image/png;base64,aGVsbG8=", "image") == b"hello"


def test_a_published_picture_is_the_saved_one_under_a_new_name(tmp_path: Path) -> None:
    saved = tmp_path / "00001-5.png"
    saved.write_bytes(b"picture")
    links: set[str] = set()
    one, other = publish(saved, links), publish(saved, links)
    assert Path(one["path"]).read_bytes() == b"picture"
    assert one["path"] != other["path"] and links == {one["path"], other["path"]}
    assert Path(one["path"]).is_relative_to(upload_folder().resolve())
    assert one["url"] == f"gradio_api/file={Path(one['path']).as_posix()}"
    assert str(tmp_path) not in one["path"]
