"""The differences that adapters are made of: of which factors, of which rank, and which shapes they must have.

Everything is computed in fp32. Shapes are compared, never broadcast: `ValueError` says which part does not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from webui.engine.adapters.parts import NEEDED

__all__ = ["difference", "magnitudes", "rank_of", "shaped"]

Parts = Mapping[str, Tensor]
LATENT, INPAINTING = 4, 9  # channels that a U-Net takes: an inpainting one the latent's first


def difference(kind: str, parts: Parts, weight: Tensor) -> Tensor:
    """What is added to `weight`, before alpha and strength, in the shape that the parts have."""
    for name in NEEDED[kind]:
        if name not in parts:
            raise ValueError(f"{name} is missing")
    return DIFFERENCES[kind](parts, weight)


def rank_of(kind: str, parts: Parts) -> int | None:
    """What alpha is divided by; None where the parts have no rank, and alpha says nothing."""
    if kind == "glora":
        return min(parts["glora_a1"].shape[:2], default=None)
    for name, axis in RANKS[kind]:
        if name in parts:
            shape = parts[name].shape
            return shape[axis] if len(shape) > axis else None
    return None


def shaped(given: Tensor, weight: Tensor, padded: bool = True) -> Tensor:
    """`given` in the shape of `weight`, where it is the same thing: flat, or with or without a kernel of 1 x 1. An
    inpainting model's first layer takes what was made for the latent alone, if it may be `padded`."""
    ours, theirs = weight.shape, given.shape
    if theirs == ours:
        return given
    if len(theirs) > 1 and _plain(theirs) == _plain(ours):
        return given.reshape(ours)
    if len(theirs) == 2 and len(ours) > 2 and theirs == (ours[0], math.prod(ours[1:])):
        return given.reshape(ours)
    if len(theirs) == 4 and len(ours) == 4 and (theirs[0], *theirs[2:]) == (ours[0], *ours[2:]):
        if (theirs[1], ours[1]) == (LATENT, INPAINTING) and padded:
            return F.pad(given, (0, 0, 0, 0, 0, INPAINTING - LATENT))
        if (theirs[1], ours[1]) == (INPAINTING, LATENT):
            raise ValueError("made for an inpainting model, and this is none")
    raise ValueError(
        f"made for a layer of {list(theirs)}, the model's is {list(ours)}; was it made for another family of models?"
    )


def magnitudes(given: Tensor, weight: Tensor) -> Tensor:
    """DoRA's magnitudes with as many axes as the weight has: one of each output [O, 1...], or of each input
    [1, I, 1...]. A plain row of numbers is of the outputs."""
    shape = given.shape if given.dim() > 1 else (*given.shape, 1)
    full = (*_plain(shape), *[1] * weight.dim())[: weight.dim()]
    outputs = (weight.shape[0], *[1] * (weight.dim() - 1))
    inputs = (1, *weight.shape[1:2], *[1] * (weight.dim() - 2))
    if given.numel() != math.prod(full) or full not in (outputs, inputs):
        raise ValueError(
            f"its magnitudes are of shape {list(given.shape)}, for a layer of {list(weight.shape)}; "
            "was it made for another family of models?"
        )
    return given.reshape(full)


