"""The header of a safetensors file, read and checked without touching its weights.

The file is 8 bytes with the header's length (little endian), the header (a JSON object), then the tensors. Whoever
reads on after `read_header` may rely on it: every tensor lies inside the file, none overlaps another, and there are no
holes.
Only regular files are opened, and never more than the header and a few samples is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.engine.formats.strangers import stranger
from webui.errors import ModelFileError

__all__ = ["BITS", "Header", "TensorInfo", "open_regular", "read_header", "said"]

# Real headers have up to 1 MB of names and up to a few MB of training notes. The format allows 100 MB, which takes
# seconds and gigabytes to read.
LONGEST = 16 << 20
BITS = {  # of one number
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
SAMPLES, SAMPLE = 16, 4096  # stretches of the weights that the fingerprint sees, and their bytes


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies: `start` and `end` are bytes of the whole file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. `size` is the whole file's; `body` is where its tensors begin.

    `fingerprint` tells files apart whose headers are the same: it is of the size, the header and a few kilobytes of the
    weights (32 hex digits), and stays when the file is renamed.
    """

    path: Path
    size: int
    body: int
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    fingerprint: str

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of the tensor `name`, None where there is none."""
        found = self.tensors.get(name)
        return found.shape if found else None


def read_header(path: Path) -> Header:
    """The checked header of the file at `path`; `ModelFileError` naming the file and its fault."""
    descriptor, size = open_regular(path)
    try:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            begin = file.read(512)
            length = _length(path, begin, size)
            file.seek(8)
            text = _exactly(file, length)
            header = _parsed(path, text)
            digest = hashlib.sha256(size.to_bytes(8, "little") + text)
            body = 8 + length
            for part in range(SAMPLES):
                file.seek(body + (size - body) * (2 * part + 1) // (2 * SAMPLES))
                digest.update(file.read(SAMPLE))
    except OSError as fault:
        raise ModelFileError(f"{path.name}: cannot be read ({said(fault)})") from fault
    finally:
        os.close(descriptor)
    metadata = _metadata(path, header.pop("__metadata__", {}))
    tensors = _tensors(path, header, body, size)
    return Header(
        path,
        size,
        body,
        MappingProxyType(tensors),
        MappingProxyType(metadata),
        digest.hexdigest()[:32],
    )


def open_regular(path: Path) -> tuple[int, int]:
    """A descriptor of the regular file at `path`, and its size; `ModelFileError` for anything else.

    Asked before and after opening: opening a pipe waits for a writer, and a device may do anything.
    """
    try:
        _must_be_regular(path, path.stat().st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
    except (OSError, RuntimeError) as fault:  # RuntimeError: links in a circle, before Python 3.13
        raise ModelFileError(f"{path.name}: cannot be read ({said(fault)})") from fault
    try:
        found = os.fstat(descriptor)
        _must_be_regular(path, found.st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_size


def _must_be_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kinds = {
            stat.S_IFIFO: "a named pipe",
            stat.S_IFSOCK: "a socket",
            stat.S_IFDIR: "a folder",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }
        raise ModelFileError(f"{path.name}: {kinds.get(stat.S_IFMT(mode), 'no file')}, not a file")


def _length(path: Path, begin: bytes, size: int) -> int:
    """The header's length, checked against the file and against what else the file may be."""
    if size == 0:
        raise ModelFileError(f"{path.name}: the file is empty; get it again")
    if what := stranger(begin, path.suffix):
        raise ModelFileError(f"{path.name}: {what}")
    if size < 10:
        raise ModelFileError(f"{path.name}: {size} bytes are no safetensors file; get it again")
    length = int.from_bytes(begin[:8], "little")
    if begin[8:9] != b"{":
        raise ModelFileError(f"{path.name}: is not a safetensors file")
    if length > LONGEST:
        raise ModelFileError(
            f"{path.name}: says that its header has {length} bytes; more than {LONGEST} are refused"
        )
    if length > size - 8:
        raise ModelFileError(
            f"{path.name}: the file ends inside its header ({size} bytes); get it again"
        )
    return length


def _exactly(file: Any, count: int) -> bytes:
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ModelFileError(f"{path.name}: the header has {_short(twice)} twice")
        return made

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except RecursionError as fault:
        raise ModelFileError(f"{path.name}: the header is nested too deep") from fault
    except ValueError as fault:
        raise ModelFileError(f"{path.name}: the header is not JSON ({fault})") from fault
    if not isinstance(header, dict):
        raise ModelFileError(f"{path.name}: the header is not a JSON object")
    return header


def _metadata(path: Path, found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ModelFileError(f"{path.name}: the header's __metadata__ is not texts by name")
    return found


def _tensors(path: Path, header: dict[str, Any], body: int, size: int) -> dict[str, TensorInfo]:
    """The tensors by name, in the header's order, once their places are known to be sound."""
    tensors = {name: _tensor(path, name, entry, body) for name, entry in header.items()}
    there = body
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if info.start != there:
            what = "overlaps another tensor" if info.start < there else "comes after a hole"
            raise ModelFileError(f"{path.name}: {_short(name)} {what}; the header is wrong")
        there = info.end
    if there > size:
        raise ModelFileError(
            f"{path.name}: is cut short: {size} bytes of {there} are there; get it again"
        )
    if there < size:
        raise ModelFileError(
            f"{path.name}: {size - there} bytes follow the last tensor; the file is damaged"
        )
    return tensors


def _tensor(path: Path, name: str, entry: Any, body: int) -> TensorInfo:
    def wrong(what: str) -> ModelFileError:
        return ModelFileError(f"{path.name}: {_short(name)} {what}")

    if not isinstance(entry, dict):
        raise wrong("is not described by a JSON object")
    dtype, shape, span = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in BITS:
        raise wrong(f"has the unknown dtype {_short(dtype)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise wrong("has no proper shape")
    if len(shape) > 8:
        raise wrong(f"has {len(shape)} dimensions")
    if not isinstance(span, list) or len(span) != 2 or not all(type(n) is int for n in span):
        raise wrong("has no proper place in the file")
    start, end = span
    if not 0 <= start <= end < 1 << 63:
        raise wrong(f"lies at bytes {start} to {end}, which is nowhere")
    if math.prod(shape) * BITS[dtype] != (end - start) * 8:
        raise wrong(f"of shape {tuple(shape)} and {dtype} cannot have {end - start} bytes")
    return TensorInfo(dtype, tuple(shape), body + start, body + end)


def _short(value: object) -> str:
    """A name out of the file as it is shown: one line, never long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:78]}…{text[0]}"


def said(fault: Exception) -> str:
    """What the system says of a fault, without its number and the path."""
    return getattr(fault, "strerror", None) or str(fault)
