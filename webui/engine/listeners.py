"""Who is told that a job has changed. A change costs an entry in a set; a thread of its own makes the calls.

So thousands of waiting jobs and hundreds of listeners cost the loop nothing, and no listener's code runs on it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["ANY", "Listeners"]

log = logging.getLogger(__name__)

Wake = Callable[[], None]
ANY = ""  # in the place of a job's id
END_S = 1.0  # that the last calls may take


class Listeners:
    """`before` is called first in each round, on the thread that calls; it gives in how many seconds it wants to be
    called again, None where that is not before the next change."""

    def __init__(self, before: Callable[[], float | None] = lambda: None) -> None:
        self._before = before
        self._lock = threading.Lock()
        self._wakes: dict[str, tuple[Wake, ...]] = {}
        self._changed: set[str] = set()
        self._news = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def changed(self, job_id: str) -> None:
        """That job has changed: whoever listens is told in a moment."""
        self._changed.add(job_id)
        self._news.set()

    @contextmanager
    def watch(self, job_id: str, wake: Wake) -> Iterator[None]:
        """Has `wake` called, on any thread, after each change of a job (`ANY`: of any); several at once are one. A
        change after this has begun is not missed. `wake` must not block."""
        self.start()
        with self._lock:
            self._wakes[job_id] = (*self._wakes.get(job_id, ()), wake)
        try:
            yield
        finally:
            with self._lock:
                mine = list(self._wakes[job_id])
                mine.remove(wake)
                if mine:
                    self._wakes[job_id] = tuple(mine)
                else:
                    del self._wakes[job_id]

    def start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(
                    target=self._run, name="easel-listeners", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """After a last round."""
        with self._lock:
            self._stopped = True
        self._news.set()
        if self._thread is not None:
            self._thread.join(END_S)

    def _run(self) -> None:
        again: float | None = None
        while True:
            self._news.wait(again)
            self._news.clear()
            last = self._stopped  # asked first: what has changed before it is told
            again = self._before()
            self._tell()
            if last:
                return

    def _tell(self) -> None:
        changed, self._changed = self._changed, set()
        if not changed:
            return
        wakes = self._wakes.get(ANY, ())
        for job_id in changed & self._wakes.keys():
            wakes += self._wakes.get(job_id, ())
        for wake in wakes:
            try:
                wake()
            except BaseException:  # the boundary: whoever listens has no say in what others hear
                log.exception("a listener failed")
