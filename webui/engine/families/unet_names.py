"""A U-Net's tensors by their two names: the original code's, which numbers its blocks through, and diffusers'.

A level of the U-Net has as many blocks as layers, and one that halves the size (`input_blocks.3.0.op`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from torch import nn

__all__ = ["diffusers_names", "original_names"]

ENDS = (  # the original's, diffusers'
    ("time_embed.0", "time_embedding.linear_1"),
    ("time_embed.2", "time_embedding.linear_2"),
    ("label_emb.0.0", "add_embedding.linear_1"),
    ("label_emb.0.2", "add_embedding.linear_2"),
    ("input_blocks.0.0", "conv_in"),
    ("out.0", "conv_norm_out"),
    ("out.2", "conv_out"),
    ("middle_block.0", "mid_block.resnets.0"),
    ("middle_block.1", "mid_block.attentions.0"),
    ("middle_block.2", "mid_block.resnets.1"),
)
IN_RESNETS = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
    ("skip_connection", "conv_shortcut"),
)


def diffusers_names(names: Iterable[str]) -> Callable[[str], str]:
    """What turns the original name of a tensor of a U-Net, which has these `names`, into diffusers'."""
    pattern = re.compile(r"input_blocks\.(\d+)\.0\.op\.weight$")
    halving = (int(found[1]) for name in names if (found := pattern.match(name)))
    each = min(halving, default=1 << 20)  # blocks of a level: its layers and the one that halves

    def name(key: str) -> str:
        if block := re.match(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.*)", key):
            side, number, place, rest = block[1], int(block[2]), int(block[3]), block[4]
            if side == "input" and number > 0:
                level, layer = divmod(number - 1, each)
                key = f"down_blocks.{level}.{_layer(place, layer, rest)}"
            elif side == "output":
                level, layer = divmod(number, each)
                key = f"up_blocks.{level}.{_layer(place, layer, rest)}"
        for theirs, ours in ENDS:
            key = re.sub(rf"^{re.escape(theirs)}\.", f"{ours}.", key)
        if ".resnets." in key:
            for theirs, ours in IN_RESNETS:
                key = re.sub(rf"\.{re.escape(theirs)}\.", f".{ours}.", key)
        return key

    return name


def _layer(place: int, layer: int, rest: str) -> str:
    if rest.startswith("op."):
        return f"downsamplers.0.conv.{rest.removeprefix('op.')}"
    if rest.startswith("conv."):
        return f"upsamplers.0.{rest}"
    return f"{'attentions' if place else 'resnets'}.{layer}.{rest}"


def original_names(unet: nn.Module, layers_per_block: int) -> dict[str, str]:
    """The U-Net's modules that have weights as the original code calls them, to diffusers' names."""
    each = layers_per_block + 1
    found: dict[str, str] = {}
    for path, module in unet.named_modules():
        if getattr(module, "weight", None) is None:
            continue
        name = path
        for theirs, ours in ENDS:
            name = re.sub(rf"^{re.escape(ours)}\b", theirs, name)
        if block := re.match(r"(down|up)_blocks\.(\d+)\.(\w+)\.(\d+)\.(.*)", path):
            side, level, what, layer, rest = block.groups()
            first = int(level) * each + (1 if side == "down" else 0)
            blocks = "input_blocks" if side == "down" else "output_blocks"
            if what == "downsamplers":
                name = f"{blocks}.{first + layers_per_block}.0.op"
            elif what == "upsamplers":
                place = 2 if hasattr(unet.get_submodule(f"up_blocks.{level}"), "attentions") else 1
                name = f"{blocks}.{first + layers_per_block}.{place}.conv"
            else:
                name = f"{blocks}.{first + int(layer)}.{1 if what == 'attentions' else 0}.{rest}"
        if ".resnets." in path:
            for theirs, ours in IN_RESNETS:
                name = re.sub(rf"\.{re.escape(ours)}$", f".{theirs}", name)
        found[name] = path
    return found
