from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler

from webui.training.autoencoder import AutoencoderPreset, build_autoencoder
from webui.training.captions import caption
from webui.training.diffusion import (
    DiffusionPreset,
    TextToLatent,
    alphas_cumprod,
    build_text_encoder,
    build_unet,
    cache_latents,
    generate,
    timesteps,
    train_diffusion,
)
from webui.training.export import scheduler
from webui.training.scenes import sample_scene
from webui.training.tokenizer import load_tokenizer, write_tokenizer

TINY = DiffusionPreset(
    widths=(16, 32), text_width=32, text_layers=1, latent_channels=4, latent_side=8,
    steps=4, batch=3, warmup=1, aligned_until=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    rng = np.random.default_rng(0)
    write_tokenizer(folder, [caption(sample_scene(rng), rng) for _ in range(50)], limit=50)
    return load_tokenizer(folder)


def tiny_model(tokenizer) -> TextToLatent:
    return TextToLatent(build_text_encoder(TINY, tokenizer), build_unet(TINY))


def quiet(line: str) -> None:
    del line


def test_schedule_is_the_exported_schedulers():
    exported = scheduler()
    assert isinstance(exported, EulerDiscreteScheduler)
    assert torch.allclose(alphas_cumprod().float(), exported.alphas_cumprod, rtol=1e-4)


def test_timesteps_cover_the_whole_range():
    t = timesteps(4000, torch.Generator().manual_seed(0))
    assert t.min() >= 0 and t.max() <= 999
    assert t.min() < 20 and t.max() > 980


def test_interrupted_training_gives_the_same_weights(tokenizer, tmp_path):
    """Aligned to features in the first half: two runs, one of them killed after the first step."""
    latents = torch.randn(6, 4, 8, 8)
    how = {"bf16": False, "log": quiet, "look": lambda scenes: torch.ones(len(scenes), 5, 4, 4)}
    whole = train_diffusion(
        TINY, tiny_model(tokenizer), tokenizer, latents, tmp_path / "a", **how
    ).state_dict()
    train_diffusion(
        TINY, tiny_model(tokenizer), tokenizer, latents, tmp_path / "b", minutes=0, **how
    )
    resumed = train_diffusion(
        TINY, tiny_model(tokenizer), tokenizer, latents, tmp_path / "b", **how
    ).state_dict()
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name


def test_a_picture_does_not_depend_on_its_neighbours(tokenizer):
    model = tiny_model(tokenizer).eval()
    both = generate(model, tokenizer, ["a cat", "a dog"], [1, 2], steps=3, bf16=False)
    alone = generate(model, tokenizer, ["a dog"], [2], steps=3, bf16=False)
    assert torch.allclose(both[1:], alone, atol=1e-4)


def test_another_schedule_visits_other_noise_levels(tokenizer):
    model = tiny_model(tokenizer).eval()
    seen = {}
    for name in ("uniform", "sgm_uniform"):
        times = []
        hook = model.unet.register_forward_pre_hook(
            lambda m, args, t=times: t.append(float(args[1][0]))
        )
        generate(model, tokenizer, ["a cat"], [1], steps=3, bf16=False, scheduler=name)
        hook.remove()
        seen[name] = times
    assert seen["uniform"] == pytest.approx([999, 499.5, 0], abs=0.1)
    assert seen["sgm_uniform"] == pytest.approx([999, 666, 333], abs=0.1)


def test_latents_go_on_from_those_that_are_there(renderer, tmp_path):
    vae = build_autoencoder(AutoencoderPreset((8, 8, 8, 8), latent_channels=4)).eval()
    how = {"bf16": False, "log": quiet}
    some, more = (replace(TINY, scenes=count) for count in (32, 36))
    whole = cache_latents(more, vae, renderer, tmp_path / "a.pt", **how)
    cache_latents(some, vae, renderer, tmp_path / "b.pt", **how)
    assert torch.equal(cache_latents(more, vae, renderer, tmp_path / "b.pt", **how), whole)
    assert whole.shape == (36, 4, 16, 16)
