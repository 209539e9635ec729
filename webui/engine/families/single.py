"""The configs of a single file's networks: what its family is known for, and the sizes that its shapes tell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from operator import sub
from pathlib import Path
from typing import Any

from webui.catalog.families import Family, family
from webui.catalog.formats.header import Header
from webui.diffusion.noise_schedules import model_sigmas
from webui.engine.families.keys import diffusers_parts, ldm_parts, unused
from webui.engine.families.plans import PartPlan, Plan, TextPlan
from webui.engine.read_tensors import read_tensors
from webui.engine.text.tokenizer import shipped
from webui.engine.weight_loading import Weight
from webui.errors import ModelFileError, Sentence
from webui.types import ModelCard

__all__ = ["published", "single_plan", "vae_config"]

Weights = Mapping[str, Weight]
LEVELS, NEAR = 100_000, 0.01  # of noise at most, and how near two are that are one
SHOWN = 3  # names of unused tensors
USUAL_WIDTHS = [128, 256, 512, 512]  # of the VAEs of all these families


@cache
def published(key: str) -> Mapping[str, Any]:
    """What single files of a family leave unsaid: how its published models are, by part, and their noise levels."""
    path = Path(__file__).with_name(f"{key}.json")
    known: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


def single_plan(card: ModelCard, header: Header) -> Plan:
    """The plan for the single file of `card`; `ModelFileError` where its shapes make no network."""
    file, about = card.path.name, family(card.kind)
    shapes = {name: info.shape for name, info in header.tensors.items()}
    try:
        found = ldm_parts(header, shapes) if card.layout == "ldm" else diffusers_parts(header)
        known = published(card.kind)
        parts = {}
        for part in about.parts:
            if part == "vae" and not found.get(part):
                parts[part] = PartPlan(_usual_vae(known[part], found["unet"]), {}, file, file)
                continue
            if not found.get(part):
                raise ModelFileError(
                    Sentence("{file}: has no {part}; the file is not whole", file=file, part=part)
                )
            config = MAKE[part](known[part], {n: w.shape for n, w in found[part].items()})
            weights = {n: w for n, w in found[part].items() if _used(n, config)}
            parts[part] = PartPlan(config, weights, file, file)
    except (KeyError, ValueError, IndexError, ZeroDivisionError, StopIteration) as fault:
        raise ModelFileError(
            Sentence(
                "{file}: its tensors make no network ({why}); the file is not whole",
                file=file,
                why=fault,
            )
        ) from fault
    texts = {part: _text_plan(card, about, known[part], parts[part].config) for part in about.texts}
    zeros = known.get("empty_negative") == "zeros"
    noise = {**known["scheduler"], **({"rescale_betas_zero_snr": True} if card.zero_snr else {})}
    remarks = _remarks(header, {part: found.get(part, {}) for part in parts})
    remarks += _other_noise(header, noise)
    return Plan(parts, texts, known["scheduler"], file, zeros, remarks)


def _other_noise(header: Header, noise: Mapping[str, Any]) -> tuple[str, ...]:
    """What is told of a file that keeps other noise levels than it is painted with."""
    name = "alphas_cumprod"
    info = header.tensors.get(name)
    if info is None or len(info.shape) != 1 or info.shape[0] > LEVELS:
        return ()
    try:
        theirs = read_tensors(replace(header, tensors={name: info}))[name].double().tolist()
    except ModelFileError:  # numbers that are none: nobody's schedule
        return ()
    if not all(1 >= a >= b >= 0 for a, b in pairwise(theirs)) or theirs[:1] < [0.5]:
        return ()  # zeros and the like
    ours = [1 / (1 + sigma * sigma) for sigma in model_sigmas(noise)]
    same = len(ours) == len(theirs) and max(map(abs, map(sub, ours, theirs))) < NEAR
    what = Sentence(
        "{file}: its {name} are other noise levels than those that are used",
        file=header.path.name,
        name=name,
    )
    return () if same else (what,)


def _remarks(header: Header, parts: Mapping[str, Weights]) -> tuple[str, ...]:
    """What is told of tensors that nobody uses."""
    rest = unused(header, parts)
    if not rest:
        return ()
    shown = ", ".join(repr(name[:80]) for name in rest[:SHOWN])
    more = f" and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
    one = len(rest) == 1
    return (
        f"{header.path.name}: {len(rest)} of its tensors {'is' if one else 'are'} not used: {shown}{more}",
    )


def _text_plan(
    card: ModelCard, about: Family, known: Mapping[str, Any], config: Mapping[str, Any]
) -> TextPlan:
    tokenizer = shipped()
    if tokenizer.size > config["vocab_size"]:
        raise ModelFileError(
            Sentence(
                "{file}: its text encoder knows {config} tokens; those of Stable "
                "Diffusion have {size}",
                file=card.path.name,
                config=config["vocab_size"],
                size=tokenizer.size,
            )
        )
    pad = tokenizer.end if known["pad"] == "end" else int(known["pad"])
    missing_layers = known.get("last_layers_left_out", 0)
    return TextPlan(tokenizer, pad, about.skip_layers, about.final_norm, missing_layers)


def _used(name: str, config: Mapping[str, Any]) -> bool:
    """Whether a tensor is: a layer beyond the last one that is read is not, nor a projection that nobody asks for."""
    number = re.match(r"encoder\.layers\.(\d+)\.", name)
    if number and int(number[1]) >= config["num_hidden_layers"]:
        return False
    return name != "text_projection.weight" or config.get("projection_dim") is not None


# --- Sizes ----------------------------------------------------------------------------------------

Shapes = Mapping[str, tuple[int, ...]]


def _unet(known: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    levels = _count(shapes, r"down_blocks\.(\d+)\.")
    widths = [shapes[f"down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(levels)]
    depths = [_depths(shapes, f"down_blocks.{i}") for i in range(levels)]
    back = [_depths(shapes, f"up_blocks.{i}") for i in range(levels)]
    config = {key: value for key, value in known.items() if key not in ("heads", "head_width")}
    heads = [known["heads"] if "heads" in known else w // known["head_width"] for w in widths]
    middle = _depths(shapes, "mid_block")
    attention = next(name for name in shapes if name.endswith(".attn2.to_k.weight"))
    config |= {
        "in_channels": shapes["conv_in.weight"][1],
        "out_channels": shapes["conv_out.weight"][0],
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": ["CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if d else "UpBlock2D" for d in back],
        "mid_block_type": _middle(shapes),
        # diffusers gives the middle the last level's depth, which without attention there means nothing else
        "transformer_layers_per_block": [d or 1 for d in depths[:-1]] + [depths[-1] or middle or 1],
        "attention_head_dim": heads,  # diffusers' name for the number of heads
        "cross_attention_dim": shapes[attention][1],
    }
    if back != depths[::-1] or not all(isinstance(d, int) for d in depths):  # distilled ones
        config["reverse_transformer_layers_per_block"] = [d or 1 for d in back]
    if "add_embedding.linear_1.weight" in shapes:
        config["projection_class_embeddings_input_dim"] = shapes["add_embedding.linear_1.weight"][1]
    return config


def _depths(shapes: Shapes, block: str) -> int | list[int]:
    """How many transformer layers the attentions of a block have: one number where all have the same, 0 for none."""
    count = _count(shapes, rf"{block}\.attentions\.(\d+)\.")
    found = [
        _count(shapes, rf"{block}\.attentions\.{i}\.transformer_blocks\.(\d+)\.")
        for i in range(count)
    ]
    return (found[0] if found else 0) if len(set(found)) < 2 else found


def _middle(shapes: Shapes) -> str | None:
    """The kind of the middle block, which distilled models have without attention, or not at all."""
    if "mid_block.attentions.0.norm.weight" in shapes:
        return "UNetMidBlock2DCrossAttn"
    found = any(name.startswith("mid_block.") for name in shapes)
    return "UNetMidBlock2D" if found else None


def _usual_vae(known: Mapping[str, Any], unet: Weights) -> dict[str, Any]:
    """The config of the VAE that a file does without: it wears another, which is of this kind."""
    return {
        **known,
        "block_out_channels": USUAL_WIDTHS,
        "down_block_types": ["DownEncoderBlock2D"] * len(USUAL_WIDTHS),
        "up_block_types": ["UpDecoderBlock2D"] * len(USUAL_WIDTHS),
        "layers_per_block": 2,
        "latent_channels": unet["conv_out.weight"].shape[0],
    }


def vae_config(known: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """The config of a VAE of these shapes, by names of diffusers, with what `known` says beside them. Raises
    `KeyError` or `IndexError` where they are those of no VAE."""
    levels = _count(shapes, r"encoder\.down_blocks\.(\d+)\.")
    blocks = [shapes[f"encoder.down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(levels)]
    return {
        **known,
        "block_out_channels": blocks,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": _count(shapes, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
    }


def _text(known: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    words, width = shapes["embeddings.token_embedding.weight"]
    own = ("head_width", "last_layers_left_out", "pad")
    layers = _count(shapes, r"encoder\.layers\.(\d+)\.")
    left_out = known.get("last_layers_left_out", 0)
    if layers % 2:  # saved without it already: whole towers have an even number of layers
        left_out = 0
    config = {key: value for key, value in known.items() if key not in own}
    config |= {
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": layers - left_out,
        "num_attention_heads": width // known["head_width"],
        "max_position_embeddings": shapes["embeddings.position_embedding.weight"][0],
    }
    return config


def _projecting(known: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    return _text(known, shapes) | {"projection_dim": shapes["text_projection.weight"][0]}


MAKE = {
    "unet": _unet,
    "vae": vae_config,
    "text_encoder": _text,
    "text_encoder_2": _projecting,
}


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the largest number that `pattern` finds at the beginning of a name; 0 for none."""
    found = re.compile(pattern)
    count = max((int(m[1]) + 1 for name in shapes if (m := found.match(name))), default=0)
    if count > len(shapes):
        raise ValueError(f"a number up to {count} in the names of {len(shapes)} tensors")
    return count
