from dataclasses import replace

import pytest
import torch

from webui.training.autoencoder import (
    AutoencoderPreset,
    build_autoencoder,
    edge_maps,
    train_autoencoder,
)
from webui.training.diffusion import standardise_latents

TINY = AutoencoderPreset(widths=(8, 8, 8, 8), latent_channels=4, steps=4, batch=2, crop=32)


def quiet(line: str) -> None:
    del line


def test_flat_pictures_have_no_edges():
    assert edge_maps(torch.full((1, 3, 8, 8), 0.3)).abs().max() < 1e-6


def test_edge_of_a_step_has_the_height_of_the_step():
    picture = torch.zeros(1, 3, 6, 6)
    picture[..., 3:] = 1.0
    assert edge_maps(picture).abs().max() == pytest.approx(0.5)


def test_standardising_changes_latents_but_not_pictures():
    vae = build_autoencoder(TINY).eval()
    pictures = torch.rand(8, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(pictures).latent_dist.mode()).sample
        standardise_latents(vae, pictures, floor=1e-6)
        z = vae.encode(pictures).latent_dist.mode()
        after = vae.decode(z).sample
    assert torch.allclose(before, after, atol=1e-3)
    assert torch.allclose(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-3)
    assert torch.allclose(torch.cov(z.transpose(0, 1).reshape(4, -1)), torch.eye(4), atol=0.02)


def test_interrupted_training_gives_the_same_weights(renderer, tmp_path):
    whole = train_autoencoder(TINY, renderer, tmp_path / "a", bf16=False, log=quiet)
    train_autoencoder(TINY, renderer, tmp_path / "b", bf16=False, minutes=0, log=quiet)
    resumed = train_autoencoder(TINY, renderer, tmp_path / "b", bf16=False, log=quiet)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_refining_the_decoder_leaves_latents_alone(renderer, tmp_path):
    start = build_autoencoder(TINY).state_dict()
    refined = train_autoencoder(
        replace(TINY, steps=2),
        renderer,
        tmp_path,
        bf16=False,
        decoder_only=True,
        start_from=start,
        log=quiet,
    ).state_dict()
    changed = {name for name in start if not torch.equal(start[name], refined[name])}
    assert changed
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
