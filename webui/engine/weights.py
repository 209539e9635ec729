"""Tensors of safetensors files into networks: memory-mapped, each straight to its device and dtype.

Knows bytes and networks; knows no model family. Pages of a file are given back as soon as their tensor is copied,
so that loading takes little more memory than the network itself.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from webui.engine.formats.header import Header, TensorInfo, open_regular, said
from webui.errors import ModelFileError

__all__ = ["Progress", "Weight", "byte_count", "check", "fill", "recreate_positions"]

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
    def shape(self) -> tuple[int, ...]:
        """The shape that the network gets."""
        shape = self.info.shape
        if self.third is not None and shape:
            shape = (shape[0] // 3, *shape[1:])
        if self.turned:
            shape = shape[::-1]
        if self.flat and len(shape) == 4 and shape[2:] == (1, 1):
            shape = shape[:2]
        return shape


def check(network: nn.Module, weights: Mapping[str, Weight], what: str) -> None:
    """Raises `ModelFileError` where `weights` are not those of `network`: missing, too many, of a wrong shape or kind.

    `what` is the file that is blamed for a tensor that is nowhere.
    """
    wanted = network.state_dict()
    for name, value in wanted.items():
        found = weights.get(name)
        if found is None:
            raise ModelFileError(f"{what}: has no {name!r}; it is not the file for this config")
        if found.shape != tuple(value.shape):
            raise ModelFileError(
                f"{_named(found)} has shape {found.shape}, the config wants {tuple(value.shape)}"
            )
        if found.info.dtype not in DTYPES:
            raise ModelFileError(
                f"{_named(found)} holds {found.info.dtype} numbers; only {', '.join(DTYPES)} load"
            )
    for name, weight in weights.items():
        if name not in wanted:
            raise ModelFileError(f"{_named(weight)} belongs to no layer of this config")


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
    extremes: list[tuple[Weight, Tensor]] = []
    wanted = network.state_dict()
    by_file: dict[Path, list[tuple[str, Weight]]] = {}
    for name in wanted:
        by_file.setdefault(weights[name].file.path, []).append((name, weights[name]))
    for ours in by_file.values():
        ours.sort(key=lambda pair: pair[1].info.start)
        with _mapped(ours[0][1].file) as opened:
            for name, weight in ours:
                found = _tensor(opened, weight).to(device, dtype, copy=True)
                filled[name] = found = found.contiguous()
                if device.type == "cuda":  # asked at the end: each answer makes the CPU wait
                    extremes.append((weight, torch.stack(torch.aminmax(found))))
                elif not torch.stack(torch.aminmax(found)).isfinite().all():
                    raise _not_finite(opened, weight, dtype)
                opened.release(weight.info)
                progress(found.nbytes)
            if extremes and not torch.stack([both for _, both in extremes]).isfinite().all():
                bad = next(weight for weight, both in extremes if not both.isfinite().all())
                raise _not_finite(opened, bad, dtype)
        extremes.clear()
    network.load_state_dict(filled, assign=True)
    recreate_positions(network, device)
    network.requires_grad_(False).eval()


def _not_finite(opened: _Mapped, weight: Weight, dtype: torch.dtype) -> ModelFileError:
    """Why a weight is no number: the file's fault, or that of the narrower dtype."""
    if _tensor(opened, weight).double().isfinite().all():
        name = str(dtype).removeprefix("torch.")
        return ModelFileError(
            f"{_named(weight)} has values too large for {name}; start with --dtype float32"
        )
    return ModelFileError(
        f"{_named(weight)} has values that are not numbers (NaN); the file is damaged, get it again"
    )


def _named(weight: Weight) -> str:
    path = weight.file.path
    folder = path.parent.name if path.parent.name in _PARTS else ""
    return f"{folder}/{path.name}: {weight.key!r}" if folder else f"{path.name}: {weight.key!r}"


_PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")  # folders whose files have one name


# --- Files ----------------------------------------------------------------------------------------


class _Mapped:
    """A file's bytes. Tensors made of it are views, valid while it is open."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content = content

    def release(self, info: TensorInfo) -> None:
        """Tells the system that the bytes of a tensor are not needed any more."""
        if hasattr(mmap, "MADV_DONTNEED"):
            first = info.start - info.start % mmap.PAGESIZE
            self.content.madvise(mmap.MADV_DONTNEED, first, info.end - first)


@contextmanager
def _mapped(file: Header) -> Iterator[_Mapped]:
    """The file that `file` is the header of; `ModelFileError` where it is no longer that one."""
    descriptor, size = open_regular(file.path)
    try:
        if size != file.size:
            raise ModelFileError(f"{file.path.name}: has changed while it was loaded; try again")
        # Private and writable, as torch wants its memory; nothing is ever written.
        content = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    except (OSError, ValueError) as fault:
        reason = said(fault) if isinstance(fault, OSError) else str(fault)
        raise ModelFileError(f"{file.path.name}: cannot be read ({reason})") from fault
    finally:
        os.close(descriptor)
    try:
        if hasattr(mmap, "MADV_SEQUENTIAL"):
            content.madvise(mmap.MADV_SEQUENTIAL)
        yield _Mapped(content)
    finally:
        try:
            content.close()
        except BufferError:  # an exception still holds a view; it is unmapped with that
            pass


def _tensor(opened: _Mapped, weight: Weight) -> Tensor:
    """The network's tensor as a view of the file's bytes, in the file's dtype."""
    info, dtype = weight.info, DTYPES[weight.info.dtype]
    count = (info.end - info.start) // dtype.itemsize
    if not count:
        found = torch.empty(0, dtype=dtype)
    elif info.start % dtype.itemsize:  # the format allows it, torch does not
        found = torch.frombuffer(bytearray(opened.content[info.start : info.end]), dtype=dtype)
    else:
        found = torch.frombuffer(opened.content, dtype=dtype, count=count, offset=info.start)
    found = found.view(info.shape)
    if weight.third is not None:
        found = found.tensor_split(3)[weight.third]
    if weight.turned:
        found = found.t()
    return found.view(weight.shape) if weight.flat else found


def recreate_positions(network: nn.Module, device: torch.device) -> None:
    """CLIP's position numbers are a buffer that no file holds, so that they were left on the meta device."""
    for module in network.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                assert name == "position_ids", f"an unknown buffer {name}"
                module.register_buffer(
                    name, torch.arange(buffer.shape[-1], device=device)[None], persistent=False
                )
