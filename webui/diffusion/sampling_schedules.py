"""Sampling schedules: which noise levels a run of n steps visits.

Plain floats, no torch. A schedule is n descending sigmas and a final 0.0, on the variance-exploding scale (see
`noise_schedules`), whatever the model predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from webui.diffusion.noise_schedules import ramp
from webui.types import Schedule

__all__ = ["AUTOMATIC", "SCHEDULES"]

AUTOMATIC = "automatic"


def uniform(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """The model's own sigmas at n timesteps evenly spaced from its last to its first, both included.

    This is diffusers' `timestep_spacing="linspace"`; between timesteps, sigma is interpolated linearly.
    """
    last = len(model_sigmas) - 1
    return [*(_at(model_sigmas, last * (1 - t)) for t in ramp(n)), 0.0]


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
    return [*((high + t * (low - high)) ** rho for t in ramp(n)), 0.0]


def exponential(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """Even steps in log sigma."""
    return [*(sigma_max * (sigma_min / sigma_max) ** t for t in ramp(n)), 0.0]


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
