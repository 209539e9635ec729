"""Layouts of single files that tools write: each gives the networks that it was made of, or says what it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from tests.catalog.formats.files import checkpoint
from webui.catalog.checkpoints import list_models
from webui.engine.loading import load, opened
from webui.engine.placement import place
from webui.errors import ModelFileError
from webui.testing.families import FAMILIES, build, diffusers_weights, ldm_unet_name, ldm_weights
from webui.types import ModelCard

PLACEMENT = place("cpu", "float32", "sdpa")
ATTENTION = (".attn_1.q.", ".attn_1.k.", ".attn_1.v.", ".attn_1.proj_out.")
LDM_VAE = dict(zip(ATTENTION, ("to_q", "to_k", "to_v", "to_out.0"), strict=True))
OLD_VAE = dict(zip(ATTENTION, ("query", "key", "value", "proj_attn"), strict=True))
L, G = "conditioner.embedders.0.transformer.", "conditioner.embedders.1."
OLD = "cond_stage_model.transformer."


@cache
def networks(family: str) -> Any:
    return build(FAMILIES[family], seed=3)


@cache
def ldm(family: str) -> dict[str, torch.Tensor]:
    return dict(ldm_weights(networks(family)))


def renamed(weights: dict[str, torch.Tensor], **names: str) -> dict[str, torch.Tensor]:
    return {_name(key, names): value for key, value in weights.items()}


def _name(key: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        key = key.replace(old, new)
    return key


def attention(names: dict[str, str], linear: bool = False) -> dict[str, torch.Tensor]:
    """Stable Diffusion 1 with other names for the attention of its VAE, as 1 x 1 convolutions or as linear layers."""
    told = renamed(ldm("sd1"), **{old: f".attn_1.{new}." for old, new in names.items()})
    flat = [k for k in told if ".attn_1." in k and told[k].ndim == 4] if linear else []
    return told | {key: told[key][:, :, 0, 0].clone() for key in flat}


def hugging(family: str, part: str, start: str) -> dict[str, torch.Tensor]:
    """The weights of a text encoder under transformers' names."""
    told = networks(family)[part].state_dict().items()
    return {
        f"{start}{'' if k.startswith('text_') else 'text_model.'}{k}": v.clone() for k, v in told
    }


def without(weights: dict[str, torch.Tensor], *starts: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if not key.startswith(starts)}


LAYOUTS = {
    "VAE: to_q": ("sd1", lambda: attention(LDM_VAE)),
    "VAE: to_q, linear": ("sd1", lambda: attention(LDM_VAE, linear=True)),
    "VAE: query": ("sd1", lambda: attention(OLD_VAE)),
    "VAE: query, linear": ("sd1", lambda: attention(OLD_VAE, linear=True)),
    "text: clip_l": ("sd1", lambda: renamed(ldm("sd1"), **{OLD: "cond_stage_model.clip_l.transformer."})),
    "text: clip_l and clip_g": (
        "sdxl",
        lambda: renamed(
            ldm("sdxl"), **{L: "cond_stage_model.clip_l.transformer.", f"{G}model.": "cond_stage_model.clip_g.model."}
        ),
    ),
    "text: the second one by transformers' names": (
        "sdxl", lambda: without(ldm("sdxl"), G) | hugging("sdxl", "text_encoder_2", f"{G}transformer.")
    ),
}  # fmt: skip


def written(folder: Path, weights: dict[str, torch.Tensor], metadata: Any = None) -> ModelCard:
    path = folder / "Stable-diffusion" / "m.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, path, metadata)
    (card,) = list_models([folder])
    return card


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_the_networks_that_it_was_made_of(tmp_path, name):
    family, make = LAYOUTS[name]
    card = written(tmp_path, make())
    assert card.problem is None
    same(load(card, PLACEMENT), networks(family))


