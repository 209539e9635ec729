"""Random networks of every family of models, tiny or as large as given, and the files that hold them in every layout.

The names of the original code's layout are written here from diffusers' names, the other way round than the loader
reads them, so that a test can hold one against the other and both against diffusers' own converter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FAMILIES", "LAYOUTS", "build", "diffusers_weights", "ldm_weights", "write"]

LAYOUTS = ("folder", "ldm", "diffusers")
Networks = Mapping[str, Any]
_VAE = {
    "block_out_channels": (32, 32, 64, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "sample_size": 128,
}
_CLIP = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 1,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
_OPENCLIP = {**_CLIP, "hidden_act": "gelu", "projection_dim": 32}
_TWO_LEVELS = {"block_out_channels": (64, 128), "layers_per_block": 1, "sample_size": 16}
_XL = {
    **_TWO_LEVELS,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
}
FAMILIES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "sd1": {
        "unet": {
            **_TWO_LEVELS,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "attention_head_dim": 8,
            "cross_attention_dim": 64,
        },
        "vae": {**_VAE, "scaling_factor": 0.18215},
        "text_encoder": _CLIP,
    },
    "sd2": {
        "unet": {
            **_TWO_LEVELS,
            "layers_per_block": 2,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "attention_head_dim": (1, 2),
            "use_linear_projection": True,
            "cross_attention_dim": 64,
        },
        "vae": {**_VAE, "scaling_factor": 0.18215},
        "text_encoder": {**_OPENCLIP, "num_hidden_layers": 3},  # the last of four is not published
    },
    "sdxl": {
        "unet": {
            **_XL,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": (1, 2),
            "transformer_layers_per_block": (1, 2),
            "cross_attention_dim": 128,
            "projection_class_embeddings_input_dim": 32 + 6 * 256,
        },
        "vae": {**_VAE, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder": _CLIP,
        "text_encoder_2": _OPENCLIP,
    },
    "sdxl-refiner": {
        "unet": {
            **_XL,
            "block_out_channels": (64, 128, 128),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": (1, 2, 2),
            "transformer_layers_per_block": 2,
            "cross_attention_dim": 64,
            "projection_class_embeddings_input_dim": 32 + 5 * 256,
        },
        "vae": {**_VAE, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder_2": _OPENCLIP,
    },
}
"""Tiny configs by family and part. Heads are as wide as the family has them (64, or 8 heads): no file says so."""


def build(
    configs: Mapping[str, Mapping[str, Any]], seed: int = 0, inpainting: bool = False
) -> Networks:
    """Random networks of diffusers and transformers for each part of `configs`."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    made: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part, config in configs.items():
            if part == "unet":
                inputs = 9 if inpainting else 4
                made[part] = UNet2DConditionModel(**{"in_channels": inputs, **config})
            elif part == "vae":
                made[part] = AutoencoderKL(**config)
            else:
                kind = CLIPTextModelWithProjection if part[-1] == "2" else CLIPTextModel
                made[part] = kind(CLIPTextConfig(**config))
    return {part: network.requires_grad_(False).eval() for part, network in made.items()}


