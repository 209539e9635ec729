"""The replies that one picture's task has received, on disk: what brings it back to where it stood.

A log is a file of records: a JSON line that says which call was answered, then the tensors' bytes. Nothing is fsynced:
what a killed process had written stays in the system's memory, and a torn tail is cut off. A record that does
not fit its call makes the whole log worthless, since what came before may differ too.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from webui.types.persistence import Record

__all__ = ["Archive", "ReplyLog", "Room"]

log = logging.getLogger(__name__)

MAGIC = b"easel replies 2\n"
LINE_MAX = 65_536


class Room:
    """The bytes that all logs together may take. Any thread may ask."""

    def __init__(self, limit: float, used: int = 0) -> None:
        self._limit = limit
        self._used = used
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Raises `OSError` (EDQUOT) where there is not so much left."""
        with self._lock:
            if self._used + size > self._limit:
                raise OSError(errno.EDQUOT, f"the logs may take {self._limit / 1e9:g} GB, and do")
            self._used += size

    def give(self, size: int) -> None:
        with self._lock:
            self._used -= size


class Archive:
    """The logs of saved pictures in a folder, at most `limit` bytes of them: the oldest go first."""

    def __init__(self, folder: Path, limit: float) -> None:
        self.folder = folder
        self._limit = limit

    def take(self, path: Path) -> None:
        """Moves a log here; it goes where it alone is too large. `OSError` where the disk says no."""
        if path.stat().st_size > self._limit:
            path.unlink()
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path.replace(self.folder / path.name)
        self.prune()

    def prune(self) -> None:
        """Removes what is beyond the limit."""
        logs = [(path.stat(), path) for path in self.folder.glob("*.log")]
        room = self._limit
        for status, path in sorted(logs, key=lambda one: -one[0].st_mtime_ns):
            room -= status.st_size
            if room < 0:
                path.unlink(missing_ok=True)

    def read(self, name: str) -> tuple[Mapping[str, Any], list[Record]] | None:
        """What a log was begun with, and its records; None where it is not here."""
        try:
            with (self.folder / name).open("rb") as file:
                header = _line(file) if file.read(len(MAGIC)) == MAGIC else None
                records: list[Record] = []
                while header is not None and (record := _record(file)) is not None:
                    records.append(record)
        except FileNotFoundError:
            return None
        return None if header is None else (header, records)


class ReplyLog:
    """The log of one picture. Belongs to one thread. `room` is what all logs share, `archive` where the log goes when
    the picture is saved."""

    def __init__(
        self, path: Path, room: Room | None = None, archive: Archive | None = None
    ) -> None:
        self.path = path
        self._archive = archive
        self._room = room or Room(math.inf)
        self._file: BinaryIO | None = None
        self._taken: int | None = None  # of the room, once it is open

    def read(self, header: Mapping[str, Any]) -> list[Record] | None:
        """The whole records of the log, if it was begun with an equal `header`; a torn tail is cut off.

        Another header (other code, another device) removes the log and gives None; where there is none, no records.
        """
        records: list[Record] = []
        there = True
        try:
            with self.path.open("rb") as file:
                fits = file.read(len(MAGIC)) == MAGIC and _line(file) == dict(header)
                good = file.tell()
                while fits and (record := _record(file)) is not None:
                    records.append(record)
                    good = file.tell()
        except FileNotFoundError:
            fits = there = False
        if not fits:
            self.remove()
            self._begin(header)
            return None if there else []
        self._room.give(self.path.stat().st_size - good)
        self._taken = good
        self._file = self.path.open("r+b")
        self._file.truncate(good)
        self._file.seek(good)
        return records

    def _begin(self, header: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        start = MAGIC + _head(header)
        self._room.take(len(start))
        self._taken = len(start)
        self._file = self.path.open("wb")
        self._file.write(start)
        self._file.flush()

    def append(self, record: Record) -> None:
        """Adds a record behind the last one. `OSError` where there is no room; a full disk leaves a torn tail."""
        assert self._file is not None, "read first"
        body = b"".join(raw for _, _, raw in record.parts)
        line = {
            "call": dict(record.call),
            "reply": record.reply,
            "parts": [[dtype, list(shape), len(raw)] for dtype, shape, raw in record.parts],
            "crc": zlib.crc32(body),
        }
        content = _head(line) + body
        self._room.take(len(content))
        self._taken = (self._taken or 0) + len(content)
        self._file.write(content)
        self._file.flush()  # to the system: this survives the process, not a power failure

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def keep(self) -> None:
        """The picture is saved."""
        try:
            self.close()
            size = self.path.stat().st_size
            if self._archive is not None:
                self._archive.take(self.path)
                self._room.give(size)
        except OSError as fault:
            log.warning("%s is not kept: %s", self.path, fault)
        self.remove()

    def remove(self) -> None:
        """The task is done, or its log is worth nothing."""
        with suppress(OSError):  # what was not written yet is of no use any more
            self.close()
        with suppress(OSError):  # a file that stays is swept later
            size = self.path.stat().st_size
            self.path.unlink()
            self._room.give(size if self._taken is None else self._taken)  # a full disk took less
            self._taken = None


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
    return Record(line["call"], tuple(parts), line["reply"])