def same(loaded: Any, expected: Any) -> None:
    texts = [part for part in expected if part.startswith("text")]
    found = {"unet": loaded.unet, "vae": loaded.vae}
    found |= {part: tower.model for part, tower in zip(texts, loaded.text.towers, strict=True)}
    for part, network in found.items():
        ours, theirs = network.state_dict(), expected[part].state_dict()
        assert {k.removeprefix("text_model.") for k in ours} == {
            k.removeprefix("text_model.") for k in theirs
        }, part
        theirs = {k.removeprefix("text_model."): v for k, v in theirs.items()}
        for key, value in ours.items():
            assert torch.equal(value, theirs[key.removeprefix("text_model.")]), (part, key)


# --- Distilled U-Nets ---------------------------------------------------------------------------------

SD1, XL = FAMILIES["sd1"]["unet"], FAMILIES["sdxl"]["unet"]
DISTILLED = {
    "no middle": ("sd1", {**SD1, "mid_block_type": None}),
    "a middle without attention": ("sd1", {**SD1, "mid_block_type": "UNetMidBlock2D"}),
    "another depth in each attention": (
        "sdxl",
        {
            **XL,
            "layers_per_block": 2,
            "transformer_layers_per_block": [1, [2, 1]],
            "reverse_transformer_layers_per_block": [[3, 1, 1], 1],
        },
    ),
    "another depth on the way back": (
        "sdxl",
        {**XL, "reverse_transformer_layers_per_block": [1, 1]},
    ),
}


@pytest.mark.parametrize("name", DISTILLED)
def test_a_distilled_model_is_built_as_it_was(tmp_path, name):
    family, config = DISTILLED[name]
    torch.manual_seed(1)
    unet = UNet2DConditionModel(**config).requires_grad_(False).eval()
    attending = [kind.startswith("CrossAttn") for kind in config["up_block_types"]]
    weights = without(ldm(family), "model.diffusion_model.") | {
        f"model.diffusion_model.{ldm_unet_name(key, config['layers_per_block'], attending)}": value
        for key, value in unet.state_dict().items()
    }
    loaded = load(written(tmp_path, weights), PLACEMENT)
    same(loaded, {**networks(family), "unet": unet})
    x, step = torch.randn(1, 4, 8, 8), torch.tensor([9.0])
    text = torch.randn(1, 5, unet.config.cross_attention_dim)
    added = {"text_embeds": torch.randn(1, 32), "time_ids": torch.randn(1, 6)}
    told = {"added_cond_kwargs": added} if family == "sdxl" else {}
    ours, theirs = (net(x, step, text, return_dict=False, **told)[0] for net in (loaded.unet, unet))
    torch.testing.assert_close(ours, theirs)


# --- Parts that are not made for each other -----------------------------------------------------------

