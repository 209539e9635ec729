"""Every sampler against diffusers' scheduler: the same denoiser, first latent, noises and sigmas.

The schedulers keep their noise levels in fp32 and work on the scale of their papers; ours is rescaled to
it. Differences are relative to the largest value.
"""

from __future__ import annotations

import diffusers
import pytest
import torch

from tests.engine.samplers.gaussian import drive
from webui.engine.samplers import SAMPLERS

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SHAPE = (4, 6, 5)
STEPS = 10
TOLERANCE = 5e-6  # measured: 9.4e-7 at most

DATA = torch.linspace(-2, 2, 4 * 6 * 5, dtype=torch.float64).reshape(SHAPE)


def denoise(x, sigma):
    """The posterior mean of data that is a mixture of N(DATA, s²) and N(-DATA, s²), each element."""
    s = 0.5
    total = s**2 + sigma**2
    return (s**2 * x.double() + sigma**2 * DATA * torch.tanh(x.double() * DATA / total)) / total


def start(sigma: float):
    return (
        torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * sigma
    )


def ours(name: str, sigmas, seed=None, **options):
    """Our final latent; the noises are the draws of a generator with `seed`."""
    generator = torch.Generator().manual_seed(seed or 0)

    def noise(sigma, sigma_next):
        assert seed is not None, "it drew noise"
        return torch.randn(SHAPE, generator=generator, dtype=torch.float64)

    final, _ = drive(SAMPLERS[name].make, start(sigmas[0]), sigmas, noise, denoise, **options)
    return final


def stepped(scheduler, sigmas, scale, **step):
    """diffusers' final latent. `sigmas` are the noise levels of its timesteps; `scale(sigma)` turns a
    latent of the variance-exploding scale into one of the scheduler's."""
    x = start(sigmas[0]) * scale(sigmas[0])
    for timestep, sigma in zip(scheduler.timesteps, sigmas, strict=True):
        scheduler.scale_model_input(x, timestep)  # some want to be asked
        exploding = x.double() / scale(sigma)
        eps = (exploding - denoise(exploding, sigma)) / sigma
        x = scheduler.step(eps, timestep, x, **step).prev_sample
    return x


def exploding(sigma: float) -> float:
    return 1.0


def preserving(sigma: float) -> float:
    return (1 + sigma**2) ** -0.5


def close(mine, theirs):
    assert mine.abs().max() > 0.5
    difference = (mine - theirs.double()).abs().max() / mine.abs().max()
    assert difference < TOLERANCE


def sigmas_at(scheduler) -> list[float]:
    """The noise levels of a scheduler that counts in timesteps."""
    alphas = scheduler.alphas_cumprod.double()[scheduler.timesteps.long()]
    return ((1 - alphas) / alphas).sqrt().tolist()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Euler", "EulerDiscreteScheduler"), ("LMS", "LMSDiscreteScheduler")],
)
def test_one_call_a_step(name, kind):
    scheduler = getattr(diffusers, kind)(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    close(ours(name, sigmas), stepped(scheduler, sigmas[:-1], exploding))


def test_heun():
    scheduler = diffusers.HeunDiscreteScheduler(**BETAS)
    scheduler.set_timesteps(STEPS)
    theirs = scheduler.sigmas.tolist()  # every level but the first twice
    close(
        ours("Heun", [*theirs[:1], *theirs[1:-1:2], 0.0]),
        stepped(scheduler, theirs[:-1], exploding),
    )


def test_euler_ancestral():
    scheduler = diffusers.EulerAncestralDiscreteScheduler(**BETAS)
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    generator = torch.Generator().manual_seed(3)
    theirs = stepped(scheduler, sigmas[:-1], exploding, generator=generator)
    close(ours("Euler a", sigmas, seed=3), theirs)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim(eta):
    scheduler = diffusers.DDIMScheduler(**BETAS, set_alpha_to_one=True, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    sigmas = sigmas_at(scheduler)
    generator = torch.Generator().manual_seed(3)
    theirs = stepped(scheduler, sigmas, preserving, eta=eta, generator=generator)
    close(ours("DDIM", [*sigmas, 0.0], seed=3 if eta else None, eta=eta), theirs)


def test_ddpm():
    scheduler = diffusers.DDPMScheduler(**BETAS, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    sigmas = sigmas_at(scheduler)
    generator = torch.Generator().manual_seed(3)
    theirs = stepped(scheduler, sigmas, preserving, generator=generator)
    close(ours("DDPM", [*sigmas, 0.0], seed=3), theirs)


@pytest.mark.parametrize("steps", [2, 3, 4, STEPS])
def test_plms(steps):
    scheduler = diffusers.PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=True)
    scheduler.set_timesteps(steps)
    theirs = sigmas_at(scheduler)  # the second twice: the warm-up
    sigmas = list(dict.fromkeys(theirs))
    close(ours("PLMS", [*sigmas, 0.0]), stepped(scheduler, theirs, preserving))


@pytest.mark.parametrize("karras", [False, True])
def test_dpmpp_2m(karras):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **BETAS, algorithm_type="dpmsolver++", solver_order=2, use_karras_sigmas=karras
    )
    scheduler.set_timesteps(STEPS)
    sigmas = scheduler.sigmas.tolist()
    close(ours("DPM++ 2M", sigmas), stepped(scheduler, sigmas[:-1], preserving))
