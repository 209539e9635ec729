"""The noise levels that models were trained on: against diffusers and closed forms."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler

from webui.diffusion.noise_schedules import STABLE_DIFFUSION, alphas_bar, model_sigmas
from webui.errors import ModelFileError

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIGMAS = model_sigmas(SD)


def test_both_ways_of_saying_a_level_are_the_same_level():
    for alpha_bar, sigma in zip(alphas_bar(SD), SIGMAS, strict=True):
        assert 1 / (1 + sigma**2) == pytest.approx(alpha_bar, rel=1e-12)
    assert model_sigmas(STABLE_DIFFUSION) == SIGMAS


def test_training_goes_on_with_the_levels_it_began_with():
    """To the bit in fp32, as training uses them: the product as PyTorch computes it."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    ours = torch.tensor(alphas_bar(STABLE_DIFFUSION), dtype=torch.float64)
    assert torch.equal(ours.float(), (1 - betas).cumprod(0).float())


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
