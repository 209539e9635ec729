"""The plan for a diffusers folder: its own configs, its own tokenizers, one or more files for each part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webui.catalog.families import Family, family
from webui.catalog.formats.configs import schedule
from webui.catalog.formats.folders import TOKENIZERS, configs_checked, weight_files
from webui.catalog.formats.header import read_header
from webui.catalog.formats.sidecars import read_json
from webui.engine.families.keys import text_name, vae_name, without_buffers
from webui.engine.families.plans import PartPlan, Plan, TextPlan
from webui.engine.families.single import published
from webui.engine.text.tokenizer import read as read_tokenizer
from webui.engine.weight_loading import Weight
from webui.errors import ModelFileError, Sentence
from webui.types import ModelCard

__all__ = ["folder_plan"]


def folder_plan(card: ModelCard) -> Plan:
    """The plan for the folder of `card`."""
    folder = card.path
    about = family(card.kind)
    parts = {part: _part(folder, part) for part in about.parts}
    index = folder / "model_index.json"
    asked = read_json(index).get("force_zeros_for_empty_prompt", True) if index.is_file() else True
    noise = folder / "scheduler" / "scheduler_config.json"
    return Plan(
        parts,
        {part: _text(card, about, part, parts[part]) for part in about.texts},
        schedule(read_json(noise)),
        str(noise),
        zeros=about.zeros and bool(asked),
        remarks=tuple(configs_checked(folder, about)),
    )


def _part(folder: Path, part: str) -> PartPlan:
    config = folder / part / "config.json"
    files = weight_files(folder, part)
    weights: dict[str, Weight] = {}
    for file in files:
        try:
            header = read_header(file)
        except ModelFileError as fault:  # many parts have files of one name
            raise ModelFileError(Sentence("{part}/{why}", part=part, why=fault)) from fault
        for key in without_buffers(header.tensors):
            if part == "text_encoder" and key == "text_projection.weight":
                continue  # of a CLIP that was saved whole: nobody asks the first encoder for it
            weights[_name(part, key)] = Weight(
                header, key, flat=part == "vae" and ".attentions." in key
            )
    # A tensor that is in none of several files is missing from all of them.
    blamed = files[0] if len(files) == 1 else folder / part
    return PartPlan(read_json(config), weights, str(config), str(blamed))


def _name(part: str, key: str) -> str:
    if part == "vae":
        return vae_name(key)
    return text_name(key) if part.startswith("text_encoder") else key


def _text(card: ModelCard, about: Family, part: str, plan: PartPlan) -> TextPlan:
    place = card.path / TOKENIZERS[part]
    tokenizer = read_tokenizer(place)
    if any(not isinstance(one, int) for one in (tokenizer.start, tokenizer.end, tokenizer.pad)):
        raise ModelFileError(
            Sentence("{place}: the tokenizer names no start, end or padding token", place=place)
        )
    rows = _whole(plan.config, "vocab_size", 49408)
    if tokenizer.size > rows:
        raise ModelFileError(
            Sentence(
                "{place}: {size} tokens, but the text encoder knows {rows}",
                place=place,
                size=tokenizer.size,
                rows=rows,
            )
        )
    own = any(
        place.glob("*.json")
    )  # a shipped one knows only what the first encoder is filled up with
    pad = tokenizer.pad if own else (tokenizer.end if part == "text_encoder" else 0)
    # A text encoder that is published without its last layer has an odd number of them.
    odd = _whole(plan.config, "num_hidden_layers", 12) % 2
    missing_layers = published(about.key)[part].get("last_layers_left_out", 0) if odd else 0
    return TextPlan(tokenizer, pad, about.skip_layers, about.final_norm, missing_layers)


def _whole(config: Mapping[str, Any], key: str, default: int) -> int:
    value = config.get(key, default)
    return value if isinstance(value, int) else default
