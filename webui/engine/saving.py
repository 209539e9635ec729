"""The saving thread: finished pictures and the states of jobs, in order, and what is done while the disk is full."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

from webui.engine import faults
from webui.engine.faults import LACKING, NO_MEMORY
from webui.engine.job import Job
from webui.engine.jobs import Jobs
from webui.errors import EaselError, lacking
from webui.types import Finished, JobState, SavedPicture
from webui.types.persistence import JobPersistence, Witness

__all__ = ["PictureSaver", "StateWriter"]

log = logging.getLogger(__name__)


class StateWriter:
    """Has the store know the states of jobs, on the saving thread, in the order of their changes. Of a job that changes
    again before that is written, the newest state is."""

    def __init__(self, persistence: JobPersistence | None, thread: ThreadPoolExecutor) -> None:
        self._persistence = persistence
        self._thread = thread
        self._lock = Lock()
        self._unkept: dict[str, tuple[JobState, int, str | None, bool, tuple[int, ...]]] = {}
        self._asked = False  # the saving thread is to write

    def keep(self, job: Job) -> None:
        """Any thread may ask; nobody waits."""
        self._note(job, job.state)

    def refuse(self, job: Job) -> None:
        """A job that was kept is not taken after all."""
        self._note(job, "cancelled")

    def _note(self, job: Job, state: JobState) -> None:
        if self._persistence is None:
            return
        with self._lock:
            self._unkept.pop(job.id, None)
            told = (state, job.priority, job.error, job.interrupted, job.skipped)
            self._unkept[job.id] = told  # last
            asked, self._asked = self._asked, True
        if not asked:
            with suppress(RuntimeError):  # the saving thread has ended with the engine
                self._thread.submit(self.rest)

    def rest(self) -> None:
        """On the saving thread: writes what is to be written. What cannot be kept for want of space is kept with what
        comes next, or after the next picture."""
        if self._persistence is None:
            return
        with self._lock:
            self._asked = False
            waiting = list(self._unkept.items())
        for job, told in waiting:
            try:
                self._persistence.changed(job, *told)
            except (EaselError, OSError) as fault:  # it goes on; a crash would take it up as it was
                log.error("job %s: its state is not kept: %s", job, fault, extra={"job": job})
                if lacking(fault):
                    return
            with self._lock:
                if self._unkept.get(job) is told:  # nothing newer has come meanwhile
                    del self._unkept[job]


class PictureSaver:
    """Puts finished pictures on disk, one after the other: `write` does it.

    While the disk is `full` no device goes on, so that no picture is lost.
    """

    def __init__(
        self,
        jobs: Jobs,
        states: StateWriter,
        thread: ThreadPoolExecutor,
        write: Callable[[Finished], SavedPicture],
        witness: Witness,
    ) -> None:
        self._jobs = jobs
        self._states = states
        self._thread = thread
        self._write = write
        self._witness = witness
        self.full = False

    def save(self, finished: Finished, mark: tuple[str, int, int]) -> Future[SavedPicture]:
        """`mark` is what is known of the picture should the process end over it."""
        return self._thread.submit(self._save, finished, mark)

    def _save(self, finished: Finished, mark: tuple[str, int, int]) -> SavedPicture:
        """On the saving thread. What the machine lacks for now holds everything up."""
        from webui.engine.memory import starved  # with torch, which is there by now

        jobs, poor = self._jobs, False
        self._witness.enter_pictures(mark)
        try:
            while True:
                try:
                    saved = self._write(finished)
                    break
                except Exception as fault:  # the boundary: what stays is told where it arrives
                    lack = lacking(fault)
                    stopping = jobs.closing.is_set()
                    if stopping or not (lack or (starved(fault) and not poor)):
                        raise
                    poor = poor or not lack
                    log.warning("job %s: %s; once more in a while", finished.job, fault)
                    self.full = True
                    jobs.note_all(LACKING[lack] if lack else NO_MEMORY)
                    jobs.closing.wait(faults.AGAIN_S)
        finally:
            self._witness.leave()
            if self.full:
                self.full = False
                jobs.note_all("")
                jobs.stir()
        self._states.rest()
        return saved
