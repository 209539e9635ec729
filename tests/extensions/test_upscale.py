"""Upscaling of finished pictures: exact sizes, by the upscaler that was asked for, and refused before it is made."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from PIL import Image

from extensions import upscale
from tests.engine.conftest import request
from webui.errors import RequestError
from webui.types import Task

EXTRAS = {"upscale_by": 1.0, "upscaler": "Lanczos"}


def painted(asked, studio):
    """Two colours side by side, so that a filter shows."""
    picture = Image.new("RGB", (asked.width, asked.height), "red")
    picture.paste("blue", (asked.width // 2, 0, asked.width, asked.height))
    return picture


@pytest.fixture
def bench(start):
    task = Task("paint", "Paint", painted, samples=False)
    return start(tasks={"paint": task}, postprocessors=upscale.register_postprocessors())


def made(bench, width=64, height=72, **extras):
    asked = request(task="paint", width=width, height=height, extras={**EXTRAS, **extras})
    assert bench.end(bench.engine.submit(asked)).state == "done"
    return bench.finished[-1]


@pytest.mark.parametrize(("name", "filter"), [("Lanczos", 1), ("Nearest", 0)])
def test_it_is_pillows_own_filter(bench, name, filter):
    finished = made(bench, upscale_by=2.5, upscaler=name)
    small = painted(request(width=64, height=72), None)
    expected = small.resize((160, 180), Image.Resampling(filter))
    assert finished.picture.tobytes() == expected.tobytes()
    assert finished.notes["Post-processing"] == "upscale"


def test_a_scale_of_one_leaves_the_picture_and_says_nothing(bench):
    finished = made(bench)
    assert finished.picture.size == (64, 72)
    assert not finished.notes


def test_what_is_too_large_is_refused_with_what_fits():
    asked = request(width=2048, height=2048, extras={**EXTRAS, "upscale_by": 4.0})
    with pytest.raises(RequestError, match=r"8192 x 8192 is more than 32 megapixels; .* 2\.75$"):
        upscale.change_request(asked)
    fits = request(width=2048, height=2048, extras={**EXTRAS, "upscale_by": 2.75})
    assert upscale.change_request(fits) is None


def test_a_picture_larger_than_was_asked_for_is_refused_too():
    asked = request(extras={**EXTRAS, "upscale_by": 3.0})
    with pytest.raises(RequestError, match="use at most 1"):
        upscale.upscale(Image.new("RGB", (6000, 5000)), asked, None)


def test_a_task_without_the_controls_is_left_alone():
    assert upscale.change_request(request(extras=MappingProxyType({}))) is None
