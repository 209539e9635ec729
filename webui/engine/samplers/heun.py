"""Heun's method on the probability-flow ODE."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from webui.types import NoiseSource, SamplerRun

if TYPE_CHECKING:
    from torch import Tensor


def heun(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """Heun's second-order steps (Karras et al. 2022, Algorithm 2). Two calls a step, one for the last."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        d = (x - denoised) / sigma
        x_next = x + d * (sigma_next - sigma)
        if sigma_next > 0:
            denoised = yield x_next, sigma_next
            d = (d + (x_next - denoised) / sigma_next) / 2
            x_next = x + d * (sigma_next - sigma)
        x = x_next
    return x
