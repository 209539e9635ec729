from itertools import pairwise

import pytest

from tests.engine.samplers.gaussian import drive, geometric, order
from webui.engine.samplers.lms import lms


def test_error_falls_with_order_three_and_more_until_the_first_euler_step_shows():
    # The first step is Euler's, its error a constant times h²: that is what is left in the end.
    assert 3.2 < order(lms, geometric, 32) < 3.7
    assert 2.0 < order(lms, lambda n: geometric(n, 3.0, 0.3), 256) < 2.2


def test_slopes_that_are_cubic_in_sigma_are_integrated_exactly_after_the_warm_up():
    def slope(sigma: float) -> float:
        return 2 - sigma + 0.4 * sigma**2 - 0.03 * sigma**3

    def integral(sigma: float) -> float:
        return 2 * sigma - sigma**2 / 2 + 0.4 * sigma**3 / 3 - 0.03 * sigma**4 / 4

    sigmas = [9.0, 8.5, 7.0, 6.9, 5.0, 3.2, 1.1, 0.4, 0.0]
    final, asked = drive(lms, 1.0, sigmas, denoiser=lambda x, sigma: x - sigma * slope(sigma))
    states = [*(x for x, _ in asked), final]
    moved = [b - a for a, b in pairwise(states)]
    exact = [integral(b) - integral(a) for a, b in pairwise(sigmas)]
    assert moved[3:] == pytest.approx(exact[3:], rel=1e-11)
    assert moved[0] != pytest.approx(exact[0], rel=1e-3)
