"""Thumbnails drawn before anybody asks for them: those of the newest pictures, while nothing else is to be done."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from webui.store.thumbnails import Thumbnails

__all__ = ["NEWEST", "ThumbnailPrefetch"]

log = logging.getLogger(__name__)
NEWEST = 5000  # pictures; who scrolls farther waits a moment
LOOK_S = 5.0  # between two looks whether there are new ones
REST = 1.0  # as many times as long as the drawing took
WAIT_S = 0.5  # while others work


class ThumbnailPrefetch:
    """Draws in one thread of low priority. `newest` gives file and stamp of the newest pictures; it is asked again when
    `version` has changed."""

    def __init__(
        self,
        thumbnails: Thumbnails,
        newest: Callable[[], Iterable[tuple[Path, str]]],
        version: Callable[[], int],
    ) -> None:
        self._thumbnails = thumbnails
        self._newest = newest
        self._version = version
        self._busy: Callable[[], bool] = lambda: False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, busy: Callable[[], bool]) -> None:
        """Begins; rests while `busy`, and while somebody waits for a thumbnail."""
        self._busy = busy
        self._thread = threading.Thread(target=self._run, name="thumbnails ahead", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # Linux has priorities for threads
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        drawn = -1
        while not self._stop.wait(LOOK_S):
            version = self._version()
            if version == drawn:
                continue
            try:
                self._draw()
            except Exception:  # nothing restarts this thread: the next time may succeed
                log.exception("thumbnails could not be drawn ahead")
            drawn = version

    def _draw(self) -> None:
        """Draws those that are missing, the newest first."""
        for picture, stamp in self._newest():
            while self._busy() or self._thumbnails.is_asked:
                if self._stop.wait(WAIT_S):
                    return
            if self._stop.is_set() or not self._thumbnails.has_room:
                return
            began = time.monotonic()
            if self._thumbnails.ahead(picture, stamp):
                self._stop.wait(REST * (time.monotonic() - began))
