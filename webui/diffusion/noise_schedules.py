"""The noise levels that a model was trained on: betas, ᾱ (`alphas_bar`), and sigmas on the variance-exploding scale.

DDPM's forward process x_t = sqrt(ᾱ) x0 + sqrt(1 - ᾱ) noise is sqrt(ᾱ) times x0 + sigma * noise, with
sigma = sqrt((1 - ᾱ) / ᾱ) (Ho et al. 2020, equation 4). Plain floats in double precision, no torch. Flow matching's
levels are in `flow`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import mul
from types import MappingProxyType
from typing import Any

from webui.errors import ModelFileError, Sentence

__all__ = ["STABLE_DIFFUSION", "alphas_bar", "model_sigmas", "ramp"]

STABLE_DIFFUSION: Mapping[str, Any] = MappingProxyType(
    {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    }
)
"""The levels of Stable Diffusion 1, 2 and XL, in the words of a `scheduler_config.json`."""

STEPS_LIMIT = 100_000  # training timesteps; known models have 1000
ALPHA_BAR_MIN = 2.0**-24  # diffusers' stand-in for zero terminal SNR: sigma 4096


def model_sigmas(config: Mapping[str, Any]) -> tuple[float, ...]:
    """The training noise levels of a `scheduler_config.json`, ascending.

    Missing keys mean diffusers' defaults. With `rescale_betas_zero_snr` the infinite last sigma is
    clamped to 4096 as diffusers does. Raises `ModelFileError` for values that make no noise schedule.
    """
    return tuple(math.sqrt((1 - a) / a) for a in alphas_bar(config))


def alphas_bar(config: Mapping[str, Any]) -> tuple[float, ...]:
    """ᾱ of a `scheduler_config.json`, the product of 1 - beta up to each timestep: from nearly 1 to nearly 0.

    As `model_sigmas`, which says the same levels in another way.
    """
    betas = _betas(config)
    if len(betas) < 2:
        raise ModelFileError(Sentence("its noise schedule has fewer than two steps"))
    found = list(accumulate((1 - beta for beta in betas), mul))
    if config.get("rescale_betas_zero_snr"):
        found = _zero_terminal_snr(found)
    if not all(1 > a > b > 0 for a, b in pairwise(found)):
        raise ModelFileError(
            Sentence("its noise levels do not ascend from above 0 to a finite one")
        )
    return tuple(found)


def _betas(config: Mapping[str, Any]) -> list[float]:
    kind = str(config.get("beta_schedule", "linear"))
    trained = config.get("trained_betas")
    if trained is None and kind not in BETAS:
        raise ModelFileError(
            Sentence(
                "beta_schedule {kind} is not known; use {betas}",
                kind=repr(kind),
                betas=", ".join(BETAS),
            )
        )
    try:
        if trained is not None:
            betas = [float(beta) for beta in trained]
        else:
            n = int(config.get("num_train_timesteps", 1000))
            if n > STEPS_LIMIT:
                raise ModelFileError(
                    Sentence(
                        "num_train_timesteps {n}: more than {steps_limit}",
                        n=n,
                        steps_limit=STEPS_LIMIT,
                    )
                )
            start = float(config.get("beta_start", 0.0001))
            end = float(config.get("beta_end", 0.02))
            betas = BETAS[kind](n, start, end)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(Sentence("its betas cannot be read: {why}", why=error)) from None
    if not all(0 < beta < 1 for beta in betas):
        raise ModelFileError(Sentence("its betas must lie between 0 and 1"))
    return betas


def _linear(n: int, start: float, end: float) -> list[float]:
    return [start + (end - start) * t for t in ramp(n)]


def _scaled_linear(n: int, start: float, end: float) -> list[float]:
    """Linear in sqrt(beta): latent diffusion's."""
    return [root * root for root in _linear(n, math.sqrt(start), math.sqrt(end))]


def _squaredcos(n: int, start: float, end: float) -> list[float]:
    """The cosine ᾱ of Nichol & Dhariwal 2021 (equation 17), betas at most 0.999; needs no ends."""

    def alpha_bar(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    return [min(1 - alpha_bar((i + 1) / n) / alpha_bar(i / n), 0.999) for i in range(n)]


BETAS: Mapping[str, Callable[[int, float, float], list[float]]] = MappingProxyType(
    {"linear": _linear, "scaled_linear": _scaled_linear, "squaredcos_cap_v2": _squaredcos}
)


def _zero_terminal_snr(alphas_bar: Sequence[float]) -> list[float]:
    """Shifts and scales sqrt(ᾱ): the first stays, the last would be 0 (Lin et al. 2023, Algorithm 1)."""
    roots = [math.sqrt(a) for a in alphas_bar]
    first, last = roots[0], roots[-1]
    rescaled = [((root - last) * first / (first - last)) ** 2 for root in roots]
    return [*rescaled[:-1], ALPHA_BAR_MIN]


def ramp(n: int) -> list[float]:
    """n numbers evenly spaced from 0 to 1; a single one is 0."""
    return [i / (n - 1) for i in range(n)] if n > 1 else [0.0] * n
