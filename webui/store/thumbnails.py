"""Small versions of pictures, made once each, in a folder of limited size. Knows files and stamps; decodes nothing."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from webui.errors import EaselError, Sentence

__all__ = ["Thumbnails"]
WORKERS = min(4, max(2, os.cpu_count() or 2))  # Pillow lets other threads work while it draws
NAME = re.compile(r"([0-9a-f]{4,64})\.webp")
NEW_S = (
    3600  # so young a file may be of a picture that `wanted` came too early for, or half written
)
ENOUGH = 0.9  # what is left of a folder that has grown too large


class Thumbnails:
    """The thumbnails in `folder`, at most `limit_bytes` of them. `draw` makes the bytes of one from a picture's
    file; those that somebody waits for are drawn by a few threads. Any thread may ask."""

    def __init__(
        self, folder: Path, draw: Callable[[Path], bytes], limit_bytes: float = 2e9
    ) -> None:
        self._folder = folder
        self._draw = draw
        self._limit = limit_bytes
        self._bytes = 0  # made since the folder was measured
        self._pool = ThreadPoolExecutor(WORKERS, "thumbnails")
        self._lock = threading.Lock()
        self._making: dict[str, Future[Path]] = {}
        self._failed: dict[str, str] = {}

    def of(self, picture: Path, stamp: str) -> Path:
        """The thumbnail of a picture with this stamp. Raises `EaselError` where it cannot be made or kept."""
        path = self._path(stamp)
        if path.is_file():
            return path
        making = self._asked(picture, stamp)
        try:
            return making.result()
        except CancelledError:
            raise EaselError(Sentence("Easel is stopping")) from None

    def soon(self, picture: Path, stamp: str) -> None:
        """Has a thumbnail drawn that will be asked for; waits for nothing, and says nothing of what goes wrong."""
        with suppress(EaselError):
            self._asked(picture, stamp)

    def ahead(self, picture: Path, stamp: str) -> bool:
        """Draws a thumbnail in this thread, unless it is there; gives whether it was drawn. Whoever asks meanwhile does
        not wait for this thread, which may be a slow one."""
        path = self._path(stamp)
        if stamp in self._failed or path.is_file():
            return False
        try:
            self._make(picture, stamp)
        except EaselError:  # told to who asks for it
            return False
        return True

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for one."""
        return bool(self._making)

    @property
    def has_room(self) -> bool:
        """Whether less than half of what they may have is taken."""
        return self._bytes < self._limit * 0.5

    def _asked(self, picture: Path, stamp: str) -> Future[Path]:
        with self._lock:
            if stamp in self._failed:
                raise EaselError(self._failed[stamp])
            making = self._making.get(stamp)
            if making is None:
                try:
                    making = self._pool.submit(self._make, picture, stamp)
                except RuntimeError:
                    raise EaselError(Sentence("Easel is stopping")) from None
                self._making[stamp] = making
                made = True
            else:
                made = False
        if made:  # not under the lock: it may be done already, and then this is called at once
            making.add_done_callback(lambda _: self._forget(stamp))
        return making

    def _forget(self, stamp: str) -> None:
        with self._lock:
            self._making.pop(stamp, None)

    def _path(self, stamp: str) -> Path:
        return self._folder / stamp[:2] / f"{stamp}.webp"

    def _make(self, picture: Path, stamp: str) -> Path:
        path = self._path(stamp)
        if path.is_file():
            return path
        try:
            content = self._draw(picture)
        except EaselError as fault:
            if (
                picture.is_file()
            ):  # else it may have been moved, and is there again under another name
                self._failed[stamp] = str(fault)
            raise
        part = path.with_name(f".{stamp}.{threading.get_ident()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            os.replace(part, path)
        except OSError as fault:
            raise EaselError(
                Sentence(
                    "{parent} cannot be written: {why}", parent=path.parent, why=fault.strerror
                )
            ) from fault
        with self._lock:
            self._bytes += len(content)
            full = self._bytes > self._limit
        if full:
            self.tidy(None)
        return path

    def tidy(self, wanted: Collection[str] | None) -> None:
        """Removes those whose stamp is not `wanted` (None: all are), unless they are new, then the oldest of what is
        still too much."""
        found: list[tuple[float, int, Path]] = []
        new_s = time.time() - NEW_S
        for path in self._folder.glob("*/*"):
            name = NAME.fullmatch(path.name)
            with suppress(OSError):
                status = path.stat()
                if name is not None and (wanted is None or name[1] in wanted):
                    found.append((status.st_mtime, status.st_size, path))
                elif status.st_mtime < new_s:
                    path.unlink()
        total = sum(size for _, size, _ in found)
        if total > self._limit:
            found.sort(reverse=True)
            while found and total > self._limit * ENOUGH:
                _, size, path = found.pop()
                total -= size
                with suppress(OSError):
                    path.unlink()
        with self._lock:
            self._bytes = total

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
