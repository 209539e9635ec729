from tests.engine.samplers.gaussian import drive, flow, geometric, order
from webui.engine.samplers.euler import euler


def test_order_of_convergence_is_one():
    assert 0.98 < order(euler, geometric, 64) < 1.02


def test_many_steps_reach_the_closed_form():
    _, asked = drive(euler, 5.0, geometric(2000))
    x, sigma = asked[-1]
    assert abs(x - flow(5.0, 10.0, sigma)) < 2e-3
