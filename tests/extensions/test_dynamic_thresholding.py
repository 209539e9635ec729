"""Dynamic thresholding against diffusers' own (of pixels), and what it does to a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler

from extensions import dynamic_thresholding
from tests.engine.conftest import request
from tests.extensions.parity import PARTS, difference, ours
from webui.types import Wrapper

PARTS = replace(
    PARTS,
    wrappers=(Wrapper("dynamic_thresholding", dynamic_thresholding.wrap_denoise),),
)


def run(models_dir, scale, mimic, percentile=0.995):
    extras = {"mimic_scale": mimic, "threshold_percentile": percentile}
    return ours(models_dir, PARTS, cfg_scale=scale, extras=extras)


def latents(seed):
    return torch.randn(4, 16, 12, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("percentile", [0.9, 0.995, 1.0])
def test_each_channel_in_units_of_the_mimicked_range_is_imagens(percentile):
    """diffusers thresholds pixels of the range -1..1; channels are given to it one by one in those units."""
    x0, mimicked = latents(0) * 3 + 0.5, latents(1) * torch.tensor([0.5, 1, 2, 9]).view(4, 1, 1)
    scheduler = DDPMScheduler(
        thresholding=True, dynamic_thresholding_ratio=percentile, sample_max_value=1e9
    )
    mean = x0.mean(dim=(1, 2), keepdim=True)
    unit = (mimicked - mimicked.mean(dim=(1, 2), keepdim=True)).abs().amax(dim=(1, 2), keepdim=True)
    theirs = scheduler._threshold_sample(((x0 - mean) / unit)[:, None])[:, 0] * unit + mean
    mine = dynamic_thresholding.threshold(x0, mimicked, percentile)
    assert difference(mine, theirs) < 1e-6
    assert difference(mine, x0) > 0.05


def test_the_range_of_the_mimicked_prediction_is_never_left():
    x0, mimicked = latents(0) * 20, latents(1)
    from_mean = dynamic_thresholding.threshold(x0, mimicked, 0.99) - x0.mean((1, 2), keepdim=True)
    widest = (mimicked - mimicked.mean((1, 2), keepdim=True)).abs().amax((1, 2))
    torch.testing.assert_close(from_mean.abs().amax((1, 2)), widest)


def test_a_latent_without_any_contrast_stays_as_it_is():
    flat = torch.full((4, 8, 8), 0.3)
    assert torch.equal(dynamic_thresholding.threshold(flat, flat, 0.995), flat)


def test_a_scale_up_to_the_mimicked_one_is_left_alone_and_a_higher_one_is_not(models_dir):
    plain = ours(models_dir, cfg_scale=15.0)
    assert torch.equal(run(models_dir, 15.0, 15.0), plain)
    assert torch.equal(run(models_dir, 15.0, 20.0), plain)
    assert difference(run(models_dir, 15.0, 1.5), plain) > 1e-2


def test_the_prediction_at_the_mimicked_scale_itself_is_left_as_it_is():
    """So that a scale a little above the mimicked one changes little."""
    x0 = latents(0)
    assert difference(dynamic_thresholding.threshold(x0, x0, 0.9), x0) < 1e-6


def test_without_guidance_it_lets_the_call_pass(models_dir):
    assert torch.equal(run(models_dir, 1.0, 0.5), ours(models_dir, cfg_scale=1.0))


def test_it_is_off_by_default_and_where_a_task_has_no_controls():
    (group,) = dynamic_thresholding.register_controls()
    for extras in ({control.name: control.default for control in group.controls}, {}):
        assert dynamic_thresholding.wrap_denoise(None, request(extras=extras)) is None
