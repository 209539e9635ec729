from dataclasses import replace

import pytest
import torch

from webui.training.autoencoder import (
    AutoencoderPreset,
    build_autoencoder,
    kept,
    train_autoencoder,
)
from webui.training.classifier import Classifier
from webui.training.diffusion import standardise_latents

TINY = AutoencoderPreset(
    widths=(8, 8, 8, 8), latent_channels=4, steps=4, batch=2, crop=32, adversary_from=0.5, shown=2
)


def quiet(line: str) -> None:
    del line


def features() -> Classifier:
    torch.manual_seed(0)
    return Classifier((4, 4, 4, 4, 4)).eval().requires_grad_(False)


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
    """With features and adversary: two runs of four steps, one of them killed after the first."""
    how = {"bf16": False, "log": quiet, "features": features().features}
    whole = train_autoencoder(TINY, renderer, tmp_path / "a", **how)
    train_autoencoder(TINY, renderer, tmp_path / "b", minutes=0, **how)
    resumed = train_autoencoder(TINY, renderer, tmp_path / "b", **how)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_refining_the_decoder_leaves_latents_alone(renderer, tmp_path):
    start = build_autoencoder(TINY).state_dict()
    refined = train_autoencoder(
        replace(TINY, steps=2, latent_noise=0.1),
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


def test_what_is_kept_of_a_picture():
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 16, 16) - 0.5
    assert kept(picture + 0.2, picture)["psnr"] == pytest.approx(20.0, abs=1e-3)
    assert kept(picture + 0.2, picture)["detail"] == pytest.approx(1.0, abs=1e-4)
    assert kept(picture / 2, picture)["detail"] == pytest.approx(0.25, abs=1e-4)
