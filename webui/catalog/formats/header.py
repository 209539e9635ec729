"""The header of a safetensors file, read and checked without touching its weights.

The file is 8 bytes with the header's length (little endian), the header (a JSON object), then the tensors. Whoever
reads on after `read_header` may rely on it: every tensor lies inside the file, none overlaps another, and there are no
holes.
Only regular files are opened, and never more than the header and a few samples is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from webui.catalog.formats.file_signatures import stranger
from webui.catalog.formats.layout import Layouts, TensorInfo, placed, read_layout
from webui.catalog.formats.tensor_names import Names
from webui.errors import ModelFileError, Sentence

__all__ = ["Header", "TensorInfo", "open_regular", "read_header", "said"]

# Real headers have up to 1 MB of names and up to a few MB of training notes. The format allows 100 MB, which takes
# seconds and gigabytes to read.
LONGEST = 16 << 20
SAMPLES, SAMPLE = 16, 4096  # stretches of the weights that the fingerprint sees, and their bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. `size` is the whole file's; `body` is where its tensors begin; `names` are theirs.

    `fingerprint` tells files apart whose headers are the same: it is of the size, the header and a few kilobytes of the
    weights (32 hex digits), and stays when the file is renamed.
    """

    path: Path
    size: int
    body: int
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    fingerprint: str
    names: Names

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of the tensor `name`, None where there is none."""
        found = self.tensors.get(name)
        return found.shape if found else None


def read_header(path: Path, known: Layouts | None = None) -> Header:
    """The checked header of the file at `path`; `ModelFileError` naming the file and its fault.

    Who reads many files gives `known` to all of them, which takes less time.
    """
    descriptor, size = open_regular(path)
    try:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            begin = file.read(512)
            length = _length(path, begin, size)
            file.seek(8)
            text = _exactly(file, length)
            digest = hashlib.sha256(size.to_bytes(8, "little") + text)
            body = 8 + length
            for part in range(SAMPLES):
                file.seek(body + (size - body) * (2 * part + 1) // (2 * SAMPLES))
                digest.update(file.read(SAMPLE))
    except OSError as fault:
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault
    finally:
        os.close(descriptor)
    try:
        metadata, layout = read_layout(text, known)
        _must_end(body + layout.size, size)
    except ValueError as fault:
        raise ModelFileError(Sentence("{file}: {why}", file=path.name, why=fault)) from None
    return Header(
        path,
        size,
        body,
        placed(layout, body),
        MappingProxyType(metadata),
        digest.hexdigest()[:32],
        layout.names,
    )


def _must_end(there: int, size: int) -> None:
    """Raises `ValueError` where a file of `size` bytes does not end with its last tensor."""
    if there > size:
        raise ValueError(f"is cut short: {size} bytes of {there} are there; get it again")
    if there < size:
        raise ValueError(f"{size - there} bytes follow the last tensor; the file is damaged")


def open_regular(path: Path) -> tuple[int, int]:
    """A descriptor of the regular file at `path`, and its size; `ModelFileError` for anything else.

    Asked before and after opening: opening a pipe waits for a writer, and a device may do anything.
    """
    try:
        _must_be_regular(path, path.stat().st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags)
    except (OSError, RuntimeError) as fault:  # RuntimeError: links in a circle, before Python 3.13
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault
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
        raise ModelFileError(
            Sentence(
                "{file}: {get}, not a file",
                file=path.name,
                get=kinds.get(stat.S_IFMT(mode), "no file"),
            )
        )


def _length(path: Path, begin: bytes, size: int) -> int:
    """The header's length, checked against the file and against what else the file may be."""
    if size == 0:
        raise ModelFileError(Sentence("{file}: the file is empty; get it again", file=path.name))
    if what := stranger(begin, path.suffix):
        raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
    if size < 10:
        raise ModelFileError(
            Sentence(
                "{file}: {size} bytes are no safetensors file; get it again",
                file=path.name,
                size=size,
            )
        )
    length = int.from_bytes(begin[:8], "little")
    if begin[8:9] != b"{":
        raise ModelFileError(Sentence("{file}: is not a safetensors file", file=path.name))
    if length > LONGEST:
        raise ModelFileError(
            Sentence(
                "{file}: says that its header has {length} bytes; more than {longest} are refused",
                file=path.name,
                length=length,
                longest=LONGEST,
            )
        )
    if length > size - 8:
        raise ModelFileError(
            Sentence(
                "{file}: the file ends inside its header ({size} bytes); get it again",
                file=path.name,
                size=size,
            )
        )
    return length


def _exactly(file: Any, count: int) -> bytes:
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def said(fault: Exception) -> str:
    """What the system says of a fault, without its number and the path."""
    return getattr(fault, "strerror", None) or str(fault)
