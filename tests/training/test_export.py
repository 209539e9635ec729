import json
from dataclasses import asdict

import pytest
import torch

from webui.settings import ROOT
from webui.training.autoencoder import AutoencoderPreset, build_autoencoder
from webui.training.diffusion import (
    DiffusionPreset,
    TextToLatent,
    build_text_encoder,
    build_unet,
    generate,
)
from webui.training.export import Defaults, export_model, fit_preview
from webui.training.tokenizer import load_tokenizer, write_tokenizer

AE = AutoencoderPreset(widths=(8, 8, 8, 8), latent_channels=4)
NET = DiffusionPreset(
    widths=(16, 32), text_width=32, text_layers=1, latent_channels=4, latent_side=8
)


def test_preview_fit_recovers_a_linear_map():
    latents = torch.randn(6, 5, 4, 4)
    matrix, bias = torch.randn(5, 3), torch.randn(3)
    small = torch.einsum("nchw,cr->nrhw", latents, matrix) + bias[:, None, None]
    pictures = small.repeat_interleave(8, 2).repeat_interleave(8, 3)
    found, offset = fit_preview(latents, pictures)
    assert torch.allclose(found, matrix, atol=1e-4)
    assert torch.allclose(offset, bias, atol=1e-4)


@pytest.fixture
def exported(tmp_path):
    write_tokenizer(tmp_path / "tokenizer", ["a red apple"])
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    model = TextToLatent(build_text_encoder(NET, tokenizer), build_unet(NET)).eval()
    vae = build_autoencoder(AE).eval()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("the card")
    preview = (torch.zeros(4, 3), torch.ones(3))
    size = export_model(folder, model, vae, tmp_path / "tokenizer", preview, Defaults())
    return folder, model, vae, tokenizer, size


def test_export_keeps_the_card_and_counts_every_file(exported):
    folder, _, _, _, size = exported
    assert (folder / "README.md").read_text() == "the card"
    assert size == sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    easel = json.loads((folder / "easel.json").read_text())
    assert set(easel) == {"defaults", "description", "preview", "prompts", "styles"}
    assert len(easel["preview"]["matrix"]) == 4


@pytest.mark.filterwarnings("ignore")
def test_diffusers_pipeline_draws_what_our_sampler_draws(exported):
    from diffusers import StableDiffusionPipeline

    folder, model, _, tokenizer, _ = exported
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(folder), safety_checker=None, local_files_only=True, torch_dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    pipeline.scheduler.set_timesteps(4)
    sigma = pipeline.scheduler.sigmas[0]
    noise = noise * sigma / pipeline.scheduler.init_noise_sigma
    theirs = pipeline(
        "a red apple", latents=noise, num_inference_steps=4, guidance_scale=3.0,
        output_type="latent", height=64, width=64,
    ).images  # fmt: skip
    ours = generate(model, tokenizer, ["a red apple"], [5], steps=4, cfg_scale=3.0, bf16=False)
    assert torch.allclose(theirs, ours, atol=0.05)


def test_the_shipped_model_has_the_defaults_that_an_export_writes():
    own = json.loads((ROOT / "models" / "starter" / "easel.json").read_text())["defaults"]
    assert own == asdict(Defaults())
    assert (own["steps"], own["scheduler"]) == (6, "sgm_uniform")
