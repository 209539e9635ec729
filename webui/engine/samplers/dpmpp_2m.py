"""DPM-Solver++(2M): a second-order multistep method in log sigma."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from webui.types import NoiseSource, SamplerRun

if TYPE_CHECKING:
    from torch import Tensor


def dpmpp_2m(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2, data prediction); one call a step.

    The first step is of first order, having no predecessor, and so is the one to sigma 0, where
    log sigma has no end.
    """
    previous: tuple[Tensor, float] | None = (
        None  # the last step's denoised latent, and its length h
    )
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        target = denoised
        if sigma_next > 0:
            h = math.log(sigma / sigma_next)
            if previous is not None:
                denoised_before, h_before = previous
                target = denoised + (denoised - denoised_before) * (h / (2 * h_before))
            previous = (denoised, h)
        x = x * (sigma_next / sigma) + target * (1 - sigma_next / sigma)
    return x
