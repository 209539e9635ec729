"""CFG rescale against diffusers: its function, and its pipeline with `guidance_rescale`, for every prediction type."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from extensions import cfg_rescale
from tests.engine.conftest import request
from tests.extensions.parity import PARTS, TOLERANCE, difference, ours, pipeline, theirs, tiny_model
from webui.diffusion.parameterisation import NAMES, parameterisation
from webui.types import Denoise, Denoised, Model, Row, Wrapper

PARTS = replace(PARTS, wrappers=(Wrapper("cfg_rescale", cfg_rescale.wrap_denoise),))
SCALE = 9.0


def with_rescale(models, phi, scale=SCALE):
    return ours(models, PARTS, cfg_scale=scale, extras={"cfg_rescale": phi})


@pytest.mark.parametrize("prediction", NAMES)
@pytest.mark.parametrize("sigma", [0.03, 1.0, 14.6])
def test_it_is_diffusers_function_in_the_networks_own_prediction(prediction, sigma):
    """Predictions are drawn, turned into denoised latents by the engine's table, and rescaled both ways."""
    x, cond, uncond = torch.randn(3, 4, 8, 9, generator=torch.Generator().manual_seed(0))
    x = x * (1 + sigma**2) ** 0.5
    cfg = uncond + SCALE * (cond - uncond)
    model = Model("m", 4, False, (0.03, 14.6), prediction=prediction)
    network = parameterisation(model)
    c_skip, c_out = network.c_skip(sigma), network.c_out(sigma)
    run = cfg_rescale.rescaled(Denoise(model, x, sigma, (Row(x, 1.0),)), 0.7)
    next(run)
    reply = Denoised(*(c_skip * x + c_out * given for given in (cfg, cond, uncond)))
    with pytest.raises(StopIteration) as stop:
        run.send(reply)
    expected = rescale_noise_cfg(cfg[None], cond[None], guidance_rescale=0.7)[0]
    expected = c_skip * x + c_out * expected
    assert difference(stop.value.value.denoised, expected) < 1e-6


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_it_is_diffusers_pipeline(tmp_path, prediction):
    models = tiny_model(tmp_path, prediction)
    expected = theirs(pipeline(models), SCALE, guidance_rescale=0.7)
    assert difference(with_rescale(models, 0.7), expected) < TOLERANCE
    assert difference(with_rescale(models, 0.0), expected) > 1e-2


def test_without_guidance_it_lets_the_call_pass(models_dir):
    assert torch.equal(with_rescale(models_dir, 0.7, scale=1.0), ours(models_dir, cfg_scale=1.0))


def test_it_is_off_by_default_and_where_a_task_has_no_control():
    (group,) = cfg_rescale.register_controls()
    (control,) = group.controls
    for extras in ({control.name: control.default}, {}):
        assert cfg_rescale.wrap_denoise(None, request(extras=extras)) is None
