"""A linear multistep method for steps of any length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from webui.types import NoiseSource, SamplerRun

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 4


def lms(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """Adams-Bashforth of order 4 on uneven steps (as Katherine Crowson's k-diffusion); one call a step.

    The slopes of the last four steps are interpolated by a polynomial in sigma, which is integrated over
    the step. The first three steps have fewer slopes, so they are of order 1, 2 and 3.
    """
    slopes: list[Tensor] = []  # newest last
    for i in range(len(sigmas) - 1):
        denoised = yield x, sigmas[i]
        slopes = [*slopes[1 - ORDER :], (x - denoised) / sigmas[i]]
        nodes = sigmas[i + 1 - len(slopes) : i + 1]
        for slope, weight in zip(slopes, weights(nodes, sigmas[i], sigmas[i + 1]), strict=True):
            x = x + slope * weight
    return x


def weights(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integrals from `start` to `end` of the Lagrange polynomials of `nodes` (at most four).

    Two-point Gauss-Legendre quadrature is exact for cubic polynomials.
    """
    middle, half = (start + end) / 2, (end - start) / 2
    points = (middle - half / math.sqrt(3), middle + half / math.sqrt(3))

    def lagrange(j: int, at: float) -> float:
        return math.prod((at - b) / (nodes[j] - b) for k, b in enumerate(nodes) if k != j)

    return [half * sum(lagrange(j, at) for at in points) for j in range(len(nodes))]