def write(
    path: Path,
    networks: Networks,
    layout: str,
    *,
    prediction: str = "epsilon",
    zero_snr: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Writes `networks` as a model at `path` in a layout of `LAYOUTS` and gives `path`.

    `prediction` and `zero_snr` are written into a folder's noise schedule; a single file has `metadata` alone.
    """
    from safetensors.torch import save_file

    if layout == "folder":
        _folder(path, networks, prediction, zero_snr)
        return path
    weights = ldm_weights(networks) if layout == "ldm" else diffusers_weights(networks)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in weights}, path, dict(metadata or {}))
    return path


def _folder(path: Path, networks: Networks, prediction: str, zero_snr: bool) -> None:
    import json

    from diffusers import EulerDiscreteScheduler

    from webui.engine.text.tokenizer import clip_tokenizer

    for part, network in networks.items():
        network.save_pretrained(path / part)
        if part.startswith("text_encoder"):
            tokenizer = clip_tokenizer()
            if networks[part].config.hidden_act == "gelu":
                tokenizer.pad_token = "!"
            tokenizer.save_pretrained(path / part.replace("text_encoder", "tokenizer"))
    EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        rescale_betas_zero_snr=zero_snr,
        steps_offset=1,
        timestep_spacing="linspace",
    ).save_pretrained(path / "scheduler")
    xl = "text_encoder_2" in networks
    index: dict[str, Any] = {"_class_name": f"StableDiffusion{'XL' if xl else ''}Pipeline"}
    if xl:
        index["force_zeros_for_empty_prompt"] = "text_encoder" in networks
    (path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")


def diffusers_weights(networks: Networks) -> Iterator[tuple[str, Tensor]]:
    """A single file's tensors with diffusers' names, each with its part in front."""
    for part, network in networks.items():
        for name, value in network.state_dict().items():
            yield f"{part}.{name}", value


# --- The original code's layout -------------------------------------------------------------------

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}
_VAE_MIDDLE = {"resnets.0": "block_1", "resnets.1": "block_2", "attentions.0": "attn_1"}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_OPENCLIP_ENDS = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_OPENCLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_PREFIXES = {  # of the text encoders, by which there are
    ("text_encoder",): ("cond_stage_model.",),
    ("text_encoder", "text_encoder_2"): ("conditioner.embedders.0.", "conditioner.embedders.1."),
    ("text_encoder_2",): ("conditioner.embedders.0.",),
}


def ldm_weights(networks: Networks) -> Iterator[tuple[str, Tensor]]:
    """A single file's tensors with the original code's names."""
    unet = networks["unet"]
    layers = unet.config.layers_per_block
    attending = [kind.startswith("CrossAttn") for kind in unet.config.up_block_types]
    for name, value in unet.state_dict().items():
        yield f"model.diffusion_model.{ldm_unet_name(name, layers, attending)}", value
    levels = len(networks["vae"].config.block_out_channels)
    for name, value in networks["vae"].state_dict().items():
        convolution = ".attentions." in name and value.ndim == 2
        shaped = value[:, :, None, None] if convolution else value
        yield f"first_stage_model.{ldm_vae_name(name, levels)}", shaped
    texts = tuple(part for part in networks if part.startswith("text_encoder"))
    for part, prefix in zip(texts, _PREFIXES[texts], strict=True):
        weights = {
            name.removeprefix("text_model."): value
            for name, value in networks[part].state_dict().items()
        }
        if networks[part].config.hidden_act == "gelu":
            for name, value in _openclip(weights, networks[part].config.num_hidden_layers):
                yield f"{prefix}model.{name}", value
        else:
            for name, value in weights.items():
                yield f"{prefix}transformer.text_model.{name}", value


def ldm_unet_name(name: str, layers: int, attending: list[bool]) -> str:
    """The original name of a U-Net's tensor. `attending`: which levels of the way up have attention."""
    for new, old in _UNET_ENDS.items():
        if name.startswith(f"{new}."):
            return name.replace(new, old, 1)
    middle = re.match(r"mid_block\.((?:resnets|attentions)\.\d)\.(.*)", name)
    if middle:
        return f"middle_block.{_MIDDLE[middle[1]]}.{_in_layer(middle[2])}"
    side, level, kind, layer, rest = _block(name)
    first = level * (layers + 1) + (1 if side == "down" else 0)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"output_blocks.{first + layers}.{2 if attending[level] else 1}.{rest}"
    blocks = "input_blocks" if side == "down" else "output_blocks"
    return f"{blocks}.{first + layer}.{0 if kind == 'resnets' else 1}.{_in_layer(rest)}"


def _block(name: str) -> tuple[str, int, str, int, str]:
    found = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", name)
    assert found, name
    return found[1], int(found[2]), found[3], int(found[4]), found[5]


def _in_layer(rest: str) -> str:
    what, _, end = rest.partition(".")
    return f"{_RESNET.get(what, what)}.{end}"


def ldm_vae_name(name: str, levels: int) -> str:
    """The original name of a VAE's tensor."""
    side, _, rest = name.partition(".")
    if side not in ("encoder", "decoder"):
        return name
    rest = rest.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    for new, old in _VAE_MIDDLE.items():
        rest = rest.replace(f"mid_block.{new}.", f"mid.{old}.")
    if rest.startswith("mid.attn_1."):
        for new, old in _VAE_ATTENTION.items():
            rest = rest.replace(f"attn_1.{new}.", f"attn_1.{old}.")
    if not rest.startswith(("down_blocks", "up_blocks")):
        return f"{side}.{rest}"
    way, level, kind, layer, end = _block(rest)
    number = level if way == "down" else levels - 1 - level
    what = f"block.{layer}" if kind == "resnets" else f"{way}sample"
    return f"{side}.{way}.{number}.{what}.{end}"


def _openclip(weights: Mapping[str, Tensor], layers: int) -> Iterator[tuple[str, Tensor]]:
    """OpenCLIP's names; an odd number of layers gets one more, random, that readers must leave out."""
    import torch

    for name, old in _OPENCLIP_ENDS.items():
        yield old, weights[name]
    if "text_projection.weight" in weights:
        yield "text_projection", weights["text_projection.weight"].t().clone()
    yield "logit_scale", torch.tensor(4.6)
    for layer in range(layers + layers % 2):
        source = f"encoder.layers.{min(layer, layers - 1)}"
        wrong = 7.0 if layer == layers else 1.0  # would be seen at once if it were used
        place = f"transformer.resblocks.{layer}"
        for end in ("weight", "bias"):
            three = [weights[f"{source}.self_attn.{c}_proj.{end}"] * wrong for c in "qkv"]
            yield f"{place}.attn.in_proj_{end}", torch.cat(three)
            for new, old in _OPENCLIP_LAYER.items():
                yield f"{place}.{old}.{end}", weights[f"{source}.{new}.{end}"] * wrong
