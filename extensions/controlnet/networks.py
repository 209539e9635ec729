"""ControlNets on disk: which there are, what fits them, and how one is built.

Weights are safetensors, with diffusers' names or the original ones (`control_model.` and the like). What the network
looks like is told by a `config.json` as diffusers writes it, or else by the shapes of the weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from webui.api import ModelFileError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from webui.api import Places

WHOLE = "diffusion_pytorch_model"  # what diffusers calls the file in a folder of its own


def found(places: Places) -> dict[str, Path]:
    """Every ControlNet under the models folders: the file's name, or the folder's where diffusers wrote it."""
    files: dict[str, Path] = {}
    for path in places.files("ControlNet", ".safetensors"):
        own_folder = path.name.startswith(WHOLE)
        files.setdefault(path.parent.name if own_folder else path.stem, path)
    return files


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's weights by name, told by its header."""
    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as fault:
        raise ModelFileError(f"{path}: cannot be read, get it again ({fault})") from fault


def widths(path: Path) -> tuple[int, int]:
    """The latent channels and the width of the texts that a ControlNet is for."""
    known = shapes(path)
    first = re.compile(r"(control_model\.)?(conv_in|input_blocks\.0\.0)\.weight")
    channels = [shape[1] for name, shape in known.items() if first.fullmatch(name)]
    texts = [shape[1] for name, shape in known.items() if name.endswith("attn2.to_k.weight")]
    ours = any("controlnet_down_blocks" in name or "zero_convs" in name for name in known)
    if not (channels and texts and ours):
        raise ModelFileError(f"{path}: these are not the weights of a ControlNet")
    return channels[0], texts[0]


def build(path: Path) -> nn.Module:
    """The network of `path` as an `Adapter` needs it. What is wrong with the file raises `ModelFileError`."""
    import torch
    from diffusers import ControlNetModel
    from safetensors.torch import load_file
    from torch import nn

    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as fault:
        raise ModelFileError(f"{path}: cannot be read, get it again ({fault})") from fault
    weights = _named_as_in_diffusers(weights)
    try:
        config = _beside(path) or config_of({name: w.shape for name, w in weights.items()})
        with torch.device("meta"):  # no time for random weights
            network = ControlNetModel.from_config(config)
        network.load_state_dict(weights, assign=True)
    except Exception as fault:  # whatever diffusers and torch raise for what does not fit
        why = str(fault).strip().splitlines()[-1].strip() if str(fault) else repr(fault)
        raise ModelFileError(f"{path}: no ControlNet can be built from it ({why})") from fault

    class Beside(nn.Module):
        """A ControlNet as the engine calls it."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, hint: Tensor) -> Any:
            return self.network(x, timesteps, context, hint, return_dict=False)

    return Beside()


def _named_as_in_diffusers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by diffusers' names. The original layout always has two layers a block."""
    if "conv_in.weight" in weights:
        return weights
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    return convert_controlnet_checkpoint(weights, {"layers_per_block": 2})


def _beside(path: Path) -> dict[str, Any] | None:
    """The config that lies beside the weights, if one does."""
    own = (
        path.with_name("config.json") if path.name.startswith(WHOLE) else path.with_suffix(".json")
    )
    return json.loads(own.read_text(encoding="utf-8")) if own.is_file() else None


def config_of(known: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The config of the network whose weights have these shapes, by diffusers' names.

    The number of attention heads leaves no trace in a shape: it is Stable Diffusion 2's (heads of 64 channels) where
    the transformers' first layers are linear, else 8 as in Stable Diffusion 1.
    """

    def count(pattern: str) -> int:
        numbers = [int(m[1]) for m in map(re.compile(pattern).match, known) if m]
        return max(numbers, default=-1) + 1

    levels = count(r"down_blocks\.(\d+)\.")
    blocks = [known[f"down_blocks.{i}.resnets.0.conv1.weight"][0] for i in range(levels)]
    texts = [f"down_blocks.{i}.attentions.0.proj_in.weight" for i in range(levels)]
    linear = len(known["mid_block.attentions.0.proj_in.weight"]) == 2
    hint = "controlnet_cond_embedding"
    doublings = range(1, count(rf"{hint}\.blocks\.(\d+)\."), 2)
    return {
        "in_channels": known["conv_in.weight"][1],
        "conditioning_channels": known[f"{hint}.conv_in.weight"][1],
        "conditioning_embedding_out_channels": (
            known[f"{hint}.conv_in.weight"][0],
            *(known[f"{hint}.blocks.{i}.weight"][0] for i in doublings),
        ),
        "block_out_channels": tuple(blocks),
        "down_block_types": tuple(
            "CrossAttnDownBlock2D" if name in known else "DownBlock2D" for name in texts
        ),
        "layers_per_block": count(r"down_blocks\.0\.resnets\.(\d+)\."),
        "cross_attention_dim": known[
            "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        ][1],
        "use_linear_projection": linear,
        "attention_head_dim": tuple(channels // 64 for channels in blocks) if linear else 8,
    }