def _plain(shape: torch.Size | tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones behind its first two axes."""
    found = tuple(shape)
    while len(found) > 2 and found[-1] == 1:
        found = found[:-1]
    return found


def _matrix(parts: Parts, name: str) -> Tensor:
    """A part that must be a matrix, or a convolution of 1 x 1."""
    part = parts[name].float()
    if part.dim() < 2 or len(_plain(part.shape)) != 2:
        raise ValueError(f"{name} has the shape {list(part.shape)}, which is no matrix")
    return part.reshape(part.shape[:2])


def _times(left: Tensor, right: Tensor, what: str) -> Tensor:
    """left [O, r] times right [r, ...]"""
    if right.dim() < 2 or left.shape[1] != right.shape[0]:
        raise ValueError(
            f"the parts of its {what} do not fit together: {list(left.shape)} and {list(right.shape)}"
        )
    return (left @ right.flatten(1)).reshape(left.shape[0], *right.shape[1:])


def _cored(core: Tensor, left: Tensor, right: Tensor, what: str) -> Tensor:
    """left [O, r] times a core [r, r, k, k] times right [r, I], after Tucker."""
    if core.dim() < 3 or core.shape[:2] != (left.shape[1], right.shape[0]):
        raise ValueError(
            f"the parts of its {what} do not fit together: {list(left.shape)}, {list(core.shape)} and "
            f"{list(right.shape)}"
        )
    return torch.einsum("ab...,oa,bi->oi...", core.float(), left, right)


def _lora(parts: Parts, _: Tensor) -> Tensor:
    up, core = _matrix(parts, "lora_up"), parts.get("lora_mid")
    if core is None:
        return _times(up, parts["lora_down"].float(), "LoRA")
    return _cored(core, up, _matrix(parts, "lora_down"), "LoRA")


def _embedding(parts: Parts, _: Tensor) -> Tensor:
    return _times(_matrix(parts, "lora_embedding_B"), _matrix(parts, "lora_embedding_A"), "LoRA").T


def _loha(parts: Parts, _: Tensor) -> Tensor:
    sides = []
    for n in ("1", "2"):
        core = parts.get(f"hada_t{n}")
        a, b = _matrix(parts, f"hada_w{n}_a"), parts[f"hada_w{n}_b"].float()
        if core is None:
            sides.append(_times(a, b, "LoHa"))
        else:
            sides.append(_cored(core, a.T, _matrix(parts, f"hada_w{n}_b"), "LoHa"))
    if sides[0].shape != sides[1].shape:
        raise ValueError(
            f"the two sides of its LoHa are {list(sides[0].shape)} and {list(sides[1].shape)}"
        )
    return sides[0] * sides[1]


def _lokr(parts: Parts, _: Tensor) -> Tensor:
    """The Kronecker product of a small matrix and a larger one, each whole or of low rank."""
    if "lokr_w1" in parts:
        first = _matrix(parts, "lokr_w1")
    else:
        first = _times(_matrix(parts, "lokr_w1_a"), _matrix(parts, "lokr_w1_b"), "LoKr")
    if "lokr_w2" in parts:
        second = parts["lokr_w2"].float()
    elif missing := [name for name in ("lokr_w2_a", "lokr_w2_b") if name not in parts]:
        raise ValueError(f"{missing[0]} is missing")
    else:
        a, b, core = _matrix(parts, "lokr_w2_a"), parts["lokr_w2_b"].float(), parts.get("lokr_t2")
        if core is None:
            second = _times(a, b, "LoKr")
        else:
            second = _cored(core, a.T, _matrix(parts, "lokr_w2_b"), "LoKr")
    if second.dim() < 2:
        raise ValueError(f"lokr_w2 has the shape {list(second.shape)}, which is no matrix")
    first = first.reshape(*first.shape, *[1] * (second.dim() - 2))
    return torch.kron(first, second.contiguous())


def _glora(parts: Parts, weight: Tensor) -> Tensor:
    """W A + B, of which each is the product of a high and a wide matrix."""
    named = {name.removeprefix("glora_"): part for name, part in parts.items()}
    if _first_files(parts):
        named |= {"a1": named["a2"], "a2": named["a1"], "b1": named["b2"], "b2": named["b1"]}
    a = _times(_matrix(named, "a1"), _matrix(named, "a2"), "GLoRA")
    if "bm" in named:
        b = _cored(named["bm"], _matrix(named, "b1"), _matrix(named, "b2"), "GLoRA")
    else:
        b = _times(_matrix(named, "b1"), named["b2"].float(), "GLoRA")
    if weight.dim() < 2 or a.shape != (weight.shape[1], weight.shape[1]):
        raise ValueError(
            f"made for a layer of {a.shape[0]} inputs, the model's is {list(weight.shape)}; "
            "was it made for another family of models?"
        )
    return shaped(b, weight) + torch.einsum("oi...,ij->oj...", weight, a)


def _first_files(parts: Parts) -> bool:
    """Whether a GLoRA is of the first ones that LyCORIS wrote, with the two factors the other way round."""
    shape = parts["glora_a1"].shape
    return len(shape) > 1 and shape[0] < shape[1]


DIFFERENCES: Mapping[str, Callable[[Parts, Tensor], Tensor]] = {
    "lora": _lora,
    "embedding": _embedding,
    "loha": _loha,
    "lokr w1": _lokr,
    "lokr w1_a": _lokr,
    "glora": _glora,
    "difference": lambda parts, _: parts["diff"].float(),
}
# Which axis of which part tells the rank; the first part that is there.
RANKS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "lora": (("lora_down", 0),),
    "embedding": (("lora_embedding_A", 0),),
    "loha": (("hada_w1_b", 0),),
    "lokr w1": (("lokr_w2_b", 0),),
    "lokr w1_a": (("lokr_w1_b", 0), ("lokr_w2_b", 0)),
    "difference": (),
}
