"""A zip of files as it goes over the line: stored, not compressed (pictures are already), never whole in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Any

__all__ = ["streamed"]

CHUNK = 2**18


class _Line(RawIOBase):
    """Takes what the zip writes until it is sent."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def streamed(files: Sequence[tuple[Path, str]]) -> Iterator[bytes]:
    """A zip of `files` (path and name inside) in parts. A file that is gone by now is left out; names that come twice
    are told apart."""
    line = _Line()
    names: set[str] = set()
    with zipfile.ZipFile(line, "w", zipfile.ZIP_STORED) as archive:
        for path, name in files:
            with suppress(FileNotFoundError), open(path, "rb") as source:
                info = zipfile.ZipInfo.from_file(path, _free(name, names))
                with archive.open(info, "w", force_zip64=info.file_size > 2**31) as target:
                    while part := source.read(CHUNK):
                        target.write(part)
                        yield line.taken()
    yield line.taken()


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken in letters of either case."""
    stem, dot, suffix = name.rpartition(".")
    number, free = 1, name
    while free.lower() in taken:
        number += 1
        free = f"{stem} ({number}){dot}{suffix}"
    taken.add(free.lower())
    return free
