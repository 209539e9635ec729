"""Patches: switches of a network's behaviour for one call, as values that are equal where they do the same."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from webui.types.models import Model

__all__ = ["Patch", "Tensors", "no_value"]

ADDRESS = " at 0x"  # in the `repr` of what is compared by identity


class Tensors(Mapping[str, "Tensor"]):
    """Named tensors as a value: equal where names, dtypes, shapes and contents are, in this process or another.

    `Tensors(keys=k, values=v)` is what a field of a `Patch` holds its tensors in. They are not to be changed.
    """

    __slots__ = ("_digest", "_tensors")

    def __init__(self, **tensors: Tensor) -> None:
        self._tensors = {name: tensors[name] for name in sorted(tensors)}
        self._digest = ""

    @property
    def digest(self) -> str:
        """32 hex digits of the contents. Worked out once: tensors of a device are copied to the host for it."""
        if not self._digest:
            bytes_ = sys.modules["torch"].uint8  # who has made a tensor has loaded it
            digest = hashlib.blake2b(digest_size=16)
            for name, tensor in self._tensors.items():
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
                flat = tensor.detach().cpu().contiguous().reshape(-1)
                digest.update(flat.view(bytes_).numpy().tobytes() if flat.numel() else b"")
            self._digest = digest.hexdigest()
        return self._digest

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Tensors) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(one.shape)}" for name, one in self._tensors.items())
        return f"Tensors({shapes}; {self.digest})"


class Patch:
    """A switch of the UNet's behaviour. Make it a frozen dataclass: equal patches share a batch. Tensors that it needs
    are one field, a `Tensors`, so that patches with equal contents are equal.

    In `Denoise.patches` (or `Condition.patches`) it holds for all rows; in `Row.patches` (or `TextCondition.patches`)
    for that row. Rows whose patches change `attention` alone share UNet calls with any others; of those that
    change the network (`applied`), rows with equal ones do, and a picture whose rows have several takes a UNet
    call for each.
    """

    __slots__ = ()

    def applied(self, unet: Any) -> AbstractContextManager[Any]:
        """Entered around each UNet call: what it changes of diffusers' `unet` it puts back on leaving."""
        return nullcontext()

    def touches(self, layer: str) -> bool:
        """Whether `attention` is asked for a layer, named as in diffusers: `attn1` at its end is
        self-attention, `attn2` cross-attention ("mid_block.attentions.0.transformer_blocks.0.attn1")."""
        return False

    def attention(
        self, layer: str, q: Tensor, k: Tensor, v: Tensor, attend: Callable[..., Tensor]
    ) -> Tensor:
        """What a layer's attention gives, [R, T, heads, d], instead of `attend(q, k, v)`; q [R, T, heads, d],
        k and v [R, S, heads, d]."""
        return attend(q, k, v)

    def towards(self, other: Patch | None, part: float) -> Patch | None:
        """What lies between this patch, at 0, and `other`, at 1; None is the model as it is. Patches with strengths
        mix them, as those of a prompt's LoRAs do; all others change half-way."""
        return self if part < 0.5 else other

    def misfit(self, model: Model) -> str:
        """A sentence where it was made for another model than this one, "" where it fits."""
        return ""

    def key(self) -> str:
        """Text that tells it from every patch that is not equal to it, the same after a restart: a picture that
        is made on from its log is known by it."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__} {_told(self)}"

    @property
    def changes_network(self) -> bool:
        """Whether `applied` does something."""
        return type(self).applied is not Patch.applied

    @property
    def changes_attention(self) -> bool:
        return type(self).touches is not Patch.touches


def no_value(patch: Patch) -> str:
    """Why a patch is no value, and so cannot be told from others: a sentence, "" where it is one."""
    kind = type(patch)
    again = f"{kind.__name__} is compared by identity; make it a frozen dataclass"
    if kind.__eq__ is object.__eq__ or kind.__hash__ is object.__hash__:
        return again
    for name, value in _compared(patch):
        if hasattr(value, "shape") and not isinstance(value, Tensors):
            return (
                f"{kind.__name__}.{name} holds {type(value).__name__}; put tensors into a Tensors"
            )
    try:
        hash(patch)
        known = patch == patch and ADDRESS not in patch.key()
    except Exception as error:  # the boundary: __hash__, __eq__ and __repr__ are the extension's
        return f"{kind.__name__} cannot be compared and hashed ({error}); make it a frozen dataclass of plain values"
    for name, value in _compared(patch):
        if not known and ADDRESS in repr(value):
            return f"{kind.__name__}.{name} ({type(value).__name__}) is compared by identity; use plain values"
    return "" if known else again


def _compared(patch: Patch) -> list[tuple[str, Any]]:
    if not is_dataclass(patch):
        return []
    return [(one.name, getattr(patch, one.name)) for one in fields(patch) if one.compare]


def _told(patch: Patch) -> str:
    if not is_dataclass(patch):
        return repr(patch)
    return ", ".join(f"{name}={value!r}" for name, value in _compared(patch))
