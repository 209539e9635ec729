"""The first noise of a seed is torch's own, whatever comes after it."""

import torch

from webui.engine.noise import Noise


def test_the_first_draw_is_torch_randn_of_the_seed():
    theirs = torch.randn((4, 8, 8), generator=torch.Generator("cpu").manual_seed(42))
    assert torch.equal(Noise(42, torch.device("cpu"))((4, 8, 8)), theirs)


def test_draws_of_two_pictures_do_not_disturb_one_another():
    cpu = torch.device("cpu")
    alone = Noise(1, cpu)
    expected = [alone((3,)), alone((3,))]
    a, b = Noise(1, cpu), Noise(2, cpu)
    first = a((3,))
    b((5,))
    torch.manual_seed(0)
    torch.randn(7)
    assert torch.equal(first, expected[0])
    assert torch.equal(a((3,)), expected[1])
