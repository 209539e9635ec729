"""How files name their tensors, turned into the names that diffusers and transformers use.

Files of the original code number the U-Net's blocks through (`input_blocks.4.1`); OpenCLIP keeps query, key and
value in one tensor. The rules are tables of patterns; a name that no rule knows keeps its own, so that whoever
compares it with a network finds it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from webui.catalog.formats.header import Header
from webui.engine.families.unet_names import diffusers_names
from webui.engine.weight_loading import Weight

__all__ = [
    "OPENCLIP",
    "TEXTS",
    "diffusers_parts",
    "ldm_parts",
    "text_name",
    "unused",
    "vae_name",
    "vae_weights",
    "without_buffers",
]

UNET, VAE = "model.diffusion_model.", "first_stage_model."
Rename = Callable[[str], str]
Rules = tuple[tuple[str, str], ...]

VAE_RULES: Rules = (
    (r"\.norm_out\.", ".conv_norm_out."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.(?:to_)?([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.query\.", ".mid_block.attentions.0.to_q."),
    (r"\.mid\.attn_1\.key\.", ".mid_block.attentions.0.to_k."),
    (r"\.mid\.attn_1\.value\.", ".mid_block.attentions.0.to_v."),
    (r"\.mid\.attn_1\.(?:proj_out|proj_attn|to_out\.0)\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"^encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets."),
    (r"^encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0."),
)
OPENCLIP_RULES: Rules = (
    (r"^positional_embedding$", "embeddings.position_embedding.weight"),
    (r"^token_embedding\.", "embeddings.token_embedding."),
    (r"^ln_final\.", "final_layer_norm."),
    (r"^text_projection$", "text_projection.weight"),
    (r"^transformer\.resblocks\.", "encoder.layers."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.attn\.", ".self_attn."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
OLD_ATTENTION: Rules = (  # of VAEs saved before diffusers 0.18
    (r"\.query\.", ".to_q."),
    (r"\.key\.", ".to_k."),
    (r"\.value\.", ".to_v."),
    (r"\.proj_attn\.", ".to_out.0."),
)
# What some files hold beside the weights: buffers that are computed, and training's own numbers.
IGNORED = re.compile(
    r"(^|\.)(position_ids|attn_mask|logit_scale|num_batches_tracked)$|^(loss|model_ema|betas|alphas)\b"
)
# What stands beside the parts and changes no picture: averages that training kept, its schedules and states, and the
# halves of networks that nobody asks (CLIP's eyes, a classifier of unsafe pictures).
HARMLESS = re.compile(
    r"^(model_ema|loss|optimizer\w*|lr_schedulers?|callbacks|ema|safety_checker|feature_extractor)\."
    r"|^(betas|(sqrt_)?(one_minus_|log_one_minus_|recip_|recipm1_)?alphas(_cumprod(_prev)?)?|posterior_\w+|logvar"
    r"|lvlb_weights|global_step|epoch|num_updates|decay|v_pred|ztsnr|sigmas|log_sigmas|denoiser\.(log_)?sigmas)$"
    r"|^first_stage_model\.(loss|model_ema)\b|\.visual\.|^(cond_stage_model|conditioner)\..*text_projection(\.weight)?$"
    r"|(^|\.)(position_ids|attn_mask|logit_scale|num_batches_tracked)$"
)
# Where the text encoders of single files lie: those with the names of transformers, and those of OpenCLIP.
TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "cond_stage_model.transformer.": "text_encoder",
        "cond_stage_model.clip_l.transformer.": "text_encoder",
        "cond_stage_model.clip_h.transformer.": "text_encoder",
        "cond_stage_model.clip_g.transformer.": "text_encoder_2",
        "conditioner.embedders.0.transformer.": "text_encoder",
        "conditioner.embedders.1.transformer.": "text_encoder_2",
    }
)
OPENCLIP: Mapping[str, str] = MappingProxyType(
    {
        "cond_stage_model.model.": "text_encoder",
        "cond_stage_model.clip_g.model.": "text_encoder_2",
        "conditioner.embedders.0.model.": "text_encoder_2",
        "conditioner.embedders.1.model.": "text_encoder_2",
    }
)


def ldm_parts(file: Header, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, Weight]]:
    """The parts of a single file of the original code's layout, each by diffusers' names.

    `shapes` are the file's. What belongs to no part (a schedule, averaged weights) is left out.
    """
    parts: dict[str, dict[str, Weight]] = {}
    for start, part, name in (
        (UNET, "unet", diffusers_names(_below(UNET, shapes))),
        (VAE, "vae", _vae_names(shapes)),
    ):
        parts[part] = {
            name(key): Weight(file, f"{start}{key}", flat=".mid.attn_1." in key)
            for key in without_buffers(_below(start, shapes))
        }
    for start, part in TEXTS.items():
        found = {
            text_name(key): Weight(file, f"{start}{key}")
            for key in without_buffers(_below(start, shapes))
        }
        if found:
            parts.setdefault(part, found)
    for start, part in OPENCLIP.items():
        found = dict(_openclip(file, start, shapes))
        if found:
            parts.setdefault(part, found)
    return parts


def unused(file: Header, parts: Mapping[str, Mapping[str, Weight]]) -> list[str]:
    """The tensors of a file that are in none of `parts`, and that nobody knows to be harmless."""
    used = {weight.key for weights in parts.values() for weight in weights.values()}
    return [key for key in file.tensors if key not in used and not HARMLESS.search(key)]


def diffusers_parts(file: Header) -> dict[str, dict[str, Weight]]:
    """The parts of a single file that has diffusers' names, each with its part in front."""
    parts: dict[str, dict[str, Weight]] = {}
    for key in without_buffers(file.tensors):
        part, _, name = key.partition(".")
        name = vae_name(name) if part == "vae" else name
        name = text_name(name) if part.startswith("text_encoder") else name
        parts.setdefault(part, {})[name] = Weight(
            file, key, flat=part == "vae" and ".attentions." in name
        )
    return parts


