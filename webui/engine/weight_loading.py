"""Tensors of safetensors files into networks, each straight to its device and dtype.

Knows tensors and networks; knows no model family. What a file has in another dtype passes through a few megabytes on
its way, so that loading takes little more memory than the network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from webui.catalog.formats.header import Header, TensorInfo
from webui.engine.async_reader import Span, pieces
from webui.errors import ModelFileError, Sentence

__all__ = [
    "DTYPES",
    "Progress",
    "Weight",
    "byte_count",
    "check",
    "fill",
    "finite",
    "not_a_number",
    "recreate_positions",
]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}

Progress = Callable[[int], None]
"""Is told how many further bytes of the network have arrived."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A network's tensor as a file has it.

    `third` is which third of the file's rows it is (fused query, key and value), `turned` that rows and columns are
    exchanged, `flat` that a 1 x 1 convolution is used as a linear layer.
    """

    file: Header
    key: str
    third: int | None = None
    turned: bool = False
    flat: bool = False

    @property
    def info(self) -> TensorInfo:
        return self.file.tensors[self.key]

    @property
    def span(self) -> tuple[int, int]:
        """The first byte in the file, and the one behind the last."""
        start, end = self.info.start, self.info.end
        if self.third is None:
            return start, end
        each = (end - start) // 3
        return start + self.third * each, start + (self.third + 1) * each

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape of these bytes in the file."""
        shape = self.info.shape
        return (shape[0] // 3, *shape[1:]) if self.third is not None and shape else shape

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the network gets."""
        shape = self.stored
        if self.turned:
            shape = shape[::-1]
        if self.flat and len(shape) == 4 and shape[2:] == (1, 1):
            shape = shape[:2]
        return shape

    def seen(self, stored: Tensor) -> Tensor:
        """A tensor of the shape `stored` as the network gets it."""
        return (stored.t().contiguous() if self.turned else stored).view(self.shape)


def check(network: nn.Module, weights: Mapping[str, Weight], what: str) -> None:
    """Raises `ModelFileError` where `weights` are not those of `network`: missing, too many, of a wrong shape or kind.

    `what` is the file that is blamed for a tensor that is nowhere.
    """
    wanted = network.state_dict()
    for name, value in wanted.items():
        found = weights.get(name)
        if found is None:
            raise ModelFileError(
                Sentence(
                    "{what}: has no {name}; it is not the file for this config",
                    what=what,
                    name=repr(name),
                )
            )
        if found.shape != tuple(value.shape):
            raise ModelFileError(
                Sentence(
                    "{named} has shape {shape}, the config wants {shape2}",
                    named=_named(found),
                    shape=found.shape,
                    shape2=tuple(value.shape),
                )
            )
        if found.third is not None and found.info.shape[0] % 3:
            raise ModelFileError(
                Sentence(
                    "{named} has {shape} rows, not three equal parts",
                    named=_named(found),
                    shape=found.info.shape[0],
                )
            )
        if found.info.dtype not in DTYPES:
            raise ModelFileError(
                Sentence(
                    "{named} holds {dtype} numbers; only {dtypes} load",
                    named=_named(found),
                    dtype=found.info.dtype,
                    dtypes=", ".join(DTYPES),
                )
            )
    for name, weight in weights.items():
        if name not in wanted:
            raise ModelFileError(
                Sentence("{named} belongs to no layer of this config", named=_named(weight))
            )


def byte_count(network: nn.Module, dtype: torch.dtype) -> int:
    """The bytes that a network takes once it is filled in `dtype`."""
    count: int = sum(value.numel() for value in network.state_dict().values())
    return count * dtype.itemsize


def fill(
    network: nn.Module,
    weights: Mapping[str, Weight],
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress = lambda count: None,
) -> None:
    """Gives a network on the meta device its weights, which `check` has passed, frozen and in eval mode.

    A tensor with NaN or infinite values raises `ModelFileError` with its name.
    """
    filled: dict[str, Tensor] = {}
    by_file: dict[Path, list[tuple[str, Weight]]] = {}
    for name in network.state_dict():
        by_file.setdefault(weights[name].file.path, []).append((name, weights[name]))
    for ours in by_file.values():
        ours.sort(key=lambda pair: pair[1].span)
        filled |= _read(ours, device, dtype, progress)
    network.load_state_dict(filled, assign=True)
    recreate_positions(network, device)
    network.requires_grad_(False).eval()


def _read(
    ours: Sequence[tuple[str, Weight]], device: torch.device, dtype: torch.dtype, progress: Progress
) -> dict[str, Tensor]:
    """The tensors of one file by name, on `device` in `dtype`."""
    filled: dict[str, Tensor] = {}
    wanted: list[Span[tuple[Weight, Tensor]]] = []
    for name, weight in ours:
        filled[name] = place = torch.empty(weight.stored, dtype=dtype, device=device)
        if not place.numel():
            continue
        flat = place.view(-1)
        straight = device.type == "cpu" and DTYPES[weight.info.dtype] == dtype
        into = flat.view(torch.uint8) if straight else None
        wanted.append(Span(*weight.span, into, (weight, flat)))
    narrowed: list[Weight] = []
    extremes: list[Tensor] = []
    for piece in pieces(ours[0][1].file, wanted, lambda of, read: finite(of[0].info.dtype, read)):
        weight, flat = piece.of
        if not piece.sound:
            raise not_a_number(_named(weight))
        theirs = DTYPES[weight.info.dtype]
        first = piece.at // theirs.itemsize
        place = flat[first : first + piece.bytes.numel() // theirs.itemsize]
        if theirs != dtype or device.type != "cpu":
            # On its way to a GPU a number is changed there, be that wider or narrower.
            place.copy_(piece.bytes.view(theirs).to(device))
        if torch.finfo(dtype).max < torch.finfo(theirs).max:
            narrowed.append(weight)
            extremes.append(torch.stack(torch.aminmax(place)))
        progress(place.nbytes)
    # Asked once: each answer makes the CPU wait for a GPU.
    if extremes and not torch.stack(extremes).isfinite().all():
        bad = next(
            w for w, both in zip(narrowed, extremes, strict=True) if not both.isfinite().all()
        )
        name = str(dtype).removeprefix("torch.")
        raise ModelFileError(
            Sentence(
                "{named} has values too large for {name}; start with --dtype float32",
                named=_named(bad),
                name=name,
            )
        )
    return {name: weight.seen(filled[name]) for name, weight in ours}


def finite(kind: str, read: Tensor) -> bool:
    """Whether bytes of numbers of a `kind` (of `DTYPES`) are all numbers, told from their bits: in NaN and infinity
    every bit of the exponent is set, which makes them the largest whole numbers of their sign."""
    if kind not in EXPONENTS:  # 8 bits, of which some formats have one NaN and no infinity
        return bool(read.view(DTYPES[kind]).float().isfinite().all())
    signed, unsigned, exponent = EXPONENTS[kind]
    found, sign = read.numpy(), 1 << (8 * signed.itemsize - 1)
    return bool(
        found.view(signed).max() < exponent and found.view(unsigned).max() < (exponent | sign)
    )


# Of each kind of number: its bits as whole numbers, and those of its exponent.
EXPONENTS: Mapping[str, tuple[np.dtype[Any], np.dtype[Any], int]] = {
    "F16": (np.dtype(np.int16), np.dtype(np.uint16), 0x7C00),
    "BF16": (np.dtype(np.int16), np.dtype(np.uint16), 0x7F80),
    "F32": (np.dtype(np.int32), np.dtype(np.uint32), 0x7F800000),
    "F64": (np.dtype(np.int64), np.dtype(np.uint64), 0x7FF0000000000000),
}


def not_a_number(what: str) -> ModelFileError:
    """The error of a tensor that has NaN or infinite values; `what` names its file and itself."""
    return ModelFileError(
        Sentence(
            "{what} has values that are not numbers (NaN); the file is damaged, get it again",
            what=what,
        )
    )


def _named(weight: Weight) -> str:
    path = weight.file.path
    folder = path.parent.name if path.parent.name in _PARTS else ""
    return f"{folder}/{path.name}: {weight.key!r}" if folder else f"{path.name}: {weight.key!r}"


_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")  # folders whose files have one name


def recreate_positions(network: nn.Module, device: torch.device) -> None:
    """CLIP's position numbers are a buffer that no file holds, so that they were left on the meta device."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                assert name == "position_ids", f"an unknown buffer {name}"
                module.register_buffer(
                    name, torch.arange(buffer.shape[-1], device=device)[None], persistent=False
                )
