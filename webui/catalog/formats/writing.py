"""Writes a safetensors file tensor by tensor: the header first, from names and shapes alone, then the weights.

The file appears under its name when it is whole, or not at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from webui.catalog.formats.header import said
from webui.catalog.formats.layout import BITS
from webui.errors import ModelFileError, Sentence

__all__ = ["Planned", "Writer", "bytes_of"]

SPARE = 64 << 20  # left free on the disk


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor that is to be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def bytes_of(planned: Planned) -> int:
    return math.prod(planned.shape) * BITS[planned.dtype] // 8


class Writer:
    """A file that is being written: `with Writer(...) as writer`, then `write` the bytes of every tensor of `order`.

    `order` is that of the file: wide numbers first, so that all are aligned, then by name. After the block `sha256`
    is the file's. A block that raises leaves nothing behind; too few bytes are an error of the caller's.
    """

    def __init__(
        self,
        path: Path,
        plan: Sequence[Planned],
        metadata: Mapping[str, str],
        *,
        replace: bool = False,
    ) -> None:
        """Raises `ModelFileError` where the file exists already and is not to be replaced, or has no room."""
        self.path = path
        self.order = sorted(plan, key=lambda one: (-BITS[one.dtype], one.name))
        self.sha256 = ""
        self._replace = replace
        self._digest = hashlib.sha256()
        self._part = path.with_name(f".{path.name}.part-{os.getpid()}")
        header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
        there = 0
        for one in self.order:
            size = bytes_of(one)
            shape, span = list(one.shape), [there, there + size]
            header[one.name] = {"dtype": one.dtype, "shape": shape, "data_offsets": span}
            there += size
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._begin = len(text).to_bytes(8, "little") + text
        self._left = there
        self._check()

    def _check(self) -> None:
        if self.path.exists() and not self._replace:
            raise ModelFileError(
                Sentence("{path}: is there already; choose another name", path=self.path)
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.path.parent).free
        except OSError as fault:
            raise ModelFileError(
                Sentence("{path}: cannot be written ({why})", path=self.path, why=said(fault))
            ) from fault
        needed = self._left + len(self._begin) + SPARE
        if free < needed:
            raise ModelFileError(
                Sentence(
                    "{path}: needs {needed} GB, but the disk has {free} GB free",
                    path=self.path,
                    needed=f"{needed / 1e9:.1f}",
                    free=f"{free / 1e9:.1f}",
                )
            )

    def __enter__(self) -> Writer:
        try:
            self._file = self._part.open("xb")
        except OSError as fault:
            raise ModelFileError(
                Sentence("{path}: cannot be written ({why})", path=self.path, why=said(fault))
            ) from fault
        self._put(self._begin)
        return self

    def write(self, data: bytes | memoryview) -> None:
        """Appends bytes of the next tensors of `order`."""
        self._left -= len(data)
        self._put(data)

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as fault:
            raise ModelFileError(
                Sentence("{path}: cannot be written ({why})", path=self.path, why=said(fault))
            ) from fault
        self._digest.update(data)

    def _publish(self) -> None:
        """Gives the file its name; one that appeared under it while this was written stays unless it is to go."""
        if not self._replace:
            try:
                os.link(self._part, self.path)
                return
            except FileExistsError:
                what = Sentence("is there by now and stays; choose another name")
                raise ModelFileError(
                    Sentence("{path}: {what}", path=self.path, what=what)
                ) from None
            except OSError:  # a file system without links
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        os.replace(self._part, self.path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                if kind is None and self._left != 0:
                    raise ValueError(f"{self._left} bytes of the tensors were not written")
                if kind is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if kind is None:
                self._publish()
                self.sha256 = self._digest.hexdigest()
        except OSError as error:
            raise ModelFileError(
                Sentence("{path}: cannot be written ({why})", path=self.path, why=said(error))
            ) from error
        finally:
            self._part.unlink(missing_ok=True)
