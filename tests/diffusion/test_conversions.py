"""Noise, x0, v and flow: each from the others, against their definitions and diffusers."""

import math

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler

from webui.diffusion.conversions import clean_and_noise, noised, signal_and_spread, target
from webui.diffusion.noise_schedules import STABLE_DIFFUSION, alphas_bar
from webui.diffusion.parameterisation import NAMES, named
from webui.errors import EaselError

X0, NOISE = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(7)).double()
PRESERVING = [(math.sqrt(a), math.sqrt(1 - a)) for a in (0.999, 0.5, 0.0047)]
FLOWING = [(1 - t, t) for t in (0.001, 0.5, 0.995)]


def path(name: str) -> list[tuple[float, float]]:
    return FLOWING if name == "flow" else PRESERVING


@pytest.mark.parametrize("name", NAMES)
def test_what_a_perfect_network_says_gives_back_both(name):
    for signal, spread in path(name):
        x = noised(X0, NOISE, signal, spread)
        said = target(name, X0, NOISE, signal, spread)
        clean, noise = clean_and_noise(name, x, said, signal, spread)
        torch.testing.assert_close(clean, X0, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(noise, NOISE, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_training_and_sampling_mean_the_same_by_a_name(name):
    """What training asks of a network, put through the coefficients of the engine, is the clean latent."""
    for signal, spread in path(name):
        sigma, network = spread / signal, named(name, (0.1, 1.0))
        x = noised(X0, NOISE, 1.0, sigma)  # variance exploding
        seen = noised(X0, NOISE, signal, spread)
        torch.testing.assert_close(network.c_in(sigma) * x, seen)
        said = target(name, X0, NOISE, signal, spread)
        torch.testing.assert_close(network.c_skip(sigma) * x + network.c_out(sigma) * said, X0)


def test_v_is_the_derivative_along_the_circle():
    """x = cos(p) x0 + sin(p) noise; v is its derivative by p (Salimans & Ho 2022)."""
    p, h = 0.7, 1e-5
    v = target("v_prediction", X0, NOISE, math.cos(p), math.sin(p))
    ahead, behind = (noised(X0, NOISE, math.cos(q), math.sin(q)) for q in (p + h, p - h))
    torch.testing.assert_close(v, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


def test_flow_is_the_derivative_along_the_line():
    t, h = 0.3, 1e-5
    ahead, behind = (noised(X0, NOISE, 1 - s, s) for s in (t + h, t - h))
    said = target("flow", X0, NOISE, 1 - t, t)
    torch.testing.assert_close(said, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-8)


def test_ddpm_and_flow_matching_noise_as_diffusers_does():
    ddpm = DDPMScheduler(**STABLE_DIFFUSION)
    times = torch.tensor([0, 400, 900, 999])
    levels = torch.tensor(alphas_bar(STABLE_DIFFUSION))[times][:, None, None]
    at = signal_and_spread(levels)
    x0, noise = X0.float(), NOISE.float()
    theirs = ddpm.add_noise(x0, noise, times)
    torch.testing.assert_close(noised(x0, noise, *at).float(), theirs, rtol=1e-4, atol=1e-5)
    theirs = ddpm.get_velocity(x0, noise, times)
    ours = target("v_prediction", x0, noise, *at).float()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    flow = FlowMatchEulerDiscreteScheduler()
    at_time = flow.timesteps[:1].repeat(4)
    t = float(at_time[0]) / 1000
    theirs = flow.scale_noise(x0, at_time, noise)
    torch.testing.assert_close(noised(x0, noise, 1 - t, t), theirs)


@pytest.mark.parametrize("name", ["epsilon", "sample", "v_prediction"])
def test_x0_and_noise_are_those_of_a_step_of_diffusers(name):
    """A step of DDIM to the clean end gives x0; one to another level is the same x0 and noise, mixed anew."""
    scheduler = DDIMScheduler(
        **STABLE_DIFFUSION, prediction_type=name, clip_sample=False, set_alpha_to_one=True
    )
    scheduler.set_timesteps(2)
    first, second = (int(t) for t in scheduler.timesteps)
    levels = alphas_bar(STABLE_DIFFUSION)
    x, said = noised(X0, NOISE, 0.6, 0.8), NOISE * 0.3 + X0
    theirs = scheduler.step(said, first, x)
    clean, noise = clean_and_noise(name, x, said, *signal_and_spread(levels[first]))
    torch.testing.assert_close(clean, theirs.pred_original_sample, rtol=1e-4, atol=1e-4)
    following = noised(clean, noise, *signal_and_spread(levels[second]))
    torch.testing.assert_close(following, theirs.prev_sample, rtol=1e-4, atol=1e-4)


def test_plain_numbers_work_as_tensors_do():
    signal, spread = signal_and_spread(0.36)
    assert (signal, spread) == pytest.approx((0.6, 0.8))
    assert noised(2.0, 1.0, signal, spread) == pytest.approx(2.0)
    assert clean_and_noise("epsilon", 2.0, 1.0, signal, spread) == pytest.approx((2.0, 1.0))


def test_a_prediction_that_nobody_knows_is_refused():
    for call in (target, clean_and_noise):
        with pytest.raises(EaselError, match="prediction 'edm' is not known; use epsilon"):
            call("edm", 1.0, 1.0, 0.6, 0.8)
