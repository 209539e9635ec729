"""What networks predict against its definitions, timesteps against diffusers, flow on the variance-exploding scale."""

import math
from itertools import pairwise

import numpy as np
import pytest

from webui.diffusion.parameterisation import NAMES, named, parameterisation
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import model_sigmas
from webui.errors import EaselError
from webui.types import Model

SD15 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIGMAS = model_sigmas(SD15)


@pytest.mark.parametrize("sigma", [0.03, 0.7, 3.0, 14.6])
def test_each_prediction_gives_back_the_clean_latent(sigma):
    """From x0 and eps, form x and what a perfect network would say by the definition of each kind."""
    x0, eps = 0.83, -1.7
    alpha, spread = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
    perfect = {
        "epsilon": eps,
        "v_prediction": alpha * eps - spread * x0,
        "sample": x0,
        "flow": eps - x0,
    }
    x = x0 + sigma * eps
    assert set(perfect) == set(NAMES)
    for name, said in perfect.items():
        network = named(name, SIGMAS)
        clean = network.c_skip(sigma) * x + network.c_out(sigma) * said
        assert clean == pytest.approx(x0, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_sees_the_latent_that_it_was_trained_on(name):
    sigma, x0, eps = 2.5, 0.4, 1.1
    t, alpha_bar = sigma / (1 + sigma), 1 / (1 + sigma**2)
    trained = math.sqrt(alpha_bar) * x0 + math.sqrt(1 - alpha_bar) * eps
    if name == "flow":
        trained = (1 - t) * x0 + t * eps
    assert (x0 + sigma * eps) * named(name, SIGMAS).c_in(sigma) == pytest.approx(trained)


@pytest.mark.parametrize("name", ["epsilon", "v_prediction", "sample"])
def test_timesteps_invert_the_models_sigmas(name):
    timestep = named(name, SIGMAS).timestep
    for t in (0, 1, 17, 500, 998, 999):
        assert timestep(SIGMAS[t]) == pytest.approx(t, abs=1e-9)


def test_timesteps_between_are_diffusers():
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(num_train_timesteps=1000, **SD15)
    log_sigmas = np.log(np.array(SIGMAS))
    for sigma in (0.05, 0.31, 1.234, 9.87):
        assert named("epsilon", SIGMAS).timestep(sigma) == pytest.approx(
            float(theirs._sigma_to_t(np.array(sigma), log_sigmas)), abs=1e-4
        )


def test_a_level_beyond_the_models_takes_the_nearest_end():
    timestep = named("epsilon", SIGMAS).timestep
    assert (timestep(1e-6), timestep(1e6)) == (0, 999)


def test_flow_is_called_a_thousand_times_its_time():
    for t in (0.0, 0.25, 0.5, 0.999):
        assert named("flow", SIGMAS).timestep(t / (1 - t)) == pytest.approx(1000 * t)


def test_euler_on_the_variance_exploding_scale_is_euler_in_the_time_of_a_flow():
    """A network that knows data of mean 0.7 and deviation 0.5, asked by our Euler, and by Euler's rule in t."""
    mean, variance = 0.7, 0.25
    times = [0.9998, *(1 - i / 20 for i in range(1, 20)), 0.0]
    network = named("flow", SIGMAS)

    def velocity(seen: float, t: float) -> float:
        """noise - x0, as the best guess from what is seen: (1 - t) * x0 + t * noise."""
        spread = (1 - t) ** 2 * variance + t**2
        x0 = mean + (1 - t) * variance / spread * (seen - (1 - t) * mean)
        return (seen - (1 - t) * x0) / t - x0

    flow = 1.3
    for t, following in pairwise(times):
        flow += (following - t) * velocity(flow, t)

    sigmas = [t / (1 - t) for t in times]
    run = SAMPLERS["Euler"].make(1.3 / (1 - times[0]), sigmas, lambda *_: 0.0)
    denoised = None
    with pytest.raises(StopIteration) as stop:
        while True:
            x, sigma = run.send(denoised)
            said = velocity(network.c_in(sigma) * x, network.timestep(sigma) / 1000)
            denoised = network.c_skip(sigma) * x + network.c_out(sigma) * said
    assert stop.value.value == pytest.approx(flow, abs=1e-9)


def test_a_model_has_one_parameterisation():
    model = Model("m", 4, False, SIGMAS, prediction="v_prediction")
    assert parameterisation(model) is parameterisation(model) is named("v_prediction", SIGMAS)
    assert parameterisation(model).name == "v_prediction"


@pytest.mark.parametrize("name", NAMES)
def test_parameterisations_of_equal_levels_are_equal(name):
    one = named(name, SIGMAS)
    named.cache_clear()
    assert named(name, SIGMAS) == one and named(name, SIGMAS) is not one
    assert (named(name, SIGMAS[:-1]) == one) is (name == "flow")
    assert len({one, named(name, SIGMAS)}) == 1


def test_a_prediction_that_nobody_knows_is_refused():
    with pytest.raises(
        EaselError, match="prediction 'edm' is not known; use epsilon, v_prediction, sample, flow"
    ):
        named("edm", SIGMAS)
