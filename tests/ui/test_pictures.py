"""Addresses of our own, and the files behind them: for whom they are, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ui.painter import FlatPainter, until
from webui.errors import RequestError
from webui.types import GalleryPicture, GenerationRequest, JobStatus
from webui.ui.files import given_file
from webui.ui.pictures import OwnPictures

ANN: Any = SimpleNamespace(username="ann", client=None)
BOB: Any = SimpleNamespace(username="bob", client=None)
ANYBODY: Any = SimpleNamespace(username=None, client=None)


class OneKept:
    """A gallery of one picture, which is Ann's."""

    def __init__(self, path: Path) -> None:
        self.picture = GalleryPicture(
            id=7, path=path, name=path.name, stamp="ab12", width=64, height=64, made_s=0.0
        )

    def get(self, picture: int, owner: str | None = None) -> GalleryPicture:
        if picture != 7 or owner not in (None, "ann"):
            raise RequestError(f"picture {picture} is not known")
        return self.picture

    def at(self, path: Path, owner: str | None = None) -> GalleryPicture | None:
        return self.picture if path == self.picture.path else None


@pytest.fixture
def job(tmp_path: Path) -> tuple[FlatPainter, JobStatus]:
    """A job of Ann's with two pictures."""
    painter = FlatPainter(tmp_path, step_s=0)
    request = GenerationRequest(
        task="txt2img", model="m", sampler_name="Euler", seed=1, steps=1, cfg_scale=1.0,
        width=64, height=64, batch_size=2,
    )  # fmt: skip
    name = painter.submit(request, "ann")
    until(lambda: painter.status(name).ended, "it is done")
    return painter, painter.status(name)


def test_a_picture_has_the_jobs_address_until_the_gallery_knows_it(
    job: tuple[FlatPainter, JobStatus],
) -> None:
    painter, status = job
    first, second = status.pictures
    own = OwnPictures(painter, OneKept(first.path))  # type: ignore[arg-type]
    assert own.links(status.id, first) == {
        "id": 7,
        "url": "api/pictures/7/file?v=ab12",
        "thumbnail": "api/pictures/7/thumbnail?v=ab12",
        "favourite": False,
    }
    links = own.links(status.id, second)
    assert links is not None and links["id"] is None
    assert links["url"] == f"api/jobs/{status.id}/images/1"
    second.path.unlink()
    assert own.links(status.id, second) is None


def test_an_address_of_ours_is_the_file_for_whose_it_is(job: tuple[FlatPainter, JobStatus]) -> None:
    painter, status = job
    own = OwnPictures(painter, OneKept(status.pictures[0].path))  # type: ignore[arg-type]
    kept, made = "api/pictures/7/file?v=ab12", f"api/jobs/{status.id}/images/1"
    for url, picture in ((kept, status.pictures[0]), (made, status.pictures[1])):
        for who in (ANN, ANYBODY):
            assert own.file(url, who) == own.file("/" + url, who) == picture.path
        with pytest.raises(RequestError, match="is not known"):
            own.file(url, BOB)
    with pytest.raises(RequestError, match="no longer there"):
        own.file(f"api/jobs/{status.id}/images/2", ANN)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/api/pictures/7/file",
        "//elsewhere/api/pictures/7/file",
        "file:///etc/passwd",
        "api/pictures/7/../../../etc/passwd",
        "api/pictures/7/file/../thumbnail",
        "api/pictures/-7/file",
        "api/jobs/../images/0",
        "http://[broken/api",
        "",
    ],
)
def test_any_other_address_is_none_of_ours_and_refused(
    url: str, job: tuple[FlatPainter, JobStatus]
) -> None:
    painter, status = job
    own = OwnPictures(painter, OneKept(status.pictures[0].path))  # type: ignore[arg-type]
    value = {"image": {"path": "", "url": url}, "mask": ""}
    assert own.opened(value, "image", ANN) is value
    with pytest.raises(RequestError, match="image: that is no picture; send an uploaded file"):
        given_file(value["image"], "image")


def test_a_forms_picture_is_opened_only_from_an_address(
    job: tuple[FlatPainter, JobStatus],
) -> None:
    painter, status = job
    own = OwnPictures(painter)
    url = f"api/jobs/{status.id}/images/0"
    value = {"image": {"path": "", "url": url}, "mask": "x", "width": 64}
    opened = own.opened(value, "image", ANN)
    assert opened == {**value, "image": status.pictures[0].path}
    assert given_file(opened["image"], "image") == status.pictures[0].path
    with pytest.raises(RequestError, match=f"image: job '{status.id}' is not known") as error:
        own.opened(value, "image", BOB)
    assert error.value.field == "image"
    upload = {"image": {"path": "/tmp/x", "url": url}}
    for untouched in (upload, "words", 5, None, {"image": None}, {"image": {"url": 5}}):
        assert own.opened(untouched, "image", ANN) is untouched
    assert own.file("api/pictures/7/file", ANN) is None  # there is no gallery


def test_links_say_what_the_gallery_says(job: tuple[FlatPainter, JobStatus]) -> None:
    painter, status = job
    kept = OneKept(status.pictures[0].path)
    kept.picture = replace(kept.picture, favourite=True)
    links = OwnPictures(painter, kept).links(status.id, status.pictures[0])  # type: ignore[arg-type]
    assert links is not None and links["favourite"] is True
