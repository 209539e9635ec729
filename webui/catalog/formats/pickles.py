"""A pickled checkpoint to a safetensors file, without the pickle being run.

`unpickling.py`, in a sealed process of its own, says which tensors there are and where they lie in the file. Here that
is checked, and the bytes are copied.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from webui.catalog.formats.file_signatures import stranger
from webui.catalog.formats.header import open_regular, said
from webui.catalog.formats.layout import BITS
from webui.catalog.formats.writing import Planned, Writer, bytes_of
from webui.errors import ModelFileError, Sentence

__all__ = ["HYPERNETWORK", "Converted", "convert"]

SEALED = Path(__file__).with_name("unpickling.py")
LONGEST_S = 120
HYPERNETWORK = (
    "hypernetwork"  # of the metadata: what a hypernetwork says beside its tensors, as JSON
)
PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written: how many tensors, and the names of what was left out."""

    path: Path
    sha256: str
    tensors: int
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a tensor lies: `begin` and `size` are its storage's bytes in the file, `offset` and `stride` numbers."""

    planned: Planned
    stride: tuple[int, ...]
    offset: int
    begin: int
    size: int


def convert(
    path: Path, target: Path, progress: Callable[[str, float], None] = lambda what, share: None
) -> Converted:
    """Writes the weights of the pickled checkpoint at `path` to `target`.

    Raises `ModelFileError` with one sentence for a file that is damaged, asks for anything but weights, or is of
    PyTorch's format before 1.6.
    """
    descriptor, size = open_regular(path)
    with open(descriptor, "rb") as file:
        begin = file.read(512)
        if not begin.startswith(b"PK\x03\x04"):
            if (what := stranger(begin, path.suffix)) and not what.startswith("is of PyTorch"):
                raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
            raise ModelFileError(
                Sentence(
                    "{file}: not a checkpoint of PyTorch 1.6 or later; only those can be converted",
                    file=path.name,
                )
            )
        told = _asked(path)
        sources = {
            name: _checked(path, name, entry, size) for name, entry in told["tensors"].items()
        }
        plan = [source.planned for source in sources.values()]
        whole = sum(map(bytes_of, plan))
        if whole > 2 * size:
            raise ModelFileError(
                Sentence(
                    "{file}: says that it holds more weights than it has bytes", file=path.name
                )
            )
        metadata = {"format": "pt", "modelspec.title": target.stem}
        if told[HYPERNETWORK] is not None:
            metadata[HYPERNETWORK] = json.dumps(told[HYPERNETWORK])
        done = 0
        with Writer(target, plan, metadata) as writer:
            for planned in writer.order:
                for piece in _pieces(path, file, sources[planned.name]):
                    writer.write(piece)
                    done += len(piece)
                    progress("converting", done / max(whole, 1))
    return Converted(target, writer.sha256, len(plan), tuple(told["dropped"]))


def _asked(path: Path) -> Mapping[str, Any]:
    """What the sealed process says of the file."""
    command = [sys.executable, "-I", "-S", str(SEALED), str(path.absolute())]
    needed = {key: os.environ[key] for key in ("SYSTEMROOT",) if key in os.environ}  # of Windows
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LONGEST_S, env=needed
        )
    except subprocess.TimeoutExpired as fault:
        raise ModelFileError(
            Sentence("{file}: refused, it takes longer than any checkpoint", file=path.name)
        ) from fault
    try:
        told = json.loads(done.stdout)
    except (ValueError, RecursionError) as fault:
        raise ModelFileError(
            Sentence(
                "{file}: refused, reading it ended with code {returncode}",
                file=path.name,
                returncode=done.returncode,
            )
        ) from fault
    if not isinstance(told, dict) or "refused" in told:
        why = (
            told.get("refused", Sentence("it is damaged"))
            if isinstance(told, dict)
            else Sentence("it is damaged")
        )
        raise ModelFileError(
            Sentence("{file}: refused, {why}; nothing of it was run", file=path.name, why=why)
        )
    return told


def _checked(path: Path, name: str, entry: Any, size: int) -> _Source:
    """A tensor as the sealed process described it, once it is known to lie inside the file."""
    dtype, shape, stride, offset, begin, length = entry
    width = BITS[dtype] // 8
    numbers = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
    inside = 0 <= begin and 0 <= length and begin + length <= size
    if not inside or (numbers and (last + 1) * width > length) or numbers * width > length:
        raise ModelFileError(
            Sentence(
                "{file}: {name} does not lie inside the file; it is damaged",
                file=path.name,
                name=repr(name[:80]),
            )
        )
    return _Source(Planned(name, dtype, tuple(shape)), tuple(stride), offset, begin, length)


def _pieces(path: Path, file: BinaryIO, source: _Source) -> Any:
    """The bytes of a tensor, row by row of what is written."""
    planned = source.planned
    width, size = BITS[planned.dtype] // 8, bytes_of(planned)
    if size == 0:
        return
    try:
        if source.stride == _dense(planned.shape) or math.prod(planned.shape) == 1:
            file.seek(source.begin + source.offset * width)
            for start in range(0, size, PIECE):
                yield _exactly(path, file, min(PIECE, size - start))
            return
        file.seek(source.begin)
        storage = np.frombuffer(_exactly(path, file, source.size), f"V{width}")[source.offset :]
        steps = tuple(step * width for step in source.stride)
        yield np.lib.stride_tricks.as_strided(storage, planned.shape, steps).tobytes()
    except OSError as fault:
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault


def _exactly(path: Path, file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise ModelFileError(Sentence("{file}: became shorter while it was read", file=path.name))
    return data


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose numbers lie one after the other."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
