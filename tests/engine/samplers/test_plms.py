from itertools import pairwise

import pytest

from tests.engine.samplers.gaussian import drive, geometric, order
from webui.engine.samplers.plms import plms


def test_order_of_convergence_is_two_on_uneven_and_above_three_on_even_steps():
    # Its coefficients are those of even steps, which a schedule's hardly ever are.
    assert 1.95 < order(plms, geometric, 64) < 2.05
    assert 3.5 < order(plms, lambda n: [3 - 2.5 * i / n for i in range(n + 1)] + [0.0], 64) < 4.0


def test_slopes_that_are_cubic_in_sigma_are_integrated_exactly_on_even_steps():
    def slope(sigma: float) -> float:
        return 2 - sigma + 0.4 * sigma**2 - 0.03 * sigma**3

    def integral(sigma: float) -> float:
        return 2 * sigma - sigma**2 / 2 + 0.4 * sigma**3 / 3 - 0.03 * sigma**4 / 4

    sigmas = [float(9 - i) for i in range(10)]
    final, asked = drive(plms, 1.0, sigmas, denoiser=lambda x, sigma: x - sigma * slope(sigma))
    states = [asked[0][0], *(x for x, _ in asked[2:]), final]  # without the warm-up's look ahead
    moved = [b - a for a, b in pairwise(states)]
    exact = [integral(b) - integral(a) for a, b in pairwise(sigmas)]
    assert moved[3:] == pytest.approx(exact[3:], rel=1e-11)


def test_warm_up_averages_the_slopes_at_both_ends_of_the_first_step():
    _, asked = drive(plms, 1.0, [4.0, 2.0, 1.0, 0.0], denoiser=lambda x, sigma: x - sigma * sigma)
    assert [sigma for _, sigma in asked] == [4.0, 2.0, 2.0, 1.0]
    assert asked[1][0] == 1 - 2 * 4  # Euler, with the slope sigma at 4
    assert asked[2][0] == 1 - 2 * 3  # the mean of the slopes 4 and 2
