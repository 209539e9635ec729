"""The exact denoiser of Gaussian data, its closed-form flow, and a loop that drives a sampler with it.

Data N(mu, s²) seen through noise of level sigma has the posterior mean D(x, sigma) below, and the
probability-flow ODE dx/dsigma = (x - D) / sigma is solved by `flow`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

MU, S = 0.7, 0.5


def denoise(x, sigma: float, mu=MU, s: float = S):
    return (s * s * x + sigma * sigma * mu) / (s * s + sigma * sigma)


def flow(x, sigma: float, sigma_end: float, mu=MU, s: float = S):
    return mu + (x - mu) * math.sqrt((s * s + sigma_end**2) / (s * s + sigma**2))


def no_noise(sigma: float, sigma_next: float):
    raise AssertionError("a deterministic sampler draws no noise")


def drive(
    make, x, sigmas: Sequence[float], noise=no_noise, denoiser: Callable = denoise, **options
):
    """Runs a sampler: the final latent, and the (x, sigma) that it asked about."""
    run = make(x, sigmas, noise, **options)
    asked = []
    reply = None
    try:
        while True:
            x, sigma = run.send(reply)
            asked.append((x, sigma))
            reply = denoiser(x, sigma)
    except StopIteration as stop:
        return stop.value, asked


def calls(make, steps: int) -> int:
    """How many predictions a run of so many steps asks for."""
    return len(drive(make, 5.0, geometric(steps), lambda sigma, sigma_next: 0.0)[1])


def geometric(n: int, high: float = 10.0, low: float = 0.1) -> list[float]:
    """n sigmas with even steps in log sigma, then 0."""
    return [*(high * (low / high) ** (i / (n - 1)) for i in range(n)), 0.0]


def even(n: int, high: float = 3.0) -> list[float]:
    """n even steps in sigma, down to 0."""
    return [high * (1 - i / n) for i in range(n)] + [0.0]


def order(make, sigmas: Callable[[int], list[float]], n: int, x: float = 5.0) -> float:
    """The observed order of convergence, log2 of the error's ratio from n to 2n steps.

    The error is taken at the last sigma above 0, before the final step to 0.
    """

    def error(n: int) -> float:
        levels = sigmas(n)
        end = levels[-2]
        _, asked = drive(make, x, levels)
        reached = next(x for x, sigma in asked if sigma == end)
        return abs(reached - flow(x, levels[0], end))

    return math.log2(error(n) / error(2 * n))
