"""Whose layer an adapter file's key means. Every trainer names them in its own way.

kohya writes `lora_unet_down_blocks_0_..._to_q.lora_down.weight` (dots as underscores; for SDXL often the names of the
original code, `input_blocks_4_1_...`), diffusers `unet.down_blocks.0...to_q.lora_A.weight`, older diffusers
`...attn1.processor.to_q_lora.down.weight`, ComfyUI `diffusion_model.input_blocks.4.1...`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from webui.engine.adapters.parts import ALIASES, BIASES, split

__all__ = ["Names", "Target", "original_names", "split"]


class Target(NamedTuple):
    """A tensor of a model: `network` is "unet", "text_encoder" or "text_encoder_2"."""

    network: str
    module: str
    parameter: str = "weight"


KOHYA = {
    "unet": ("lora_unet_", "oft_unet_", "lycoris_", "lycoris_unet_"),
    "text_encoder": ("lora_te_", "lora_te1_", "oft_te_", "oft_te1_", "lycoris_te_", "lycoris_te1_"),
    "text_encoder_2": ("lora_te2_", "oft_te2_", "lycoris_te2_"),
}
DOTTED = {  # of diffusers and peft, OneTrainer, ComfyUI
    "unet": ("unet.", "base_model.model.", "lora_unet.", "diffusion_model.", "model.diffusion_model.", ""),
    "text_encoder": (
        *("text_encoder.", "base_model.model.", "lora_te.", "lora_te1."),
        *("clip_l.", "text_encoders.clip_l.transformer.", "text_encoders.clip_h.transformer.", "clip_l.transformer."),
        *("clip_h.", "clip_h.transformer."),
    ),
    "text_encoder_2": (
        *("text_encoder_2.", "base_model.model.", "lora_te2."),
        *("clip_g.", "text_encoders.clip_g.transformer.", "clip_g.transformer."),
    ),
}  # fmt: skip
# What transformers called its text model's top until version 5, as files still do.
TEXT_TOPS = ("text_model.", "")


class Names:
    """The layers of one model by every name that a file may use for them."""

    def __init__(
        self, networks: Mapping[str, nn.Module], original: Mapping[str, str] | None = None
    ) -> None:
        """`networks` by their names (`Target.network`). `original` are the UNet's modules as the original code
        calls them, without "model.diffusion_model.", to diffusers' names."""
        self._known: dict[str, Target] = {}
        for network, module in networks.items():
            paths = [p for p, layer in module.named_modules() if p and _has_weight(layer)]
            for path in paths:
                self._add(network, path, path)
            if network == "unet":
                known = set(paths)
                for theirs, ours in (original or {}).items():
                    if ours in known:
                        self._add(network, theirs, ours)

    def _add(self, network: str, name: str, path: str) -> None:
        target = Target(network, path)
        for top in ("",) if network == "unet" else TEXT_TOPS:
            for prefix in KOHYA[network]:
                self._known.setdefault(prefix + (top + name).replace(".", "_"), target)
            for prefix in DOTTED[network]:
                self._known.setdefault(prefix + top + name, target)

    def find(self, layer: str, part: str) -> Target | None:
        """The tensor that a key means (see `split`), or None where this model has no such layer."""
        target = self._known.get(layer)
        bias = ALIASES.get(part, part) in BIASES
        return target._replace(parameter="bias") if target and bias else target


def _has_weight(module: nn.Module) -> bool:
    return getattr(module, "weight", None) is not None


def original_names(unet: nn.Module, layers_per_block: int) -> dict[str, str]:
    """The U-Net's modules as the original code calls them, to diffusers' names.

    The original numbers its blocks through: a level has `layers_per_block` of them and one that halves the size.
    """
    each = layers_per_block + 1
    found: dict[str, str] = {}
    for path, module in unet.named_modules():
        if not _has_weight(module):
            continue
        name = path
        for ours, theirs in TOPS:
            name = re.sub(rf"^{ours}\b", theirs, name)
        if block := re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", path):
            side, level, what, layer, rest = (
                block[1],
                int(block[2]),
                block[3],
                int(block[4]),
                block[5],
            )
            first = level * each + (1 if side == "down" else 0)
            blocks = "input_blocks" if side == "down" else "output_blocks"
            if what == "downsamplers":
                name = f"{blocks}.{first + layers_per_block}.0.op"
            elif what == "upsamplers":
                place = 2 if hasattr(unet.get_submodule(f"up_blocks.{level}"), "attentions") else 1
                name = f"{blocks}.{first + layers_per_block}.{place}.conv"
            else:
                name = f"{blocks}.{first + layer}.{1 if what == 'attentions' else 0}.{rest}"
        if ".resnets." in path:
            for ours, theirs in RESNET:
                name = re.sub(rf"\.{ours}$", f".{theirs}", name)
        found[name] = path
    return found


TOPS = (
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
    ("conv_in", "input_blocks.0.0"),
    ("conv_norm_out", "out.0"),
    ("conv_out", "out.2"),
    ("mid_block.resnets.0", "middle_block.0"),
    ("mid_block.attentions.0", "middle_block.1"),
    ("mid_block.resnets.1", "middle_block.2"),
)
RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)
