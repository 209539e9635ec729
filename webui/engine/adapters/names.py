"""Whose layer an adapter file's key means. Every trainer names them in its own way.

kohya writes `lora_unet_down_blocks_0_..._to_q.lora_down.weight` (dots as underscores; for SDXL often the names of the
original code, `input_blocks_4_1_...`), diffusers `unet.down_blocks.0...to_q.lora_A.weight`, older diffusers
`...attn1.processor.to_q_lora.down.weight`, ComfyUI `diffusion_model.input_blocks.4.1...`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn

from webui.engine.adapters.parts import ALIASES, BIASES, split

__all__ = ["Names", "Target", "split"]


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
