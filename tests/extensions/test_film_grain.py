"""Film grain: the same for the same seed, grey, of the strength and size that are asked for, and after upscaling."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from extensions import film_grain, upscale
from tests.engine.conftest import request
from webui.types import Task

EXTRAS = {"film_grain": 0.4, "film_grain_size": 1.0, "upscale_by": 1.0, "upscaler": "Lanczos"}


@pytest.fixture
def bench(start):
    def painted(asked, studio):
        return Image.new("RGB", (asked.width, asked.height), asked.prompt)

    steps = [*film_grain.register_postprocessors(), *upscale.register_postprocessors()]
    return start(
        tasks={"paint": Task("paint", "Paint", painted, samples=False)},
        postprocessors=sorted(steps, key=lambda step: step.priority),
    )


def made(bench, prompt="rgb(128, 128, 128)", seed=1, size=256, **extras):
    """The picture [H, W, 3] of a job that paints one colour."""
    asked = request(
        task="paint",
        prompt=prompt,
        seed=seed,
        width=size,
        height=size,
        extras={**EXTRAS, **extras},
    )
    assert bench.end(bench.engine.submit(asked)).state == "done"
    return np.asarray(bench.finished[-1].picture).astype(float)


def test_the_same_seed_has_the_same_grain_and_another_has_another(bench):
    assert np.array_equal(made(bench), made(bench))
    assert abs(np.corrcoef(made(bench).ravel(), made(bench, seed=2).ravel())[0, 1]) < 0.02


def test_seeds_that_agree_in_their_low_bits_differ():
    one, other = (film_grain.grain(seed, 64, 64, 1) for seed in (1, 1 + 2**32))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.06


@pytest.mark.parametrize("strength", [0.2, 0.4, 1.0])
@pytest.mark.parametrize("size", [1.0, 2.5])
def test_the_strength_is_the_deviation_in_middle_grey(bench, strength, size):
    """0.15 of the range at full strength; 4 standard deviations of its estimate from 256 x 256 / size² grains."""
    picture = made(bench, film_grain=strength, film_grain_size=size) / 255
    assert picture.std() == pytest.approx(0.15 * strength, rel=4 * size / (2**0.5 * 256))


def test_black_and_white_have_no_grain_and_colours_keep_their_hue(bench):
    assert not made(bench, prompt="black").any()
    assert (made(bench, prompt="white") == 255).all()
    red, green, blue = np.moveaxis(made(bench, prompt="rgb(150, 120, 90)", film_grain=0.1), -1, 0)
    assert np.abs(red - green - 30).max() <= 1 and np.abs(green - blue - 30).max() <= 1


def correlation(picture):
    """Of neighbours in a row."""
    grey = picture[..., 0]
    return np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1]


def test_larger_grains_reach_over_their_neighbours(bench):
    assert abs(correlation(made(bench))) < 0.02
    assert correlation(made(bench, film_grain_size=3.0)) > 0.7


def test_grain_comes_after_upscaling(bench):
    """Were it before, enlarging it would make neighbours alike."""
    picture = made(bench, size=128, upscale_by=2.0)
    assert picture.shape == (256, 256, 3)
    assert abs(correlation(picture)) < 0.02
    assert bench.finished[-1].notes["Post-processing"] == "upscale, film grain"


def test_none_is_the_default(bench):
    controls = film_grain.register_postprocessors()[0].controls
    assert (made(bench, **{control.name: control.default for control in controls}) == 128).all()
    assert not bench.finished[-1].notes
