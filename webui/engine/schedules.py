"""Noise schedules: which sigmas a run of n steps visits, and the sigmas that a model was trained on.

Plain floats, no torch. A schedule is n descending sigmas and a final 0.0, on the variance-exploding
scale: sigma = sqrt((1 - ᾱ) / ᾱ), whatever the model predicts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import mul
from types import MappingProxyType
from typing import Any

from webui.errors import ModelFileError
from webui.types import Sampler, Schedule

__all__ = ["AUTOMATIC", "SCHEDULES", "model_sigmas", "resolve"]

AUTOMATIC = "automatic"
STEPS_LIMIT = 100_000  # training timesteps; known models have 1000
ALPHA_BAR_MIN = 2.0**-24  # diffusers' stand-in for zero terminal SNR: sigma 4096

# --- Schedules ----------------------------------------------------------------------------------


def uniform(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """The model's own sigmas at n timesteps evenly spaced from its last to its first, both included.

    This is diffusers' `timestep_spacing="linspace"`; between timesteps, sigma is interpolated linearly.
    """
    last = len(model_sigmas) - 1
    return [*(_at(model_sigmas, last * (1 - t)) for t in _ramp(n)), 0.0]


def sgm_uniform(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """Evenly spaced timesteps from the last towards the first, which is left out (Stability's SGM)."""
    last = len(model_sigmas) - 1
    return [*(_at(model_sigmas, last * (1 - i / n)) for i in range(n)), 0.0]


def karras(
    n: int,
    sigma_min: float,
    sigma_max: float,
    model_sigmas: Sequence[float],
    rho: float = 7.0,
) -> list[float]:
    """Even steps in sigma^(1/rho) (Karras et al. 2022, equation 5)."""
    high, low = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [*((high + t * (low - high)) ** rho for t in _ramp(n)), 0.0]


def exponential(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """Even steps in log sigma."""
    return [*(sigma_max * (sigma_min / sigma_max) ** t for t in _ramp(n)), 0.0]


def _ramp(n: int) -> list[float]:
    """n numbers evenly spaced from 0 to 1; a single one is 0."""
    return [i / (n - 1) for i in range(n)] if n > 1 else [0.0] * n


def _at(values: Sequence[float], position: float) -> float:
    """`values` at a fractional index, linearly between its neighbours."""
    below = min(int(position), len(values) - 2)
    part = position - below
    return values[below] * (1 - part) + values[below + 1] * part


_ALL = (
    # Stands in menus; `resolve` replaces it by the sampler's usual schedule before anything runs.
    Schedule(AUTOMATIC, uniform, "Automatic"),
    Schedule("uniform", uniform, "Uniform"),
    Schedule("karras", karras, "Karras"),
    Schedule("exponential", exponential, "Exponential"),
    Schedule("sgm_uniform", sgm_uniform, "SGM Uniform", aliases=("SGMUniform",)),
)
SCHEDULES: Mapping[str, Schedule] = MappingProxyType({schedule.name: schedule for schedule in _ALL})


def resolve(
    scheduler: str, sampler: Sampler, schedules: Mapping[str, Schedule] = SCHEDULES
) -> Schedule:
    """The schedule that runs: `automatic` is the sampler's usual one. Names are exact."""
    return schedules[sampler.schedule if scheduler == AUTOMATIC else scheduler]


# --- A model's own noise levels -------------------------------------------------------------------


def model_sigmas(config: Mapping[str, Any]) -> tuple[float, ...]:
    """The training noise levels of a `scheduler_config.json`, ascending, computed in double precision.

    Missing keys mean diffusers' defaults. With `rescale_betas_zero_snr` the infinite last sigma is
    clamped to 4096 as diffusers does. Raises `ModelFileError` for values that make no noise schedule.
    """
    betas = _betas(config)
    if len(betas) < 2:
        raise ModelFileError("its noise schedule has fewer than two steps")
    alphas_bar = list(accumulate((1 - beta for beta in betas), mul))
    if config.get("rescale_betas_zero_snr"):
        alphas_bar = _zero_terminal_snr(alphas_bar)
    if not all(1 > a > b > 0 for a, b in pairwise(alphas_bar)):
        raise ModelFileError("its noise levels do not ascend from above 0 to a finite one")
    return tuple(math.sqrt((1 - a) / a) for a in alphas_bar)


def _betas(config: Mapping[str, Any]) -> list[float]:
    kind = str(config.get("beta_schedule", "linear"))
    trained = config.get("trained_betas")
    if trained is None and kind not in BETAS:
        raise ModelFileError(f"beta_schedule {kind!r} is not known; use {', '.join(BETAS)}")
    try:
        if trained is not None:
            betas = [float(beta) for beta in trained]
        else:
            n = int(config.get("num_train_timesteps", 1000))
            if n > STEPS_LIMIT:
                raise ModelFileError(f"num_train_timesteps {n}: more than {STEPS_LIMIT}")
            start = float(config.get("beta_start", 0.0001))
            end = float(config.get("beta_end", 0.02))
            betas = BETAS[kind](n, start, end)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"its betas cannot be read: {error}") from None
    if not all(0 < beta < 1 for beta in betas):
        raise ModelFileError("its betas must lie between 0 and 1")
    return betas


def _linear(n: int, start: float, end: float) -> list[float]:
    return [start + (end - start) * t for t in _ramp(n)]


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
