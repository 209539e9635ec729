"""Sampling schedules against diffusers and closed forms."""

from itertools import pairwise

import numpy as np
import pytest
from diffusers import EulerDiscreteScheduler

from webui.diffusion.noise_schedules import STABLE_DIFFUSION, model_sigmas
from webui.diffusion.sampling_schedules import SCHEDULES

SIGMAS = model_sigmas(STABLE_DIFFUSION)


def made(name: str, n: int, **options) -> list[float]:
    return SCHEDULES[name].make(n, SIGMAS[0], SIGMAS[-1], SIGMAS, **options)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("n", [1, 2, 3, 20, 150])
def test_a_schedule_descends_from_the_models_last_level_and_ends_in_zero(name, n):
    sigmas = made(name, n)
    assert len(sigmas) == n + 1
    assert all(type(sigma) is float for sigma in sigmas)
    assert all(a > b for a, b in pairwise(sigmas))
    assert sigmas[0] == pytest.approx(SIGMAS[-1], rel=1e-12)
    assert sigmas[-1] == 0.0
    if n > 1 and name != "sgm_uniform":
        assert sigmas[-2] == pytest.approx(SIGMAS[0], rel=1e-12)


@pytest.mark.parametrize("n", [2, 7, 30])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("uniform", {"timestep_spacing": "linspace"}),
        ("karras", {"use_karras_sigmas": True}),
        ("exponential", {"use_exponential_sigmas": True}),
    ],
)
def test_schedules_equal_diffusers(name, options, n):
    scheduler = EulerDiscreteScheduler(**STABLE_DIFFUSION, **options)
    scheduler.set_timesteps(n)
    assert made(name, n) == pytest.approx(scheduler.sigmas.tolist(), rel=2e-5)


def test_sgm_uniform_spaces_timesteps_evenly_and_leaves_the_first_out():
    timesteps = np.linspace(999, 0, 11)[:-1]
    expected = np.interp(timesteps, range(1000), SIGMAS)
    assert made("sgm_uniform", 10) == pytest.approx([*expected, 0.0], rel=1e-12)


def test_karras_takes_its_exponent():
    sigmas = made("karras", 5, rho=3.0)
    roots = [sigma ** (1 / 3) for sigma in sigmas[:-1]]
    assert np.diff(roots, 2) == pytest.approx(0, abs=1e-12)
