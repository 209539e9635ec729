"""Steps that add noise on their way: Euler a, DDIM with its η, DDPM. On our scale they are one sampler.

With x on the variance-exploding scale, DDIM's update (Song et al. 2020, equation 12) is an Euler step
down to `sigma_down` and fresh noise of `sigma_up` on top, for every η; η = 0 is Euler, η = 1 is Euler
ancestral, and the same as the posterior q(x_next | x, denoised) of DDPM (Ho et al. 2020, equation 7).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from webui.types import NoiseSource, SamplerRun

if TYPE_CHECKING:
    from torch import Tensor


def split(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """`(sigma_down, sigma_up)`: where the Euler step goes and what is added; squares sum to sigma_next's."""
    share = eta * eta * (1 - (sigma_next / sigma) ** 2)
    return sigma_next * math.sqrt(max(0.0, 1 - share)), sigma_next * math.sqrt(share)


def euler_ancestral(
    x: Tensor, sigmas: Sequence[float], noise: NoiseSource, eta: float = 1.0
) -> SamplerRun:
    """Ancestral Euler steps: 0 <= eta <= 1 is the share of noise that each step renews."""
    for sigma, sigma_next in pairwise(sigmas):
        denoised = yield x, sigma
        down, up = split(sigma, sigma_next, eta)
        x = denoised + (x - denoised) * (down / sigma)
        if up > 0:
            x = x + noise(sigma, sigma_next) * up
    return x


def ddim(x: Tensor, sigmas: Sequence[float], noise: NoiseSource, eta: float = 0.0) -> SamplerRun:
    """DDIM (Song et al. 2020, equation 12): the ancestral step with η = 0 unless it is asked for."""
    return (yield from euler_ancestral(x, sigmas, noise, eta))


def ddpm(x: Tensor, sigmas: Sequence[float], noise: NoiseSource) -> SamplerRun:
    """DDPM (Ho et al. 2020, Algorithm 2, the smaller variance): the ancestral step with η = 1."""
    return (yield from euler_ancestral(x, sigmas, noise, eta=1.0))
