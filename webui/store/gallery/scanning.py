"""Notices files that others added, changed, moved or deleted below the outputs folder.

A thread looks at the folders' times every few seconds and lists those that changed; a file that was written over in
its place is noticed by a thorough look, which is rarer. Works in small batches with pauses: generation goes first.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from webui.errors import EaselError
from webui.store.gallery.files import SUFFIXES, Broken
from webui.store.gallery.index import Index
from webui.store.gallery.rows import TRASH, Seen

__all__ = ["Scanner"]

log = logging.getLogger(__name__)
PAUSE_S = 3.0  # between two looks
THOROUGH_S = 15 * 60.0  # between two looks at every file
TIDY_S = 6 * 3600.0
PAUSE_MAX_S = 60.0
SHARE = 20  # pauses are as many times as long as the processor was busy with the look before
BATCH = 64
SETTLE_NS = 2_000_000_000  # a time stamp younger than that may stand for two changes
GROWING_NS = 60_000_000_000  # how long a broken file may be one that is still being written


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it was listed; `settled` if its time would tell of any change since."""

    mtime_ns: int
    children: tuple[str, ...]
    settled: bool


def pause_s(took_s: float, worked_s: float) -> float:
    """How long to rest after a look that took so long by the clock, of which the processor worked so long. On a busy
    machine most of a look is waiting for others, and a rest by the clock alone would be minutes."""
    return min(PAUSE_MAX_S, max(PAUSE_S, took_s, SHARE * worked_s))


class Scanner:
    """Keeps `index` as the disk is. `read` reads a file by name; `tidy` is called from time to time."""

    def __init__(self, index: Index, read: Callable[[str], Seen], tidy: Callable[[], None]) -> None:
        self._index = index
        self._root = index.root
        self._read = read
        self._tidy = tidy
        self._busy: Callable[[], bool] = lambda: False
        self._stop = threading.Event()
        self._looking = threading.Lock()
        self._thread: threading.Thread | None = None
        self._folders: dict[str, Folder] = {}
        self._broken: dict[str, tuple[int, int]] = {}  # size and time of what was found broken
        self._unreadable: set[str] = set()

    def start(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._thread = threading.Thread(target=self._run, name="gallery", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # Linux has priorities for threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        thorough_s = tidy_s = float("-inf")
        while not self._stop.is_set():
            began, worked_s = time.monotonic(), time.thread_time()
            thorough = began - thorough_s >= THOROUGH_S
            try:
                self.look(thorough)
                if thorough:
                    thorough_s = time.monotonic()
                if began - tidy_s >= TIDY_S and not self._stop.is_set():
                    tidy_s = began
                    self._tidy()
            except EaselError as fault:  # the disk may be full: later it may not be
                log.warning("the gallery is not up to date: %s", fault)
            except Exception:  # nothing restarts this thread: the next look may succeed
                log.exception("the gallery could not look at its files")
            self._stop.wait(pause_s(time.monotonic() - began, time.thread_time() - worked_s))

    def look(self, thorough: bool = False) -> None:
        """Brings the index up to date: from all files with `thorough`, else from the folders that have changed."""
        with self._looking:
            while not self._stop.is_set() and self._index.list_waiting():
                self._stop.wait(0.01)
            seen: set[str] = set()
            failed: list[str] = []
            waiting = [""]
            while waiting and not self._stop.is_set():
                name = waiting.pop()
                try:
                    found = self._folder(name, thorough)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except OSError as fault:
                    self._complain(name or ".", fault.strerror or str(fault))
                    failed.append(name)
                    continue
                seen.add(name)
                self._folders[name] = found
                waiting += found.children
            if self._stop.is_set():
                return
            vanished = self._folders.keys() - seen
            if thorough or vanished:
                for name in self._index.folders() - seen:
                    if not any(bad in ("", name) or name.startswith(bad + "/") for bad in failed):
                        self._index.gone_below(name)
            for name in vanished:
                del self._folders[name]

    def _folder(self, name: str, thorough: bool) -> Folder:
        """A folder as it is now; listed only where it may have changed."""
        path = self._root / name
        mtime_ns = os.stat(path).st_mtime_ns
        known = self._folders.get(name)
        if known and known.settled and known.mtime_ns == mtime_ns and not thorough:
            return known
        began_ns = time.time_ns()
        children, files = self._listed(name)
        versions = self._index.versions(name)
        changed = [
            file
            for file, version in files.items()
            if versions.get(file) != version and self._broken.get(file) != version
        ]
        changed.sort(key=lambda file: -files[file][1])
        growing = self._take(changed, files)
        if gone := versions.keys() - files.keys():
            self._index.gone(gone)
        settled = not growing and all(
            began_ns - at > SETTLE_NS for at in (mtime_ns, *(at for _, at in files.values()))
        )
        return Folder(mtime_ns, children, settled)

    def _listed(self, name: str) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
        """The folders in a folder, the last name (the newest day) at the end; its picture files with size and time.
        Links are left alone: they may lead anywhere."""
        children, files = [], {}
        with os.scandir(self._root / name) as entries:
            for entry in entries:
                below = f"{name}/{entry.name}" if name else entry.name
                if (entry.name.startswith(".") and below != TRASH) or entry.is_symlink():
                    continue
                if entry.is_dir(follow_symlinks=False):
                    children.append(below)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        files[below] = (status.st_size, status.st_mtime_ns)
        return tuple(sorted(children)), files

    def _take(self, names: Sequence[str], files: dict[str, tuple[int, int]]) -> bool:
        """Reads files and writes them down; gives whether one of them may still be growing."""
        growing = False
        for at in range(0, len(names), BATCH):
            if self._stop.is_set():
                return True
            began = time.monotonic()
            batch, broken = [], []
            for name in names[at : at + BATCH]:
                try:
                    name.encode("utf-8")
                    batch.append(self._read(name))
                except FileNotFoundError:
                    continue
                except (Broken, UnicodeError, OSError) as fault:
                    broken.append(name)
                    self._broken[name] = files[name]
                    recent = time.time_ns() - files[name][1] < GROWING_NS
                    growing = growing or recent
                    if not recent:
                        self._complain(name, getattr(fault, "strerror", None) or str(fault))
            self._index.put(batch)
            if broken:  # what was whole when it was seen last
                known = self._index.versions(broken[0].rpartition("/")[0])
                if spoilt := [name for name in broken if name in known]:
                    self._index.gone(spoilt, although_there=True)
            took = time.monotonic() - began
            self._stop.wait(max(0.002, took * (3 if self._busy() else 0.3)))
        return growing

    def _complain(self, name: str, why: str) -> None:
        """Logs what cannot be shown, once."""
        if name not in self._unreadable:
            self._unreadable.add(name)
            log.warning("the gallery leaves out %s: %s", name, ascii(why).strip("'"))
