"""Schedules and training noise levels: against diffusers and closed forms."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES, model_sigmas, resolve
from webui.errors import ModelFileError

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIGMAS = model_sigmas(SD)


def made(name: str, n: int, **options) -> list[float]:
    return SCHEDULES[name].make(n, SIGMAS[0], SIGMAS[-1], SIGMAS, **options)


# --- Schedules ----------------------------------------------------------------------------------


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
    scheduler = EulerDiscreteScheduler(**SD, **options)
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


def test_automatic_is_each_samplers_usual_schedule():
    assert resolve("automatic", SAMPLERS["DPM++ 2M"]).name == "karras"
    assert resolve("automatic", SAMPLERS["Euler a"]).name == "uniform"
    assert resolve("exponential", SAMPLERS["DPM++ 2M"]).name == "exponential"


# --- A model's own noise levels -------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {},
        SD,
        {
            "beta_schedule": "linear",
            "beta_start": 0.001,
            "beta_end": 0.03,
            "num_train_timesteps": 500,
        },
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.01, 0.02, 0.05, 0.3]},
        {**SD, "prediction_type": "v_prediction", "steps_offset": 1},
    ],
    ids=["defaults", "SD", "linear", "cosine", "trained", "unrelated keys"],
)
def test_training_levels_equal_diffusers(config):
    # DDIMScheduler's ᾱ instead of a table of sigmas: in fp32, like all of diffusers'.
    alphas = DDIMScheduler.from_config(config).alphas_cumprod.double().numpy()
    assert model_sigmas(config) == pytest.approx(np.sqrt((1 - alphas) / alphas).tolist(), rel=5e-4)


def test_zero_terminal_snr_is_clamped_as_diffusers_does():
    config = {**SD, "rescale_betas_zero_snr": True}
    scheduler = EulerDiscreteScheduler(**config)
    alphas = scheduler.alphas_cumprod.double().numpy()
    mine = model_sigmas(config)
    # fp32 rounding of tiny ᾱ grows towards the end; the last level is set, not computed.
    assert mine[:900] == pytest.approx(np.sqrt((1 - alphas) / alphas)[:900].tolist(), rel=5e-4)
    assert mine[-1] == pytest.approx(math.sqrt((1 - alphas[-1]) / alphas[-1]), rel=1e-9)
    assert round(mine[-1]) == 4096
    assert all(a < b for a, b in pairwise(mine))


def test_nulls_and_text_in_a_config_mean_what_diffusers_writes():
    assert model_sigmas({**SD, "trained_betas": None, "rescale_betas_zero_snr": False}) == SIGMAS


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"beta_schedule": "sigmoid"}, "'sigmoid' is not known"),
        ({"beta_schedule": ["linear"]}, "not known"),
        ({"trained_betas": [0.1, "x"]}, "cannot be read"),
        ({"trained_betas": [0.1]}, "fewer than two"),
        ({"num_train_timesteps": 0}, "fewer than two"),
        ({"num_train_timesteps": "many"}, "cannot be read"),
        ({"beta_start": 0.0}, "between 0 and 1"),
        ({"beta_end": 1.5}, "between 0 and 1"),
        ({"beta_end": float("nan")}, "between 0 and 1"),
        ({**SD, "beta_start": -0.1}, "cannot be read"),
        ({"num_train_timesteps": 10**9}, "more than"),
        ({"beta_end": 0.99}, "finite"),
        ({"trained_betas": [1e-30, 0.1]}, "from above 0"),
    ],
)
def test_levels_that_make_no_sense_are_the_files_fault(config, says):
    with pytest.raises(ModelFileError, match=says):
        model_sigmas(config)
