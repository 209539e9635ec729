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

from webui.api import ModelFileError, Residuals, Sentence

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
        raise ModelFileError(
            Sentence("{path}: cannot be read, get it again ({why})", path=path, why=fault)
        ) from fault


# What lies in these folders and is no ControlNet that works here: a part of a tensor's name, and what the file is.
OTHERS = (
    ("lora_controlnet", Sentence("a control-LoRA; only whole ControlNets work")),
    ("lllite_", Sentence("a ControlNet-LLLite; only whole ControlNets work")),
    ("adapter.body.", Sentence("a T2I adapter; only ControlNets work")),
    ("body.0.resnets.", Sentence("a T2I adapter; only ControlNets work")),
    ("image_proj.", Sentence("an IP-Adapter; only ControlNets work")),
    ("ip_adapter.", Sentence("an IP-Adapter; only ControlNets work")),
    ("task_embedding", Sentence("a ControlNet union for Stable Diffusion XL; those for Stable "
"Diffusion 1 and 2 work")),
    ("control_add_embedding.", Sentence("a ControlNet union for Stable Diffusion XL; those for Stable "
"Diffusion 1 and 2 work")),
    ("add_embedding.", Sentence("a ControlNet for Stable Diffusion XL; those for Stable Diffusion 1 "
"and 2 work")),
    ("label_emb.", Sentence("a ControlNet for Stable Diffusion XL; those for Stable Diffusion 1 "
"and 2 work")),
    ("controlnet_x_embedder.", Sentence("a ControlNet for another family; those for Stable Diffusion 1 and 2 "
"work")),
    ("transformer_blocks.0.attn.add_", Sentence("a ControlNet for another family; those for Stable Diffusion 1 and 2 "
"work")),
)  # fmt: skip
DIFFERENCE = Sentence(
    "a 'difference' ControlNet, to which its base model must be added; get the whole one"
)
POOLED = Sentence("a 'shuffle' ControlNet, whose condition is pooled; those are not computed here")
XL_TEXTS = 2048


def refusal(path: Path, known: Mapping[str, tuple[int, ...]]) -> str | None:
    """Why the file at `path` with weights of these shapes is not used, None where nothing speaks against it."""
    name = path.parent.name if path.name.startswith(WHOLE) else path.stem
    if any(key == "difference" or key.endswith(".difference") for key in known):
        return DIFFERENCE
    for part, what in OTHERS:
        if any(part in key for key in known):
            return what
    if re.search(r"(^|[^a-z])diff(erence)?([^a-z]|$)", name.lower()) and "control" in name.lower():
        return DIFFERENCE
    if "shuffle" in name.lower() and _beside(path) is None:
        return POOLED
    if any(len(shape) == 2 and shape[1] == XL_TEXTS for shape in _texts(known)):
        return Sentence(
            "a ControlNet for Stable Diffusion XL; those for Stable Diffusion 1 and 2 work"
        )
    hints = [shape for key, shape in known.items() if HINT.fullmatch(key) and len(shape) == 4]
    if hints and hints[0][1] != 3:
        return Sentence(
            "is shown {hints} channels; only ControlNets that are shown a picture (3) work",
            hints=hints[0][1],
        )
    return None


HINT = re.compile(
    r"(control_model\.)?(controlnet_cond_embedding\.conv_in|input_hint_block\.0)\.weight"
)


