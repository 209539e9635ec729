"""The first noise of a seed is torch's own, whatever comes after it; a Brownian path is one whoever asks for it."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torchsde import BrownianTree

from webui.engine.noise import BrownianPath, Draws, between, source
from webui.types import BrownianNoise, NormalNoise

CPU = torch.device("cpu")


def test_the_first_draw_is_torch_randn_of_the_seed():
    theirs = torch.randn((4, 8, 8), generator=torch.Generator("cpu").manual_seed(42))
    assert torch.equal(Draws(42, torch.device("cpu"))((4, 8, 8)), theirs)


def test_draws_of_two_pictures_do_not_disturb_one_another():
    cpu = CPU
    alone = Draws(1, cpu)
    expected = [alone((3,)), alone((3,))]
    a, b = Draws(1, cpu), Draws(2, cpu)
    first = a((3,))
    b((5,))
    torch.manual_seed(0)
    torch.randn(7)
    assert torch.equal(first, expected[0])
    assert torch.equal(a((3,)), expected[1])


def test_noise_between_two_seeds_stays_noise_and_meets_them_at_the_ends() -> None:
    one, other = Draws(1, CPU)((4, 64, 64)), Draws(2, CPU)((4, 64, 64))
    torch.testing.assert_close(between(one, other, 0.0), one)
    torch.testing.assert_close(between(one, other, 1.0), other)
    half = between(one, other, 0.5)
    assert abs(float(half.var()) - 1) < 0.05  # a plain average would have half the variance
    torch.testing.assert_close(between(one, one, 0.5), one)


def test_noise_on_the_arc_keeps_its_length_column_by_column() -> None:
    one, other = Draws(1, CPU)((4, 64, 64)), Draws(2, CPU)((4, 64, 64))
    one, other = one / one.norm(dim=1, keepdim=True), other / other.norm(dim=1, keepdim=True)
    lengths = between(one, other, 0.3).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_a_samplers_draws_follow_the_pictures_first_noise() -> None:
    draws = Draws(3, CPU)
    draws((4, 8, 8))  # the first noise
    noise = source(NormalNoise(3), (4, 8, 8), CPU)
    for _ in range(3):
        assert torch.equal(noise(2.0, 1.0), draws((4, 8, 8)))
    assert torch.equal(source(NormalNoise(3, skip=0), (5,), CPU)(2.0, 1.0), Draws(3, CPU)((5,)))


PATHS = 40_000
TIMES = (0.0, 0.0001, 0.029, 0.03, 0.7, 1.0, 3.9, 4.1, 14.6)


def ours(seed: int) -> Callable[[float, float], Tensor]:
    return BrownianPath(seed, (PATHS,)).increment


def torchsdes(seed: int) -> Callable[[float, float], Tensor]:
    tree = BrownianTree(0.0, torch.zeros(PATHS), t1=16.0, entropy=seed, tol=1e-6)
    return lambda start, end: tree(start, end)


@pytest.mark.parametrize("path", [ours, torchsdes])
def test_the_increments_of_a_path_are_independent_and_as_wide_as_time(
    path: Callable[[int], Callable[[float, float], Tensor]],
) -> None:
    """The covariance of the increments between uneven times, each divided by the square root of its length, is the
    identity, for our path as for torchsde's."""
    increment = path(5)
    unit = torch.stack([increment(a, b) / (b - a) ** 0.5 for a, b in pairwise(TIMES)])
    covariance = unit @ unit.T / PATHS
    assert float((covariance - torch.eye(len(unit))).abs().max()) < 4 * (2 / PATHS) ** 0.5
    assert float(unit.mean(dim=1).abs().max()) < 4 / PATHS**0.5


@pytest.mark.parametrize("path", [ours, torchsdes])
def test_a_long_increment_is_the_sum_of_the_short_ones(
    path: Callable[[int], Callable[[float, float], Tensor]],
) -> None:
    parts = sum(path(6)(a, b) for a, b in pairwise(TIMES[1:]))
    torch.testing.assert_close(parts, path(6)(TIMES[1], TIMES[-1]), rtol=1e-4, atol=1e-4)


def test_a_path_depends_neither_on_what_was_asked_for_nor_on_the_order() -> None:
    path = BrownianPath(7, (4, 8, 8))
    known = path.increment(0.3, 5.0)
    for i in range(40):
        path.increment(0.01 * i, 14.0)
    assert torch.equal(path.increment(0.3, 5.0), known)
    assert torch.equal(BrownianPath(7, (4, 8, 8)).increment(0.3, 5.0), known)
    assert not torch.equal(BrownianPath(8, (4, 8, 8)).increment(0.3, 5.0), known)


def test_the_noise_of_a_path_has_unit_variance_up_or_down() -> None:
    noise = source(BrownianNoise(1), (PATHS,), CPU)
    down = noise(8.0, 5.0)
    assert abs(float(down.var()) - 1) < 4 * (2 / PATHS) ** 0.5
    assert torch.equal(down, noise(5.0, 8.0))
    halves = (noise(8.0, 6.0) * 2**0.5 + noise(6.0, 5.0)) / 3**0.5
    torch.testing.assert_close(halves, down, rtol=1e-4, atol=1e-4)