MISFITS = {
    "XL without CLIP L": (lambda: without(ldm("sdxl"), L), "width 128, but the file's has width 64"),
    "XL without CLIP G": (lambda: without(ldm("sdxl"), G), "no second text encoder"),
    "XL with the encoder of SD 1": (
        lambda: without(ldm("sdxl"), "conditioner.") | {k: v for k, v in ldm("sd1").items() if k.startswith(OLD)},
        "no second text encoder",
    ),
    "the encoders of XL around SD 1": (
        lambda: without(ldm("sd1"), OLD) | {k: v for k, v in ldm("sdxl").items() if k.startswith("conditioner.")},
        "U-Net of another",
    ),
    "SD 1 with a wider encoder": (
        lambda: without(ldm("sd1"), OLD)
        | {f"{OLD}text_model.embeddings.token_embedding.weight": torch.zeros(9, 96)},
        "width 64, but the file's has width 96",
    ),
    "other labels": (
        lambda: ldm("sdxl") | {"model.diffusion_model.label_emb.0.0.weight": torch.zeros(256, 999)},
        "told 999 numbers",
    ),
    "a VAE of 16 channels": (
        lambda: ldm("sd1") | {"first_stage_model.decoder.conv_in.weight": torch.zeros(64, 16, 3, 3)},
        "16 latent channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_parts_of_different_models_are_told_in_the_list(tmp_path, name):
    make, words = MISFITS[name]
    problem = written(tmp_path, make()).problem
    assert problem and words in problem


@pytest.mark.parametrize("width", [768, 1024])
def test_a_text_encoder_that_lacks_its_last_layers_is_told_in_the_list(tmp_path, width):
    import numpy as np

    family, start, layer = {
        768: ("sd1", OLD, "text_model.encoder.layers.{}.mlp.fc1.bias"),
        1024: ("sd2", "cond_stage_model.model.", "transformer.resblocks.{}.mlp.c_fc.bias"),
    }[width]
    inner = "text_model.embeddings." if family == "sd1" else ""
    whole = {768: 12, 1024: 23}[width]
    more = {f"{start}{inner}token_embedding.weight": np.zeros((3, width), np.float16)}
    more |= {f"{start}{layer.format(i)}": np.zeros(3, np.float16) for i in range(whole)}
    path = tmp_path / "Stable-diffusion" / "m.safetensors"
    checkpoint(path, family, more=more)
    assert list_models([tmp_path])[0].problem is None
    del more[f"{start}{layer.format(whole - 1)}"]
    checkpoint(path, family, more=more)
    assert f"fewer than {whole} layers" in (list_models([tmp_path])[0].problem or "")


def test_linear_projections_do_not_make_the_encoder_of_stable_diffusion_1_another(tmp_path):
    weights = ldm("sd1")
    flat = {
        k: v[:, :, 0, 0].clone()
        for k, v in weights.items()
        if k.endswith(("proj_in.weight", "proj_out.weight")) and "diffusion" in k
    }
    with pytest.raises(ModelFileError, match="the config wants"):
        load(written(tmp_path, weights | flat), PLACEMENT)


# --- Tensors beside the parts ---------------------------------------------------------------------------

HARMLESS = (
    "model_ema.decay",
    "model_ema.diffusion_modelinput_blocks00weight",
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "logvar",
    "lvlb_weights",
    "global_step",
    "denoiser.sigmas",
    "optimizer.state.0",
    "first_stage_model.loss.logvar",
    "cond_stage_model.logit_scale",
    "cond_stage_model.transformer.text_model.embeddings.position_ids",
    "cond_stage_model.transformer.text_projection.weight",
    "safety_checker.concept_embeds",
    "v_pred",
    "ztsnr",
    "cond_stage_model.model.visual.proj",
)
TOLD = (
    "embedder.model.scale",
    "scale_factor",
    "image_encoder.proj",
    "cond_stage_model.adapter.weight",
)


def test_what_training_leaves_beside_the_weights_is_known(tmp_path):
    card = written(tmp_path, ldm("sd1") | {key: torch.zeros(1) for key in HARMLESS})
    assert load(card, PLACEMENT).model.remarks == ()


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
def test_what_nobody_uses_is_counted_and_told_by_name(tmp_path, layout):
    weights = ldm("sd1") if layout == "ldm" else dict(diffusers_weights(networks("sd1")))
    rest = (
        TOLD if layout == "ldm" else ("embedder.model.scale", "scale_factor", "third.a", "third.b")
    )
    card = written(tmp_path, weights | {key: torch.zeros(1) for key in rest})
    (remark,) = load(card, PLACEMENT).model.remarks
    assert "4 of its tensors are not used" in remark and "and 1 more" in remark
    assert sum(repr(key) in remark for key in rest) == 3


@pytest.mark.parametrize("said", ["flow", "EDM", "rectified_flow"])
def test_what_no_sampler_here_can_use_is_refused_by_its_name(tmp_path, said):
    problem = written(tmp_path, ldm("sdxl"), {"modelspec.prediction_type": said}).problem
    assert problem and said.lower() in problem


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_noise_levels_than_those_that_are_used_are_told(tmp_path, dtype):
    from diffusers import DDPMScheduler

    usual = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    other = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    for schedule, told in ((usual, 0), (other, 1)):
        more = {"alphas_cumprod": schedule.alphas_cumprod.to(dtype)}
        remarks = opened(written(tmp_path, ldm("sd1") | more), PLACEMENT).plan.remarks
        assert len(remarks) == told and all("alphas_cumprod" in one for one in remarks)
