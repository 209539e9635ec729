"""From a UNet's raw output to a denoised latent: the one place that knows eps, v and x0 predictions.

Everything is on the variance-exploding scale, x = x0 + sigma * eps. The network was trained on the
variance-preserving x / sqrt(1 + sigma^2), and what it predicts F gives the clean latent by two
coefficients, `denoised = c_skip * x + c_out * F` (Karras et al. 2022, section 5; v: Salimans & Ho 2022).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence

__all__ = ["PREDICTIONS", "input_scale", "timestep"]


def _eps(sigma: float) -> tuple[float, float]:
    return 1.0, -sigma


def _v(sigma: float) -> tuple[float, float]:
    return 1 / (1 + sigma**2), -sigma / math.sqrt(1 + sigma**2)


def _x0(sigma: float) -> tuple[float, float]:
    return 0.0, 1.0


PREDICTIONS: dict[str, Callable[[float], tuple[float, float]]] = {
    "epsilon": _eps,
    "v_prediction": _v,
    "sample": _x0,
}
"""(c_skip, c_out) at a noise level, by diffusers' names of the prediction types."""


def input_scale(sigma: float) -> float:
    """What x is multiplied by before the network sees it."""
    return 1 / math.sqrt(1 + sigma**2)


def timestep(sigma: float, sigmas: Sequence[float]) -> float:
    """The training timestep (fractional) at noise level `sigma`, by linear interpolation in log sigma.

    `sigmas` are the model's, ascending; a level beyond them takes the nearest end.
    """
    if sigma <= sigmas[0]:
        return 0.0
    high = bisect_left(sigmas, sigma)
    if high >= len(sigmas):
        return float(len(sigmas) - 1)
    low = high - 1
    span = math.log(sigmas[high]) - math.log(sigmas[low])
    return low + (math.log(sigma) - math.log(sigmas[low])) / span
