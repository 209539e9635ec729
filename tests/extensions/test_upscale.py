"""Upscaling of finished pictures: exact sizes, by the upscaler that was asked for, and refused before it is made."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from PIL import Image

from extensions import upscale
from tests.engine.conftest import request
from webui.errors import RequestError
from webui.metadata import infotext, parse
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


SETTINGS = (
    "a cat\nNegative prompt: fog\n"
    "Steps: 4, Sampler: Euler, CFG scale: 7.0, Seed: 5, Size: 64x72, Model: m, Version: Easel 0.1"
)


def with_settings(size: tuple[int, int], settings: str) -> Image.Image:
    """A picture as it is opened from a file that carries settings."""
    picture = Image.new("RGB", size, "teal")
    picture.info["parameters"] = settings
    return picture


def upscaled(start, picture, **extras):
    (task,) = upscale.register_tasks()
    bench = start(tasks={"upscale": task}, postprocessors=upscale.register_postprocessors())
    asked = request(task="upscale", image=picture, extras={**EXTRAS, "upscale_by": 2.0, **extras})
    assert bench.end(bench.engine.submit(asked)).state == "done"
    return bench.finished[-1]


def test_as_a_task_it_takes_the_picture_at_its_own_size(start):
    finished = upscaled(start, with_settings((2056, 30), ""))  # wider than a request may ask for
    assert finished.picture.size == (4112, 60)
    assert not finished.sampled


def test_the_settings_of_the_picture_stay_with_it(start):
    finished = upscaled(start, with_settings((64, 72), SETTINGS), upscaler="Nearest")
    text = infotext(replace(finished, request=replace(finished.request, prompt="")))
    assert text.startswith("a cat\nNegative prompt: fog\nSteps: 4, Sampler: Euler, ")
    found, before = parse(text), parse(SETTINGS)
    assert before.items() <= found.items()
    added = {key: found[key] for key in found if key not in before}
    assert added == {"Upscaler": "Nearest", "Post-processing": "upscale"}


def test_a_picture_without_settings_says_what_was_done(start):
    finished = upscaled(start, with_settings((64, 72), ""), upscale_by=3.0)
    found = parse(infotext(finished))
    assert (found["Task"], found["Upscale by"]) == ("upscale", "3.0")


def test_a_picture_that_would_be_too_large_is_refused_before_it_is_made():
    huge = Image.new("RGB", (6000, 5000))
    asked = request(task="upscale", image=huge, extras={**EXTRAS, "upscale_by": 2.0})
    with pytest.raises(RequestError, match=r"12000 x 10000 is more than 32 megapixels"):
        upscale.change_request(asked)
