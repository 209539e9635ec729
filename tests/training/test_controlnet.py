"""The small ControlNet: adds nothing at first, learns, and is a file that the extension takes."""

import copy

import numpy as np
import pytest
import torch

from extensions.controlnet.networks import build, widths
from webui.training.autoencoder import AutoencoderPreset, build_autoencoder
from webui.training.captions import caption
from webui.training.controlnet import (
    HINTS,
    ControlNetPreset,
    ControlNetStage,
    build_controlnet,
    hint,
    train_controlnet,
)
from webui.training.diffusion import (
    DiffusionPreset,
    TextToLatent,
    build_text_encoder,
    build_unet,
)
from webui.training.presets import starter
from webui.training.scenes import Placed, Scene
from webui.training.tokenizer import load_tokenizer, write_tokenizer

NET = DiffusionPreset((16, 32), text_width=32, text_layers=1, latent_channels=4)
PRESET = ControlNetPreset(scenes=4, steps=6, batch=2, rate=1e-2, warmup=1, ema=0.5)


@pytest.fixture
def stage(tmp_path, renderer):
    write_tokenizer(tmp_path / "t", ["a red apple"])
    tokenizer = load_tokenizer(tmp_path / "t")
    base = TextToLatent(build_text_encoder(NET, tokenizer), build_unet(NET))
    vae = build_autoencoder(AutoencoderPreset((8, 8, 8, 8), latent_channels=4))
    return ControlNetStage(PRESET, base, vae, tokenizer, renderer, bf16=False)


def test_it_adds_nothing_before_training_and_learns_without_changing_the_model(stage, tmp_path):
    assert stage.gain(1) == pytest.approx(1.0, abs=1e-5)
    before = copy.deepcopy(stage.base.state_dict())
    path = tmp_path / "plan.safetensors"
    figures = train_controlnet(stage, tmp_path / "w", path, log=lambda line: None)
    assert figures["error_relative"] < 1.0
    assert all(torch.equal(before[k], v) for k, v in stage.base.state_dict().items())
    assert widths(path) == (4, 32)
    x, shown = torch.randn(1, 4, 16, 16), torch.rand(1, 3, 128, 128)
    context, t = torch.randn(1, 77, 32), torch.tensor([500])
    with torch.no_grad():
        ours = stage.network(x, t, context, shown, return_dict=False)
        theirs = build(path).float().eval()(x, t, {"context": context}, shown)
    for one, other in zip((*ours[0], ours[1]), (*theirs.skips, theirs.middle), strict=True):
        assert torch.allclose(one, other, atol=5e-3 * float(one.abs().max()) + 1e-4)


def test_the_shipped_size_is_under_six_megabytes():
    network = build_controlnet(build_unet(starter().diffusion))
    assert 2 * sum(p.numel() for p in network.parameters()) < 6_000_000


def test_boxes_stand_where_the_drawings_do_and_every_hint_differs(renderer):
    scene = Scene(
        "blue", (Placed(23, 32.0, 64.0, 40), Placed(24, 96.0, 64.0, 40)), (0, 0, 0), 0, "pair"
    )
    picture = renderer.draw(scene)
    shown = {kind: hint(picture, scene, kind).astype(int) for kind in HINTS}
    boxes = (shown["boxes"] != shown["boxes"][0, 0]).any(-1)
    assert boxes[44:84, 12:52].all() and boxes[44:84, 76:116].all() and boxes.sum() == 2 * 40 * 40
    assert all(np.abs(shown[a] - shown[b]).mean() > 2 for a in HINTS for b in HINTS if a < b)
    assert caption(scene, np.random.default_rng(0))
