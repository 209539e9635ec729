"""What an adapter makes of one layer's weight, for each kind of adapter file.

A weight is [O, I] of a linear layer or [O, I, k, k] of a convolution, flattened to [O, rest] where that is simpler. All
is computed in fp32. Names are those of the files: LoRA (Hu et al. 2021), LoCon, LoHa and LoKr (Yeh et al. 2023,
LyCORIS; LoHa after Hyeon-Woo et al. 2021), DoRA (Liu et al. 2024); OFT is in `rotations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from webui.engine.adapters.configs import NOTHING, Config
from webui.engine.adapters.rotations import TurnedOutputs, turned_inputs

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
        difference = DIFFERENCES[self.kind](self.parts).reshape(weight.shape) * self.scale
        if self.magnitude is None:
            return weight + difference * strength
        whole = weight + difference
        magnitude = _magnitude(self.magnitude.float(), weight)
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


# --- From a file's tensors ------------------------------------------------------------------------


def change_of(parts: Mapping[str, Tensor], config: Config = NOTHING) -> Change:
    """The change that the tensors of one layer mean, by the part of their names behind the layer's.

    `config` is what the file says of the layer besides. `ValueError` with the names where they are of no kind that we
    know.
    """
    named = {ALIASES.get(name, name): tensor for name, tensor in parts.items()}
    alpha = named.pop("alpha", None)
    magnitude = named.pop("dora_scale", None)
    strength = None if alpha is None else float(alpha)
    if "oft_blocks" in named and named["oft_blocks"].dim() == 3:
        blocks = named.pop("oft_blocks")
        rescale = named.pop("rescale", None)
        _all_used(named)
        outputs = blocks.shape[0] * blocks.shape[1]
        return TurnedOutputs(blocks, (strength or 0.0) * outputs, rescale)
    if "oft_R" in named:
        blocks, rescale = named.pop("oft_R"), named.pop("rescale", None)
        _all_used(named)
        return turned_inputs(blocks, rescale, config)
    for kind, needs in KINDS.items():
        if needs[0] in named:
            _all_used({name: 1 for name in named if name not in needs})
            try:
                DIFFERENCES[kind]({name: part.to("meta") for name, part in named.items()})
            except KeyError as missing:
                raise ValueError(f"{missing.args[0]} is missing") from None
            rank = RANKS[kind](named)
            scale = 1.0
            if rank is not None and strength is not None:
                scale = strength / rank
            elif rank is not None and config.alpha is not None:
                scale = config.alpha / (math.sqrt(rank) if config.rooted else rank)
            return Added(kind, dict(named), scale, magnitude)
    raise ValueError(f"{', '.join(sorted(parts))} is no kind of adapter that is known")


def _all_used(left: Mapping[str, object]) -> None:
    if left:
        raise ValueError(f"{', '.join(sorted(left))} has no known meaning here")


def _magnitude(magnitude: Tensor, weight: Tensor) -> Tensor:
    """As many axes as the weight has; a plain row of numbers is of the outputs."""
    if magnitude.dim() == 1:
        return magnitude.reshape(-1, *[1] * (weight.dim() - 1))
    return magnitude.reshape(*magnitude.shape, *[1] * (weight.dim() - magnitude.dim()))


def _low_rank(up: Tensor, down: Tensor, core: Tensor | None = None) -> Tensor:
    """up [O, r] times down [r, rest]; with a core [r, r, k, k] between them (Tucker), down is [r, I]."""
    up, down = up.float().flatten(1), down.float().flatten(1)
    if core is None:
        return up @ down
    return torch.einsum("abkl,oa,bi->oikl", core.float(), up, down)


def _lora(parts: Mapping[str, Tensor]) -> Tensor:
    return _low_rank(parts["lora_up"], parts["lora_down"], parts.get("lora_mid"))


def _loha(parts: Mapping[str, Tensor]) -> Tensor:
    sides = []
    for n in ("1", "2"):
        a, b, core = parts[f"hada_w{n}_a"], parts[f"hada_w{n}_b"], parts.get(f"hada_t{n}")
        sides.append(_low_rank(a if core is None else a.T, b, core))
    return sides[0] * sides[1]


def _lokr(parts: Mapping[str, Tensor]) -> Tensor:
    """The Kronecker product of a small matrix and a larger one, each whole or of low rank."""
    first = parts.get("lokr_w1")
    if first is None:
        first = _low_rank(parts["lokr_w1_a"], parts["lokr_w1_b"])
    second = parts.get("lokr_w2")
    if second is None:
        a, b, core = parts["lokr_w2_a"], parts["lokr_w2_b"], parts.get("lokr_t2")
        if core is None and b.dim() > 2:
            second = _low_rank(a, b).reshape(a.shape[0], *b.shape[1:])
        else:
            second = _low_rank(a if core is None else a.T, b, core)
    first, second = first.float(), second.float()
    return torch.kron(first.reshape(*first.shape, *[1] * (second.dim() - 2)), second)


def _loha_rank(parts: Mapping[str, Tensor]) -> int:
    return parts["hada_w1_b"].shape[0]


def _lokr_rank(parts: Mapping[str, Tensor]) -> int | None:
    """None where both are whole: alpha then says nothing."""
    for name in ("lokr_w1_b", "lokr_w2_b"):
        if name in parts:
            return parts[name].shape[0]
    return None


# What each kind is told by (the first name) and may hold, and its rank.
KINDS: Mapping[str, tuple[str, ...]] = {
    "lora": ("lora_down", "lora_up", "lora_mid"),
    "loha": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
    "lokr w1": ("lokr_w1", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    "lokr w1_a": ("lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    "difference": ("diff",),
}
DIFFERENCES: Mapping[str, Callable[[Mapping[str, Tensor]], Tensor]] = {
    "lora": _lora,
    "loha": _loha,
    "lokr w1": _lokr,
    "lokr w1_a": _lokr,
    "difference": lambda parts: parts["diff"].float(),
}
RANKS: Mapping[str, Callable[[Mapping[str, Tensor]], int | None]] = {
    "lora": lambda parts: parts["lora_down"].shape[0],
    "loha": _loha_rank,
    "lokr w1": _lokr_rank,
    "lokr w1_a": _lokr_rank,
    "difference": lambda parts: None,
}
# The same things by other names: diffusers before peft, peft, and layers trained as a whole.
ALIASES: Mapping[str, str] = {
    "lora_down.weight": "lora_down",
    "lora_up.weight": "lora_up",
    "lora_mid.weight": "lora_mid",
    "lora.down.weight": "lora_down",
    "lora.up.weight": "lora_up",
    "_lora.down.weight": "lora_down",
    "_lora.up.weight": "lora_up",
    "lora_A.weight": "lora_down",
    "lora_B.weight": "lora_up",
    "lora_A.default.weight": "lora_down",
    "lora_B.default.weight": "lora_up",
    "lora_magnitude_vector": "dora_scale",
    "lora_magnitude_vector.weight": "dora_scale",
    "lora_magnitude_vector.default.weight": "dora_scale",
    "w_norm": "diff",
    "oft_R.weight": "oft_R",
    "oft_R.default.weight": "oft_R",
    "oft_r": "oft_R",
    "oft_r.default": "oft_R",
    "oft_s": "rescale",
    "oft_s.default": "rescale",
}