def _texts(known: Mapping[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [shape for name, shape in known.items() if name.endswith("attn2.to_k.weight")]


def widths(path: Path) -> tuple[int, int]:
    """The latent channels and the width of the texts that a ControlNet is for."""
    known = shapes(path)
    if why := refusal(path, known):
        raise ModelFileError(Sentence("{path}: {why}", path=path, why=why))
    first = re.compile(r"(control_model\.)?(conv_in|input_blocks\.0\.0)\.weight")
    channels = [s[1] for name, s in known.items() if first.fullmatch(name) and len(s) == 4]
    texts = [shape[1] for shape in _texts(known) if len(shape) == 2]
    ours = any("controlnet_down_blocks" in name or "zero_convs" in name for name in known)
    if not (channels and texts and ours):
        raise ModelFileError(
            Sentence("{path}: these are not the weights of a ControlNet", path=path)
        )
    return channels[0], texts[0]


def build(path: Path) -> nn.Module:
    """The network of `path`, as a `ControlNetwork` names it. What is wrong with the file raises `ModelFileError`."""
    import torch
    from diffusers import ControlNetModel
    from safetensors.torch import load_file
    from torch import nn

    try:
        weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as fault:
        raise ModelFileError(
            Sentence("{path}: cannot be read, get it again ({why})", path=path, why=fault)
        ) from fault
    if why := refusal(path, {name: tuple(w.shape) for name, w in weights.items()}):
        raise ModelFileError(Sentence("{path}: {why}", path=path, why=why))
    try:
        weights = _named_as_in_diffusers(weights)
        config = _beside(path) or config_of({name: w.shape for name, w in weights.items()})
        _must_be_known(path, config)
        _must_be_whole(path, weights)
        with torch.device("meta"):  # no time for random weights
            network = ControlNetModel.from_config(config)
        network.load_state_dict(weights, assign=True)
    except ModelFileError:
        raise
    except Exception as fault:  # whatever diffusers and torch raise for what does not fit
        why = str(fault).strip().splitlines()[-1].strip() if str(fault) else repr(fault)
        raise ModelFileError(
            Sentence("{path}: no ControlNet can be built from it ({why})", path=path, why=why)
        ) from fault

    class Beside(nn.Module):
        """A ControlNet as the engine calls it."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(
            self, x: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor], hint: Tensor
        ) -> Residuals:
            context = conditioning["context"]
            return Residuals(*self.network(x, timesteps, context, hint, return_dict=False))

    return Beside()


def _named_as_in_diffusers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by diffusers' names. The original layout always has two layers a block. `ValueError` names a tensor
    that is no ControlNet's; a file may hold the whole model beside one."""
    if "conv_in.weight" in weights:
        return weights
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    converted: dict[str, Tensor] = convert_controlnet_checkpoint(
        dict(weights), {"layers_per_block": 2}
    )
    used = {id(tensor) for tensor in converted.values()}
    prefixed = any(name.startswith("control_model.") for name in weights)
    for name, tensor in weights.items():
        ours = name.startswith("control_model.") or not prefixed
        if ours and id(tensor) not in used:
            raise ValueError(f"it has no {name!r}")
    return converted


USED = frozenset(
    "in_channels conditioning_channels flip_sin_to_cos freq_shift down_block_types mid_block_type only_cross_attention"
    " block_out_channels layers_per_block downsample_padding mid_block_scale_factor act_fn norm_num_groups norm_eps"
    " cross_attention_dim transformer_layers_per_block attention_head_dim use_linear_projection resnet_time_scale_shift"
    " controlnet_conditioning_channel_order conditioning_embedding_out_channels".split()
)
HARMLESS = frozenset("upcast_attention addition_embed_type_num_heads".split())
ONLY: Mapping[str, tuple[Any, ...]] = {  # what the call of a ControlNetwork does not give is not there
    "conditioning_channels": (3,),
    "global_pool_conditions": (None, False),
    **dict.fromkeys(
        (
            *("class_embed_type", "num_class_embeds", "addition_embed_type", "addition_time_embed_dim"),
            *("encoder_hid_dim", "encoder_hid_dim_type", "projection_class_embeddings_input_dim"),
            *("num_attention_heads", "quantization_config"),
        ),
        (None,),
    ),
}  # fmt: skip
CLASSES = (None, "ControlNetModel", "FlaxControlNetModel")


def _must_be_known(path: Path, config: Mapping[str, Any]) -> None:
    """Raises `ModelFileError` for a config that says what cannot be computed here, or what nobody knows."""
    if (name := config.get("_class_name")) not in CLASSES:
        raise ModelFileError(
            Sentence("{path}: a {name}; only ControlNetModel loads", path=path, name=name)
        )
    for key, value in config.items():
        if key in ONLY and value not in ONLY[key]:
            raise ModelFileError(
                Sentence(
                    "{path}: its config's {part} {value} cannot be computed here",
                    path=path,
                    part=key,
                    value=repr(value),
                )
            )
        known = key in USED or key in HARMLESS or key in ONLY or key.startswith("_")
        if not known and value not in (None, False, ""):
            raise ModelFileError(
                Sentence("{path}: its config's {part} is not known", path=path, part=repr(key))
            )


def _must_be_whole(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Raises `ModelFileError` for weights that are no numbers, and for those of a difference: the gains of norms, which
    are near 1 in any network, are near 0 in the difference of two."""
    import torch

    gains = []
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            raise ModelFileError(
                Sentence(
                    "{path}: {name} holds no fractions, but {dtype}",
                    path=path,
                    name=repr(name),
                    dtype=tensor.dtype,
                )
            )
        if not (numbers := tensor.float()).isfinite().all():
            raise ModelFileError(
                Sentence(
                    "{path}: {name} has values that are not numbers (NaN); the file is "
                    "damaged, get it again",
                    path=path,
                    name=repr(name),
                )
            )
        if re.search(r"\.norm\d?\.weight$", name):
            gains.append(numbers.abs().mean())
    if gains and float(torch.stack(gains).median()) < SMALL:
        raise ModelFileError(Sentence("{path}: {difference}", path=path, difference=DIFFERENCE))


SMALL = 0.05  # of a norm's gain


def _beside(path: Path) -> dict[str, Any] | None:
    """The config that lies beside the weights, if one does: a file of that name may also be somebody's notes."""
    own = (
        path.with_name("config.json") if path.name.startswith(WHOLE) else path.with_suffix(".json")
    )
    if not own.is_file():
        return None
    try:
        told = json.loads(own.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise ModelFileError(
            Sentence("{own}: cannot be read ({why})", own=own, why=fault)
        ) from fault
    says = isinstance(told, dict) and {"_class_name", "block_out_channels"} & told.keys()
    return told if says else None


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
        "attention_head_dim": tuple(max(1, channels // 64) for channels in blocks) if linear else 8,
    }
