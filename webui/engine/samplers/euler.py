"""Euler's method on the probability-flow ODE."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from webui.types import NoiseSource, SamplerRun

if TYPE_CHECKING:
    from torch import Tensor


def euler(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """Euler steps, first order (Karras et al. 2022, Algorithm 2 without the correction)."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        d = (x - denoised) / sigma
        x = x + d * (sigma_next - sigma)
    return x
