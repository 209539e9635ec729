"""What is left behind by a process that was killed, and swept up: at the start, then once an hour.

Every file of ours is written beside its place, under a hidden or a numbered name, and renamed into it. Who is killed in
between leaves it. Parts of downloads are kept, for they go on.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Sweeper", "sweep_parts"]

log = logging.getLogger(__name__)

EVERY_S = 3600.0
OLD_S = 24 * 3600.0  # nobody writes a file for so long
PART = re.compile(r"\..+\.part|.+\.\d+\.(part|tmp)")


def sweep_parts(
    folders: Sequence[Path], spared: Sequence[Path] = (), now: Callable[[], float] = time.time
) -> int:
    """Removes the parts below `folders`, but not below those `spared`, that nobody has written to for a day; gives how
    many."""
    swept, apart = 0, {path.resolve() for path in spared}
    for folder in folders:
        for place, inner, names in os.walk(folder):  # follows no links
            inner[:] = [name for name in inner if Path(place, name).resolve() not in apart]
            for name in filter(PART.fullmatch, names):
                path = os.path.join(place, name)
                try:
                    if os.lstat(path).st_mtime < now() - OLD_S:
                        os.unlink(path)
                        swept += 1
                except OSError as fault:  # gone meanwhile, or not ours to remove
                    log.debug("%s: %s", path, fault)
    return swept


class Sweeper:
    """A thread that calls each of `sweeps` at once, then every hour; each gives how many files it removed."""

    def __init__(self, sweeps: Sequence[Callable[[], int]], every_s: float = EVERY_S) -> None:
        self._sweeps = tuple(sweeps)
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="easel-sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def sweep(self) -> None:
        for sweep in self._sweeps:
            try:
                swept = sweep()
            except OSError as fault:
                log.warning("leftovers stay where they are: %s", fault)
                continue
            if swept:
                log.info("%d leftovers of writing and uploading were removed", swept)

    def _run(self) -> None:
        self.sweep()
        while not self._stop.wait(self._every_s):
            self.sweep()