def vae_weights(file: Header) -> dict[str, Weight]:
    """The tensors of a file that is a VAE alone, of either layout, by diffusers' names."""
    tops = (VAE, "vae.", "")
    top = next(
        t for t in tops if any(key.startswith(f"{t}decoder.") for key in file.tensors) or not t
    )
    below = list(without_buffers(_below(top, file.tensors)))
    original = any(key.startswith("encoder.down.") for key in below)
    name = _vae_names({f"{VAE}{key}": () for key in below}) if original else vae_name
    return {
        name(key): Weight(file, f"{top}{key}", flat=".mid.attn_1." in key or ".attentions." in key)
        for key in below
    }


def text_name(name: str) -> str:
    """A text encoder's tensor as transformers 5.6 and later name it: without the level `text_model.`."""
    return name.removeprefix("text_model.")


def vae_name(name: str) -> str:
    """A VAE's tensor by today's name: what diffusers before 0.18 called `query` is `to_q`."""
    return _renamed(name, OLD_ATTENTION) if ".attentions." in name else name


def without_buffers(keys: Iterable[str]) -> Iterator[str]:
    """The names that are weights: not those of buffers that are computed, nor of training's own numbers."""
    return (key for key in keys if not IGNORED.search(key))


def _below(start: str, keys: Iterable[str]) -> Iterator[str]:
    return (key.removeprefix(start) for key in keys if key.startswith(start))


def _renamed(name: str, rules: Rules) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


def _vae_names(shapes: Mapping[str, tuple[int, ...]]) -> Rename:
    """The original decoder counts its levels from the picture's size up, diffusers from the latent's."""
    pattern = re.compile(r"^decoder\.up\.(\d+)\.(block|upsample)\.")
    below = _below(VAE, shapes)
    last = max((int(found[1]) for key in below if (found := pattern.match(key))), default=0)

    def name(key: str) -> str:
        if level := pattern.match(key):
            what = "resnets" if level[2] == "block" else "upsamplers.0"
            return _renamed(
                f"decoder.up_blocks.{last - int(level[1])}.{what}.{key[level.end() :]}", VAE_RULES
            )
        return _renamed(key, VAE_RULES)

    return name


def _openclip(
    file: Header, start: str, shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Weight]]:
    for key in without_buffers(_below(start, shapes)):
        if key.startswith("visual."):  # CLIP's eyes
            continue
        name = _renamed(key, OPENCLIP_RULES)
        fused = re.fullmatch(r"(.*)\.in_proj_(weight|bias)", name)
        if fused:
            for third, letter in enumerate("qkv"):
                weight = Weight(file, f"{start}{key}", third=third)
                yield f"{fused[1]}.{letter}_proj.{fused[2]}", weight
        else:
            yield name, Weight(file, f"{start}{key}", turned=key == "text_projection")
