"""How a model's files become networks: what is built for each part, and from which tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webui.engine.text.tokenizer import Tokenizer
from webui.engine.weight_loading import Weight

__all__ = ["PartPlan", "Plan", "TextPlan"]


@dataclass(frozen=True, slots=True)
class PartPlan:
    """A network: its config, and its weights by today's names (none for a VAE that comes from another file). `source`
    is what is blamed for a config that makes no network, `file` for a tensor that is missing."""

    config: Mapping[str, Any]
    weights: Mapping[str, Weight]
    source: str
    file: str


@dataclass(frozen=True, slots=True)
class TextPlan:
    """How a text encoder is used: with which tokens it is filled up, and see `ClipTextModel`."""

    tokenizer: Tokenizer
    pad: int
    skip_layers: int = 0
    final_norm: bool = True
    missing_layers: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts` are "unet", "vae" and those of `texts`, whose hidden states stand side by side in that order.

    `scheduler` is the noise schedule, as a `scheduler_config.json` has it, and `schedule_source` what is blamed for
    it. `zeros`: an empty negative prompt counts as zeros. `remarks` are sentences about what is not used of the files.
    """

    parts: Mapping[str, PartPlan]
    texts: Mapping[str, TextPlan]
    scheduler: Mapping[str, Any]
    schedule_source: str
    zeros: bool = False
    remarks: tuple[str, ...] = ()
