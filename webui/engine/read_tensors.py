"""All tensors of a small safetensors file, in memory of their own. Knows numbers' kinds; knows no tensor's meaning."""

from __future__ import annotations

import torch
from torch import Tensor

from webui.catalog.formats.header import Header
from webui.engine.async_reader import Span, pieces
from webui.engine.weight_loading import DTYPES, finite, not_a_number
from webui.errors import ModelFileError, Sentence

__all__ = ["read_tensors"]

KINDS = {
    **DTYPES,
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


def read_tensors(file: Header) -> dict[str, Tensor]:
    """The tensors of `file` by name, as they are there, on the CPU.

    Nothing stays mapped: what is written into the file afterwards changes none of them (docs/decisions/0009).
    `ModelFileError` for numbers of an unknown kind, for NaN and infinity, and where the file is no longer what its
    header says.
    """
    found: dict[str, Tensor] = {}
    wanted: list[Span[str]] = []
    for name, info in sorted(file.tensors.items(), key=lambda item: item[1].start):
        if info.dtype not in KINDS:
            raise ModelFileError(
                Sentence(
                    "{file}: {name} holds {dtype} numbers; only {kinds} load",
                    file=file.path.name,
                    name=repr(name),
                    dtype=info.dtype,
                    kinds=", ".join(KINDS),
                )
            )
        found[name] = place = torch.empty(info.shape, dtype=KINDS[info.dtype])
        if place.numel():
            wanted.append(Span(info.start, info.end, place.view(-1).view(torch.uint8), name))
    for piece in pieces(file, wanted, lambda name, read: _sound(file.tensors[name].dtype, read)):
        if not piece.sound:
            raise not_a_number(f"{file.path.name}: {piece.of!r}")
    return found


def _sound(kind: str, read: Tensor) -> bool:
    return kind not in DTYPES or finite(kind, read)
