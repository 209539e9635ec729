"""The pseudo linear multistep method of PNDM, as latent diffusion runs it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from webui.types import NoiseSource, SamplerRun

if TYPE_CHECKING:
    from torch import Tensor

# Adams-Bashforth coefficients for even steps, newest slope first, orders 2 to 4.
ADAMS_BASHFORTH = {
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


def plms(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """PLMS (Liu et al. 2022, PNDM without Runge-Kutta steps): one call a step, two for the first.

    The warm-up is latent diffusion's pseudo improved Euler step: the slope at the start and the one that
    an Euler step finds at its end, averaged. The coefficients are those of even steps whatever the
    sigmas are (so the method is "pseudo"); a single step of the schedule is an Euler step.
    """
    slopes: list[Tensor] = []  # newest first
    for i in range(len(sigmas) - 1):
        sigma, sigma_next = sigmas[i], sigmas[i + 1]
        denoised = yield x, sigma
        slopes = [(x - denoised) / sigma, *slopes[:3]]
        if len(slopes) > 1:
            weights = ADAMS_BASHFORTH[len(slopes)]
            d = reduce(add, (slope * w for slope, w in zip(slopes, weights, strict=True)))
        else:
            d = slopes[0]
            if sigma_next > 0:
                ahead = x + d * (sigma_next - sigma)
                denoised = yield ahead, sigma_next
                d = (d + (ahead - denoised) / sigma_next) / 2
        x = x + d * (sigma_next - sigma)
    return x
