"""What a network predicts, as four functions of the noise level: the one place that knows noise, v, x0 and flow.

Everything is on the variance-exploding scale, x = x0 + sigma * noise. A network sees c_in * x at a timestep, and its
prediction F gives the clean latent (Karras et al. 2022, section 5): denoised = c_skip * x + c_out * F.

Networks of DDPM's training see the variance-preserving x / sqrt(1 + sigma^2) and predict the noise, v (Salimans & Ho
2022) or x0. Those of flow matching see (1 - t) * x0 + t * noise and predict noise - x0 (Liu et al. 2022, Esser et al.
2024): with sigma = t / (1 - t) that is x / (1 + sigma), and only t = 1 lies at infinity.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from webui.diffusion.flow import flow_time
from webui.errors import EaselError, Sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webui.types import Model

__all__ = ["NAMES", "Parameterisation", "named", "parameterisation"]

Coefficient = Callable[[float], float]
FLOW_TIMESTEPS = 1000  # what t = 1 is called


@dataclass(frozen=True, slots=True)
class Parameterisation:
    """What a network predicts, as four functions of sigma (a noise level on the variance-exploding scale).

    The network sees `c_in(sigma) * x` at `timestep(sigma)`, and `c_skip(sigma) * x + c_out(sigma) * prediction` is the
    clean latent. `name` is "epsilon", "v_prediction", "sample" or "flow". Those of models alike are equal.
    """

    name: str
    c_in: Coefficient
    c_skip: Coefficient
    c_out: Coefficient
    timestep: Coefficient


def parameterisation(model: Model) -> Parameterisation:
    """What the network of `model` predicts: how a prediction and a clean latent become each other."""
    return named(model.prediction, model.sigmas)


@lru_cache(maxsize=64)
def named(name: str, sigmas: tuple[float, ...]) -> Parameterisation:
    """The parameterisation of a name of `NAMES`, for a model of these training noise levels, ascending.

    `EaselError` for another name.
    """
    if name not in _COEFFICIENTS:
        raise EaselError(
            Sentence(
                "prediction {name} is not known; use {names}",
                name=repr(name),
                names=", ".join(NAMES),
            )
        )
    c_in, c_skip, c_out = _COEFFICIENTS[name]
    return Parameterisation(
        name, c_in, c_skip, c_out, _flow_time if name == FLOW else _DdpmTime(sigmas)
    )


# --- DDPM's training ------------------------------------------------------------------------------


def _preserved(sigma: float) -> float:
    """From the variance-exploding latent to the variance-preserving one."""
    return 1 / math.sqrt(1 + sigma**2)


def _one(sigma: float) -> float:
    return 1.0


def _nothing(sigma: float) -> float:
    return 0.0


def _minus(sigma: float) -> float:
    return -sigma


def _v_skip(sigma: float) -> float:
    return 1 / (1 + sigma**2)


def _v_out(sigma: float) -> float:
    return -sigma / math.sqrt(1 + sigma**2)


@dataclass(frozen=True, slots=True)
class _DdpmTime:
    """The fractional training timestep at a level, by linear interpolation in log sigma; one beyond the model's levels
    takes the nearest end. A value, so that what is made of equal levels is equal."""

    sigmas: tuple[float, ...] = field(repr=False)

    def __call__(self, sigma: float) -> float:
        sigmas = self.sigmas
        if sigma <= sigmas[0]:
            return 0.0
        high = bisect_left(sigmas, sigma)
        if high >= len(sigmas):
            return float(len(sigmas) - 1)
        low = high - 1
        span = math.log(sigmas[high]) - math.log(sigmas[low])
        return low + (math.log(sigma) - math.log(sigmas[low])) / span


# --- Flow matching --------------------------------------------------------------------------------


def _flow_in(sigma: float) -> float:
    return 1 / (1 + sigma)


def _flow_out(sigma: float) -> float:
    return -sigma / (1 + sigma)


def _flow_time(sigma: float) -> float:
    return FLOW_TIMESTEPS * flow_time(sigma)


FLOW = "flow"
_COEFFICIENTS: Mapping[str, tuple[Coefficient, Coefficient, Coefficient]] = MappingProxyType(
    {  # c_in, c_skip, c_out; the first three by diffusers' names of the prediction types
        "epsilon": (_preserved, _one, _minus),
        "v_prediction": (_preserved, _v_skip, _v_out),
        "sample": (_preserved, _nothing, _one),
        FLOW: (_flow_in, _flow_in, _flow_out),
    }
)
NAMES = tuple(_COEFFICIENTS)
"""What networks predict, by name."""
