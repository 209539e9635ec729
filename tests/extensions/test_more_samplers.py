"""The samplers against the papers' own algorithms, closed forms and diffusers; the schedules likewise."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers import AysSchedules

from extensions import more_samplers
from tests.engine.samplers.gaussian import denoise, drive, even, geometric, no_noise, order
from tests.extensions.parity import PARTS, difference, ours
from webui.engine.samplers import SAMPLERS
from webui.engine.samplers.euler import euler
from webui.engine.schedules import SCHEDULES, model_sigmas

ADDED = {sampler.name: sampler for sampler in more_samplers.register_samplers()}
PLANS = {schedule.name: schedule for schedule in more_samplers.register_schedules()}
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LEVELS = model_sigmas(SD)

# --- Euler CFG++ ----------------------------------------------------------------------------------


def guided(make, x, sigmas, scale):
    """The final latent of a sampler on two Gaussians, the prompt's around 0.7 and the other around -0.3.

    `scale(sigma, sigma_next)` is the CFG scale of a step.
    """
    run, reply = make(x, sigmas, no_noise), None
    after = dict(pairwise(sigmas))
    try:
        while True:
            x, sigma, *wants = run.send(reply)
            cond, uncond = denoise(x, sigma, mu=0.7), denoise(x, sigma, mu=-0.3)
            mixed = uncond + scale(sigma, after[sigma]) * (cond - uncond)
            reply = (mixed, uncond) if wants else mixed
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize("scale", [0.0, 0.6, 1.0])
def test_cfgpp_is_the_papers_algorithm_on_its_own_scale(scale):
    """Algorithm 2 with z = x / sqrt(1 + sigma²): the picture guided, the noise unconditional."""
    sigmas = geometric(12)
    x = 5.0
    z = x * (1 + sigmas[0] ** 2) ** -0.5
    for sigma, sigma_next in pairwise(sigmas):
        alpha, alpha_next = (1 / (1 + s * s) for s in (sigma, sigma_next))
        seen = z / math.sqrt(alpha)
        eps_cond, eps_uncond = ((seen - denoise(seen, sigma, mu=mu)) / sigma for mu in (0.7, -0.3))
        eps = eps_uncond + scale * (eps_cond - eps_uncond)
        picture = (z - math.sqrt(1 - alpha) * eps) / math.sqrt(alpha)
        z = math.sqrt(alpha_next) * picture + math.sqrt(1 - alpha_next) * eps_uncond
    ours = guided(more_samplers.euler_cfgpp, x, sigmas, lambda sigma, sigma_next: scale)
    assert ours == pytest.approx(z, rel=1e-12)


def test_cfgpp_is_euler_with_a_cfg_scale_that_grows_as_the_steps_shrink():
    """lambda / (1 - sigma_next / sigma) at each step, by solving both updates for it."""
    sigmas = geometric(12)
    ours = guided(more_samplers.euler_cfgpp, 5.0, sigmas, lambda sigma, sigma_next: 0.6)
    same = guided(euler, 5.0, sigmas, lambda sigma, sigma_next: 0.6 / (1 - sigma_next / sigma))
    assert ours == pytest.approx(same, rel=1e-12)


def test_cfgpp_receives_the_unconditional_prediction_of_an_engine(models_dir):
    """At scale 0 it is Euler without the prompt; at scale 1, though nothing is guided, not Euler with it."""
    parts = replace(PARTS, samplers={**SAMPLERS, **ADDED})

    def differs(scale):
        made = ours(models_dir, parts, sampler_name="Euler CFG++", cfg_scale=scale)
        return difference(made, ours(models_dir, cfg_scale=scale))

    print("C", differs(0.0), differs(1.0))
    assert differs(0.0) < 1e-5
    assert differs(1.0) > 1e-3


# --- DPM++ 2S a -----------------------------------------------------------------------------------


def test_without_noise_dpmpp_2s_is_of_second_order():
    def make(x, sigmas, noise):
        return more_samplers.dpmpp_2s_ancestral(x, sigmas, noise, eta=0.0)

    assert 1.95 < order(make, geometric, 64) < 2.05


def test_without_noise_dpmpp_2s_is_diffusers():
    """diffusers calls a step of ours two: one to the middle level, and one of second order from the start.
    Its last one goes to sigma 0, so ours is compared before it."""
    scheduler = diffusers.DPMSolverSinglestepScheduler(
        **SD, solver_order=2, use_exponential_sigmas=True
    )
    scheduler.set_timesteps(9)
    every = scheduler.sigmas.tolist()
    torch.manual_seed(0)
    x = torch.randn(4, 6, 5, dtype=torch.float64) * every[0]
    asked = drive(more_samplers.dpmpp_2s_ancestral, x, [*every[:-1:2], 0.0], eta=0.0)[1]
    z = x * (1 + every[0] ** 2) ** -0.5
    for timestep, sigma in list(zip(scheduler.timesteps, every, strict=False))[:-1]:
        seen = z * (1 + sigma**2) ** 0.5
        eps = (seen - denoise(seen, sigma)) / sigma
        z = scheduler.step(eps, timestep, z).prev_sample
    ours, sigma = asked[-1]
    expected = z.double() * (1 + sigma**2) ** 0.5
    assert sigma == every[-2]
    print("D", (ours - expected).abs().max() / expected.abs().max())
    assert (ours - expected).abs().max() < 2e-6 * expected.abs().max()  # measured: 1.1e-7


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_the_variance_of_the_pictures_converges_to_the_datas(eta):
    """A latent is a vector of coefficients of unit Gaussians, so its variance is its squared length."""

    def error(n):
        draws = []

        def noise(sigma, sigma_next):
            draws.append(sigma)
            return np.eye(n)[len(draws)]

        x = np.eye(n)[0] * np.hypot(0.5, 3.0)
        make = more_samplers.dpmpp_2s_ancestral
        final, _ = drive(make, x, even(n), noise, lambda x, s: denoise(x, s, mu=0.0), eta=eta)
        assert len(draws) == n - 1  # one for each step but the last
        return abs(final @ final - 0.25)

    assert error(256) < 0.01
    assert error(128) / error(256) > 1.9  # of first order at least


def test_the_calls_of_seven_steps():
    for sampler, expected in zip(ADDED.values(), (7, 13), strict=True):
        run, reply, calls = sampler.make(1.0, geometric(7), lambda a, b: 0.0), None, 0
        while True:
            try:
                _, _, *wants = run.send(reply)
            except StopIteration:
                break
            calls += 1
            reply = (0.0, 0.0) if wants else 0.0
        assert calls == expected, sampler.name


# --- Schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("n", [1, 2, 3, 10, 20, 150])
def test_a_schedule_descends_from_the_models_last_level_and_ends_in_zero(name, n):
    for low, high in [(LEVELS[0], LEVELS[-1]), (0.01, 4096.0)]:
        sigmas = PLANS[name].make(n, low, high, LEVELS)
        assert len(sigmas) == n + 1
        assert all(type(sigma) is float for sigma in sigmas)
        assert all(a > b for a, b in pairwise(sigmas))
        assert sigmas[0] == pytest.approx(high, rel=1e-9)
        assert sigmas[-1] == 0.0


def test_ten_steps_are_aligned_as_published():
    sigmas = PLANS["align_your_steps"].make(10, LEVELS[0], LEVELS[-1], LEVELS)
    assert sigmas == pytest.approx(AysSchedules["StableDiffusionSigmas"], rel=0.007)


def test_twenty_steps_lie_on_the_published_ones_and_half_way_between():
    ten, twenty = (
        PLANS["align_your_steps"].make(n, LEVELS[0], LEVELS[-1], LEVELS) for n in (10, 20)
    )
    assert twenty[::2] == pytest.approx(ten)
    between = np.exp(np.log(ten[:-1]).repeat(2)[1:-1].reshape(-1, 2).mean(axis=1))
    assert twenty[1:-2:2] == pytest.approx(list(between))


def test_kl_optimal_levels_are_even_angles():
    sigmas = PLANS["kl_optimal"].make(9, LEVELS[0], LEVELS[-1], LEVELS)
    angles = np.arctan(sigmas[:-1])
    assert np.diff(angles) == pytest.approx([np.diff(angles)[0]] * 8)
    assert sigmas[-2] == pytest.approx(LEVELS[0])


def test_for_data_of_unit_variance_kl_optimal_ends_nearer_than_any_built_in_schedule():
    """What it is named for: with the exact denoiser of N(0, 1), Euler's end is nearest to the flow's."""

    def error(make):
        final, _ = drive(euler, 3.0, make(10, LEVELS[0], LEVELS[-1], LEVELS), denoiser=unit)
        return abs(final - 3.0 / math.hypot(1, LEVELS[-1]))

    def unit(x, sigma):
        return denoise(x, sigma, mu=0.0, s=1.0)

    ours = error(PLANS["kl_optimal"].make)
    assert all(ours < error(schedule.make) for schedule in SCHEDULES.values())


def test_names_do_not_clash_with_the_built_in_ones():
    known = {alias.lower() for s in SAMPLERS.values() for alias in (s.name, *s.aliases)}
    added = {alias.lower() for s in ADDED.values() for alias in (s.name, *s.aliases)}
    assert not known & added and not PLANS.keys() & SCHEDULES.keys()
