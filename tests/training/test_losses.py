"""Each loss against a value worked out by hand."""

import pytest
import torch
from torch import nn

from webui.training import losses


def test_flat_pictures_have_no_edges():
    assert losses.edge_maps(torch.full((1, 3, 8, 8), 0.3)).abs().max() < 1e-6


def test_edge_of_a_step_has_the_height_of_the_step():
    picture = torch.zeros(1, 3, 6, 6)
    picture[..., 3:] = 1.0
    assert losses.edge_maps(picture).abs().max() == pytest.approx(0.5)


def test_a_flat_error_costs_its_size_and_its_square():
    wanted = torch.zeros(2, 3, 8, 8)
    loss = losses.reconstruction(wanted + 0.5, wanted, squares=2.0, edges=1.0)
    assert loss.item() == pytest.approx(0.5 + 2 * 0.25)


def test_kl_is_that_of_torchs_normal_distributions():
    mean, std = torch.randn(4, 3), torch.rand(4, 3) + 0.1
    ours = torch.distributions.Normal(mean, std)
    exact = torch.distributions.kl_divergence(ours, torch.distributions.Normal(0.0, 1.0)).mean()
    assert losses.kl(mean, std).item() == pytest.approx(exact.item(), rel=1e-5)


def test_lpips_of_opposite_and_of_right_angled_features():
    one = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1).expand(1, 2, 5, 5)
    right = torch.tensor([-4.0, 3.0]).reshape(1, 2, 1, 1).expand(1, 2, 5, 5)
    assert losses.lpips([one], [one * 7]).item() == pytest.approx(
        0.0, abs=1e-6
    )  # length is no matter
    assert losses.lpips([one], [-one]).item() == pytest.approx(4.0, rel=1e-5)
    assert losses.lpips([one, one], [right, one]).item() == pytest.approx(2.0, rel=1e-5)


def test_hinge_losses_stop_at_the_margin():
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert losses.hinge_discriminator(real, fake).item() == pytest.approx((0.5 + 1.0) / 2)
    assert losses.hinge_generator(fake).item() == pytest.approx(1.0)


def test_adaptive_weight_of_a_two_layer_net_by_hand():
    """y = b a x with x = 2, a = 3: y = 6 b, so d(y^2)/db = 72 b and d(5y)/db = 30."""
    x, a = torch.tensor([[2.0]]), nn.Linear(1, 1, bias=False)
    b = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        a.weight.fill_(3.0)
        b.weight.fill_(0.5)
    y = b(a(x))
    weight = losses.adaptive_weight(y.square().sum(), (5 * y).sum(), b.weight)
    assert weight.item() == pytest.approx(36 / 30, rel=1e-5)
    assert not weight.requires_grad
    assert b.weight.grad is None  # nothing is left behind for the optimizer


def test_adaptive_weight_is_bounded_where_the_adversary_pulls_at_nothing():
    layer = nn.Linear(1, 1, bias=False)
    y = layer(torch.ones(1, 1)).sum()
    assert losses.adaptive_weight(1e6 * y, 0 * y, layer.weight).item() == 1e4


def test_alignment_is_none_for_equal_directions_and_two_for_opposite_ones():
    x = torch.randn(2, 5, 3, 3)
    assert losses.alignment(2 * x, x).item() == pytest.approx(0.0, abs=1e-6)
    assert losses.alignment(-x, x).item() == pytest.approx(2.0, rel=1e-5)


def test_min_snr_caps_what_is_nearly_clean_and_leaves_noise_alone():
    snr = torch.tensor([0.0, 1.0, 4.0, 9.0, 99.0])
    assert torch.allclose(losses.min_snr(snr, 5.0), torch.tensor([1.0, 1.0, 1.0, 0.5, 0.05]))
