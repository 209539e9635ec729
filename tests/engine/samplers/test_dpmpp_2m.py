import math

import pytest

from tests.engine.samplers.gaussian import drive, flow, geometric, order
from webui.engine.samplers.dpmpp_2m import dpmpp_2m


def test_order_of_convergence_is_two():
    assert 1.9 < order(dpmpp_2m, geometric, 64) < 2.05


def test_many_steps_reach_the_closed_form():
    _, asked = drive(dpmpp_2m, 5.0, geometric(500))
    x, sigma = asked[-1]
    assert abs(x - flow(5.0, 10.0, sigma)) < 1e-4


def test_steps_of_uneven_length_keep_the_order():
    def uneven(n: int) -> list[float]:
        return [10 * 0.01 ** ((i / (n - 1)) ** 2) for i in range(n)] + [0.0]

    assert 1.9 < order(dpmpp_2m, uneven, 128) < 2.1


def test_a_prediction_linear_in_log_sigma_is_extrapolated_to_the_middle_of_the_step():
    sigmas = [4.0, 2.0, 1.0 / 3, 0.0]  # steps of different length

    def line(x, sigma):
        return 2 - 0.3 * math.log(sigma)

    _, asked = drive(dpmpp_2m, 1.0, sigmas, denoiser=line)
    before, after = asked[1][0], asked[2][0]
    ratio = sigmas[2] / sigmas[1]
    middle = 2 - 0.3 * (math.log(sigmas[1]) + math.log(sigmas[2])) / 2
    assert after == pytest.approx(ratio * before + (1 - ratio) * middle, rel=1e-12)
