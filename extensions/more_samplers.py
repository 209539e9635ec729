"""Two samplers, Euler CFG++ and DPM++ 2S a, and two schedules, Align Your Steps and KL Optimal.

All on the scale x = x0 + sigma * noise (docs/samplers.md). Plain arithmetic, so no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from webui.api import ETA, UNCOND, NoiseSource, Sampler, SamplerRun, Schedule, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

__version__ = "1.0"
TITLE = "More samplers"
NEEDS_API = ">=1.0,<2"

# --- Samplers -------------------------------------------------------------------------------------


def euler_cfgpp(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """Euler steps to the guided picture that renoise with the unconditional noise: CFG++ (Chung et al. 2024,
    Algorithm 2). It stays on the model's own path with the CFG scale between 0 and 1."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised, uncond = yield x, sigma, UNCOND
        x = denoised + (x - uncond) * (sigma_next / sigma)
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Sequence[float], noise: NoiseSource, eta: float = 1.0
) -> SamplerRun:
    """DPM-Solver++(2S) (Lu et al. 2022, Algorithm 1, r = 1/2) down to the ancestral step's lower level, and fresh
    noise on top. Two calls a step, one for the last; `eta` is the share of noise that a step renews."""
    for sigma, sigma_next in pairwise(sigmas):
        share = eta * eta * (1 - (sigma_next / sigma) ** 2)
        down, up = sigma_next * math.sqrt(max(0.0, 1 - share)), sigma_next * math.sqrt(share)
        denoised = yield x, sigma
        if down > 0:
            middle = math.sqrt(sigma * down)  # half-way in log sigma
            x_middle = denoised + (x - denoised) * (middle / sigma)
            denoised = yield x_middle, middle
        x = denoised + (x - denoised) * (down / sigma)
        if up > 0:
            x = x + noise(sigma, sigma_next) * up
    return x


@hookimpl
def register_samplers() -> list[Sampler]:
    return [
        Sampler("Euler CFG++", euler_cfgpp, aliases=("euler_cfg_pp",)),
        Sampler(
            "DPM++ 2S a",
            dpmpp_2s_ancestral,
            schedule="karras",
            aliases=("k_dpmpp_2s_a", "dpmpp_2s_ancestral"),
            options=(ETA,),
        ),
    ]


# --- Schedules ------------------------------------------------------------------------------------

# Sabour et al. 2024, the optimised levels of ten steps for Stable Diffusion 1.5
ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def align_your_steps(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """Align Your Steps (Sabour et al. 2024): the published levels, for other numbers of steps interpolated in log
    sigma, and stretched in log sigma to the model's range. The last level, `sigma_min`, becomes 0."""
    logs = [math.log(sigma) for sigma in ALIGNED]
    high, low = math.log(sigma_max), math.log(sigma_min)
    stretch = (high - low) / (logs[0] - logs[-1])
    places = (i / n * (len(logs) - 1) for i in range(n))
    return [*(math.exp(high - (logs[0] - _at(logs, place)) * stretch) for place in places), 0.0]


def kl_optimal(
    n: int, sigma_min: float, sigma_max: float, model_sigmas: Sequence[float]
) -> list[float]:
    """Even steps in arctan(sigma): optimal for Gaussian data of unit variance (Sabour et al. 2024)."""
    high, low = math.atan(sigma_max), math.atan(sigma_min)
    return [*(math.tan(high + (low - high) * i / max(n - 1, 1)) for i in range(n)), 0.0]


def _at(values: Sequence[float], place: float) -> float:
    """`values` at a fractional index, linearly between its neighbours."""
    below = min(int(place), len(values) - 2)
    return values[below] + (values[below + 1] - values[below]) * (place - below)


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule("align_your_steps", align_your_steps, "Align Your Steps", aliases=("ays",)),
        Schedule("kl_optimal", kl_optimal, "KL Optimal"),
    ]
