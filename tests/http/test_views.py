"""A job as JSON: what its places mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from tests.engine.conftest import request
from webui.http.views import detail, picture_at
from webui.types import JobStatus, SavedPicture


def saved(seed: int) -> SavedPicture:
    return SavedPicture(Path(f"{seed}.png"), seed, 64, 64, "words", seed - 10)


def test_a_pictures_number_is_its_place_whichever_is_finished_first():
    asked = request(seed=10, batch_size=4)
    early = JobStatus("j", "running", 1, asked, pictures=(saved(12),))
    later = JobStatus("j", "running", 2, asked, pictures=(saved(10), saved(12), saved(13)))
    for status in (early, later):
        assert picture_at(status, 2) == saved(12)
        (image,) = (image for image in detail(status).images if image.seed == 12)
        assert (image.number, image.url) == (2, "/api/jobs/j/images/2")
    assert picture_at(early, 0) is None and picture_at(later, 0) == saved(10)
    assert picture_at(later, 1) is None and picture_at(later, -1) is None


def test_what_is_told_on_a_picture_stands_at_it():
    told = replace(saved(11), notes=("one thing", "another"))
    status = JobStatus("j", "done", 1, request(seed=10), pictures=(saved(10), told))
    assert [image.notes for image in detail(status).images] == [[], ["one thing", "another"]]


def test_a_request_is_told_without_its_pictures():
    picture = Image.new("RGB", (8, 8))
    asked = request(task="img2img", image=picture, extras={"stamp": picture, "amount": 0.5})
    told = detail(JobStatus("j", "queued", 1, asked)).request
    assert told["extras"] == {"stamp": None, "amount": 0.5}
    assert not {"image", "mask"} & set(told) and told["prompt"] == "a cat"
