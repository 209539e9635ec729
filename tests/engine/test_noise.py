"""The first noise of a seed is torch's own, whatever comes after it."""

import torch

from webui.engine.noise import Noise, between

CPU = torch.device("cpu")


def test_the_first_draw_is_torch_randn_of_the_seed():
    theirs = torch.randn((4, 8, 8), generator=torch.Generator("cpu").manual_seed(42))
    assert torch.equal(Noise(42, torch.device("cpu"))((4, 8, 8)), theirs)


def test_draws_of_two_pictures_do_not_disturb_one_another():
    cpu = CPU
    alone = Noise(1, cpu)
    expected = [alone((3,)), alone((3,))]
    a, b = Noise(1, cpu), Noise(2, cpu)
    first = a((3,))
    b((5,))
    torch.manual_seed(0)
    torch.randn(7)
    assert torch.equal(first, expected[0])
    assert torch.equal(a((3,)), expected[1])


def test_noise_between_two_seeds_stays_noise_and_meets_them_at_the_ends() -> None:
    one, other = Noise(1, CPU)((4, 64, 64)), Noise(2, CPU)((4, 64, 64))
    torch.testing.assert_close(between(one, other, 0.0), one)
    torch.testing.assert_close(between(one, other, 1.0), other)
    half = between(one, other, 0.5)
    assert abs(float(half.var()) - 1) < 0.05  # a plain average would have half the variance
    torch.testing.assert_close(between(one, one, 0.5), one)


def test_noise_on_the_arc_keeps_its_length_column_by_column() -> None:
    one, other = Noise(1, CPU)((4, 64, 64)), Noise(2, CPU)((4, 64, 64))
    one, other = one / one.norm(dim=1, keepdim=True), other / other.norm(dim=1, keepdim=True)
    lengths = between(one, other, 0.3).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
