"""What an adapter makes of one layer's weight, for each kind of adapter file.

A weight is [O, I] of a linear layer or [O, I, k, k] of a convolution, [D] of a norm or a bias, [V, D] of an embedding.
All is computed in fp32. Names are those of the files: LoRA (Hu et al. 2021), LoCon, LoHa and LoKr (Yeh et al. 2023,
LyCORIS; LoHa after Hyeon-Woo et al. 2021), GLoRA (Chavan et al. 2023), DoRA (Liu et al. 2024); OFT is in `rotations`.
What each kind is made of, and the shapes that its parts must have, is in `factors`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from webui.engine.adapters.configs import NOTHING, Config
from webui.engine.adapters.factors import difference, magnitudes, rank_of, shaped
from webui.engine.adapters.parts import ALIASES, KINDS, NEEDED
from webui.engine.adapters.rotations import turned_inputs, turned_outputs

__all__ = ["Change", "change_of"]


class Change(Protocol):
    """What one file says of one layer."""

    def changed(self, weight: Tensor, strength: float) -> Tensor:
        """`weight` in fp32, changed as far as `strength` says: 0 is not at all, 1 as it was trained."""
        ...

    def tensors(self) -> Mapping[str, Tensor]: ...

    def to(self, device: torch.device) -> Change: ...


@dataclass(frozen=True, slots=True)
class Added:
    """A difference that is added. `kind` says how it is made of its parts; `magnitude` is DoRA's.

    `scale` is alpha / rank. With a magnitude m the result is m * (W + D) / |W + D|, the norm over what m has one
    of: all of a row (m [O, 1]) or all of a column (m [1, I]).
    """

    kind: str
    parts: Mapping[str, Tensor]
    scale: float
    magnitude: Tensor | None = None

    def changed(self, weight: Tensor, strength: float) -> Tensor:
        given = difference(self.kind, self.parts, weight)
        added = shaped(given, weight, padded=self.magnitude is None) * self.scale
        if self.magnitude is None:
            return weight + added * strength
        whole = weight + added
        magnitude = magnitudes(self.magnitude.float(), weight)
        others = [axis for axis in range(weight.dim()) if magnitude.shape[axis] == 1]
        length = whole.square().sum(dim=others, keepdim=True).sqrt()
        length = length.clamp_min(torch.finfo(torch.float32).eps)
        decomposed: Tensor = whole * (magnitude / length)
        return weight + (decomposed - weight) * strength

    def tensors(self) -> Mapping[str, Tensor]:
        extra = {} if self.magnitude is None else {"magnitude": self.magnitude}
        return {**self.parts, **extra}

    def to(self, device: torch.device) -> Added:
        magnitude = None if self.magnitude is None else self.magnitude.to(device)
        parts = {name: part.to(device) for name, part in self.parts.items()}
        return Added(self.kind, parts, self.scale, magnitude)


@dataclass(frozen=True, slots=True)
class Replaced:
    """A tensor that was trained as a whole, and is there as it is afterwards."""

    value: Tensor

    def changed(self, weight: Tensor, strength: float) -> Tensor:
        return weight + (shaped(self.value.float(), weight) - weight) * strength

    def tensors(self) -> Mapping[str, Tensor]:
        return {"whole": self.value}

    def to(self, device: torch.device) -> Replaced:
        return Replaced(self.value.to(device))


# --- From a file's tensors ------------------------------------------------------------------------


def change_of(parts: Mapping[str, Tensor], config: Config = NOTHING) -> Change:
    """The change that the tensors of one layer mean, by the part of their names behind the layer's.

    `config` is what the file says of the layer besides. `ValueError` with the names where they are of no kind that we
    know.
    """
    named = {ALIASES.get(name, name): tensor for name, tensor in parts.items()}
    for name, tensor in named.items():
        _sound(name, tensor)
    alpha = _number(named.pop("alpha")) if "alpha" in named else None
    for blocks in ("oft_blocks", "oft_R"):
        if blocks in named:
            return _turned(blocks, named, alpha, config)
    if "whole" in named:
        whole = named.pop("whole")
        _all_used(named)
        return Replaced(whole)
    for kind, needs in KINDS.items():
        if needs[0] in named:
            magnitude = _magnitude(kind, named, config)
            _all_used({name: 1 for name in named if name not in needs})
            if missing := [name for name in NEEDED[kind] if name not in named]:
                raise ValueError(f"{missing[0]} is missing")
            return Added(kind, named, _scale(kind, named, alpha, config), magnitude)
    raise ValueError(f"{', '.join(sorted(parts))} is no kind of adapter that is known")


def _turned(name: str, named: dict[str, Tensor], alpha: float | None, config: Config) -> Change:
    blocks, rescale = named.pop(name), named.pop("rescale", None)
    _all_used(named)
    if name == "oft_R":
        return turned_inputs(blocks, rescale, config)
    return turned_outputs(blocks, alpha or 0.0, rescale)


def _scale(kind: str, named: Mapping[str, Tensor], alpha: float | None, config: Config) -> float:
    """Alpha / rank. It is 1 where neither tensor nor config says an alpha, and where there is no rank: LyCORIS' LoKr
    of two whole matrices has none, peft's has that of its config."""
    rank = rank_of(kind, named) or config.rank
    if rank is None:
        return 1.0
    if alpha is not None:
        return alpha / rank
    if config.alpha is not None:
        return config.alpha / (math.sqrt(rank) if config.rooted else rank)
    return 1.0


def _magnitude(kind: str, named: dict[str, Tensor], config: Config) -> Tensor | None:
    """DoRA's, taken out of the parts that are `named`. peft's are of the outputs, whatever their shape; those of an
    embedding of what it gives."""
    if "magnitude" in named and "dora_scale" in named:
        raise ValueError("it has both dora_scale and lora_magnitude_vector")
    if "magnitude" in named:
        magnitude = named.pop("magnitude")
        return magnitude.reshape(1, -1) if kind == "embedding" else magnitude.reshape(-1)
    if config.magnitude and kind in ("lora", "embedding"):
        raise ValueError("its config says use_dora, and its lora_magnitude_vector is missing")
    return named.pop("dora_scale", None)


def _sound(name: str, tensor: Tensor) -> None:
    if not tensor.numel():
        raise ValueError(f"{name} is empty, of shape {list(tensor.shape)}")
    if name != "alpha" and not tensor.is_floating_point():
        raise ValueError(
            f"{name} holds {str(tensor.dtype).removeprefix('torch.')}, which are no weights"
        )


def _number(alpha: Tensor) -> float:
    if alpha.numel() != 1 or alpha.dtype == torch.bool:
        raise ValueError(f"alpha is no number, but {list(alpha.shape)} of {alpha.dtype}")
    return float(alpha)


def _all_used(left: Mapping[str, object]) -> None:
    if left:
        raise ValueError(f"{', '.join(sorted(left))} has no known meaning here")
