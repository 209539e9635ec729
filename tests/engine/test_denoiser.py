"""The prediction table against its definitions, and timesteps against diffusers."""

import math

import numpy as np
import pytest

from webui.engine.denoiser import PREDICTIONS, input_scale, timestep
from webui.engine.schedules import model_sigmas

SD15 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("sigma", [0.03, 0.7, 3.0, 14.6])
def test_each_prediction_gives_back_the_clean_latent(sigma):
    """From x0 and eps, form x and what a perfect network would say by the definition of each kind."""
    x0, eps = 0.83, -1.7
    alpha, spread = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
    perfect = {"epsilon": eps, "v_prediction": alpha * eps - spread * x0, "sample": x0}
    x = x0 + sigma * eps
    assert set(perfect) == set(PREDICTIONS)
    for kind, said in perfect.items():
        c_skip, c_out = PREDICTIONS[kind](sigma)
        assert c_skip * x + c_out * said == pytest.approx(x0, abs=1e-12)


def test_the_network_sees_the_variance_preserving_latent():
    sigma = 2.5
    alpha_bar = 1 / (1 + sigma**2)
    x0, eps = 0.4, 1.1
    seen = math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * eps
    assert (x0 + sigma * eps) * input_scale(sigma) == pytest.approx(seen)


def test_timesteps_invert_the_models_sigmas():
    sigmas = model_sigmas(SD15)
    for t in (0, 1, 17, 500, 998, 999):
        assert timestep(sigmas[t], sigmas) == pytest.approx(t, abs=1e-9)


def test_timesteps_between_are_diffusers():
    from diffusers import EulerDiscreteScheduler

    sigmas = model_sigmas(SD15)
    theirs = EulerDiscreteScheduler(num_train_timesteps=1000, **SD15)
    log_sigmas = np.log(np.array(sigmas))
    for sigma in (0.05, 0.31, 1.234, 9.87):
        assert timestep(sigma, sigmas) == pytest.approx(
            float(theirs._sigma_to_t(np.array(sigma), log_sigmas)), abs=1e-4
        )


def test_a_level_beyond_the_models_takes_the_nearest_end():
    sigmas = model_sigmas(SD15)
    assert timestep(1e-6, sigmas) == 0
    assert timestep(1e6, sigmas) == 999
