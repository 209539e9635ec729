"""The replies that one picture's task has received, on disk: what brings it back to where it stood.

A log is a file of records: a JSON line that says which call was answered, then the tensors' bytes. Nothing is fsynced:
what a killed process had written stays in the system's memory, and a torn tail is cut off. A record that does
not fit its call makes the whole log worthless, since what came before may differ too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from webui.types.kept import Record

__all__ = ["ReplyLog"]

MAGIC = b"easel replies 1\n"
LINE_MAX = 65_536


class ReplyLog:
    """The log of one picture. Belongs to one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def read(self, header: Mapping[str, Any]) -> list[Record]:
        """The whole records of the log, if it was begun with an equal `header`; a torn tail is cut off.

        Another header (an other request, sampler, model or extension) removes the log and gives nothing.
        """
        records: list[Record] = []
        try:
            with self.path.open("rb") as file:
                fits = file.read(len(MAGIC)) == MAGIC and _line(file) == dict(header)
                good = file.tell()
                while fits and (record := _record(file)) is not None:
                    records.append(record)
                    good = file.tell()
        except FileNotFoundError:
            fits = False
        if not fits:
            self.remove()
            self._begin(header)
            return []
        self._file = self.path.open("r+b")
        self._file.truncate(good)
        self._file.seek(good)
        return records

    def _begin(self, header: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")
        self._file.write(MAGIC + _head(header))
        self._file.flush()

    def append(self, record: Record) -> None:
        """Adds a record behind the last one. A full disk raises `OSError` and leaves a torn tail."""
        assert self._file is not None, "read first"
        body = b"".join(raw for _, _, raw in record.parts)
        line = {
            "call": dict(record.call),
            "parts": [[dtype, list(shape), len(raw)] for dtype, shape, raw in record.parts],
            "crc": zlib.crc32(body),
        }
        self._file.write(_head(line) + body)
        self._file.flush()  # to the system: this survives the process, not a power failure

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """The task is done, or its log is worth nothing."""
        self.close()
        self.path.unlink(missing_ok=True)


def _head(value: Mapping[str, Any]) -> bytes:
    """A JSON line with its own checksum in front."""
    text = json.dumps(dict(value), sort_keys=True, separators=(",", ":")).encode()
    return b"%08x " % zlib.crc32(text) + text + b"\n"


def _line(file: BinaryIO) -> dict[str, Any] | None:
    line = file.readline(LINE_MAX)
    sum_, _, text = line.partition(b" ")
    if not line.endswith(b"\n") or sum_ != b"%08x" % zlib.crc32(text[:-1]):
        return None
    found: dict[str, Any] = json.loads(text)
    return found


def _record(file: BinaryIO) -> Record | None:
    """The next record, or None where it is torn or there is none."""
    line = _line(file)
    if line is None:
        return None
    sizes: Sequence[int] = [size for _, _, size in line["parts"]]
    body = file.read(sum(sizes))
    if len(body) != sum(sizes) or zlib.crc32(body) != line["crc"]:
        return None
    parts, at = [], 0
    for dtype, shape, size in line["parts"]:
        parts.append((dtype, tuple(shape), body[at : at + size]))
        at += size
    return Record(line["call"], tuple(parts))
