from tests.engine.samplers.gaussian import drive, flow, geometric, order
from webui.engine.samplers.heun import heun


def test_order_of_convergence_is_two():
    assert 1.95 < order(heun, geometric, 64) < 2.05


def test_many_steps_reach_the_closed_form():
    _, asked = drive(heun, 5.0, geometric(500))
    x, sigma = asked[-1]
    assert abs(x - flow(5.0, 10.0, sigma)) < 1e-4
