"""Every job's state, and whoever is told of it: faces that wait, the store, the log. Knows no call and no tensor.

Everything here happens under one lock (`changed`), which faces, the loop and the other threads share.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from webui.engine.job import Job, PictureRun
from webui.engine.queue import Queue
from webui.errors import EaselError, lacking
from webui.types import EventKind, JobState, JobStatus, SubmissionKey
from webui.types.persistence import JobPersistence, StoredJob, Unmarked, Witness

__all__ = ["Jobs", "Stopping", "sentence"]

log = logging.getLogger(__name__)

REMEMBERED = 200  # jobs of earlier starts
AGAIN_S = 10.0  # how often it is tried again what the machine lacks something for
LACKING = {
    "files": "Too many files are open on this machine: this is tried again every ten seconds",
    "disk": "The disk is full: make some space, and this goes on",
}
TRIES = 6  # at the start, before the page is there


class Stopping(EaselError):
    """What is being done was broken off because the engine stops: no fault of its job."""


class Jobs:
    """The jobs, in the order they came. `saver` is the thread on which the store is told, in order.

    `witness` knows which pictures a process has ended over.
    """

    def __init__(
        self, capacity: int, persistence: JobPersistence | None, witness: Witness | None = None
    ) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.queue = Queue(capacity)
        self.persistence = persistence
        self.witness = witness or Unmarked()
        self.alone: list[PictureRun] = []  # to be made with nothing beside them, one by one
        self._unkept: dict[str, tuple[JobState, int, str | None]] = {}
        self.saver = ThreadPoolExecutor(1, thread_name_prefix="easel-saver")
        self.stopping = False
        self.note = "Starting"  # what every job waits for
        self.failure: str | None = None  # why the engine cannot run at all

    def restore(self) -> None:
        """Takes up the jobs that had not ended, and remembers the last ones that had."""
        if self.persistence is None:
            return
        for kept in self.persistence.ended(REMEMBERED):
            self.queue.add(Job.restored(kept))
        unfinished = self._unfinished()
        self.witness.forget_pictures({kept.id for kept in unfinished})
        for kept in unfinished:
            self._restore(Job.restored(kept))
        with self.changed:
            self._positions()

    def _unfinished(self) -> Sequence[StoredJob]:
        """What the store has; a machine that lacks something for a moment is waited for."""
        assert self.persistence is not None
        for _ in range(TRIES):
            try:
                return self.persistence.unfinished()
            except (EaselError, OSError) as fault:
                if not lacking(fault):
                    raise
                log.error("the jobs that had not ended cannot be read yet: %s", fault)
                with self.changed:
                    self.changed.wait_for(lambda: self.stopping, AGAIN_S)
        return self.persistence.unfinished()

    def _restore(self, job: Job) -> None:
        assert self.persistence is not None
        poisoned = None
        for run in job.runs:
            if run.made:  # its log was to go next
                self.persistence.replies(job.id, run.index).remove()
            elif (known := self.witness.picture(job.id, run.index)) is not None:
                poisoned = poisoned or known
                run.alone = True
        with self.changed:
            self.queue.add(job)
            self.tell(job, "queued")
            if poisoned:
                log.error("job %s is not tried again: %s", job.id, poisoned, extra={"job": job.id})
                self.end(job, "failed", poisoned)
                for run in job.runs:
                    self.persistence.replies(job.id, run.index).remove()
            elif all(run.made for run in job.runs):  # it ended before that was kept
                self.end(job, "done")
            else:
                self.alone += [run for run in job.runs if run.alone]

    def solitary(self) -> PictureRun | None:
        """The picture beside which nothing else runs now; None where there is none."""
        if not self.alone:
            return None
        self.alone = [run for run in self.alone if not (run.made or run.job.ended)]
        going = ("queued", "running")
        return next((run for run in self.alone if run.job.state in going), None)

    def accept(self, job: Job, key: SubmissionKey | None) -> str:
        """Keeps a job and puts it into the queue; gives its id, or that of the job which had its key."""
        self._open()
        if self.persistence is not None:
            known = self.persistence.accept(job.kept(), key)
            if known != job.id:
                return known
        with self.changed:
            try:
                self._open()
            except EaselError:  # it is refused after all, so it must not be taken up either
                self.keep(job, "cancelled")
                raise
            self.queue.add(job)
            self.tell(job, "queued")
            self._positions()
        return job.id

    def close(self) -> None:
        """No further turn, and no further job."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def go_on(self) -> None:
        """Raises `Stopping` once there shall be no further turn: for work that takes long, on any thread."""
        if self.stopping:
            raise Stopping("Easel is stopping")

    def _open(self) -> None:
        if self.failure:
            raise EaselError(self.failure)
        if self.stopping:
            raise EaselError("Easel is stopping and takes no more requests")

    def status(self, job: Job) -> JobStatus:
        with self.changed:
            return job.status(self.queue.position(job), "" if job.ended else self.note)

    def statuses(self) -> list[JobStatus]:
        """Every job's status, in the order they came."""
        with self.changed:
            places = {job.id: place for place, job in enumerate(self.queue.waiting(), 1)}
            return [
                job.status(places.get(job.id, 0), "" if job.ended else self.note)
                for job in self.queue
            ]

    # --- changes ----------------------------------------------------------------------------------

    def tell(self, job: Job, kind: EventKind, **data: Any) -> None:
        """Something happened to a job: whoever waits for it hears of it."""
        with self.changed:
            job.tell(kind, data)
            self.changed.notify_all()

    def begin(self, job: Job) -> None:
        """A queued job has its first picture under way."""
        with self.changed:
            job.state, job.started_s = "running", time.monotonic()
            self.keep(job)
            self.tell(job, "started")
            self._positions()

    def hold(self, job: Job, on: bool) -> None:
        """Pauses a job, or lets it go on; of no effect on one that is not going, or not paused."""
        with self.changed:
            if on and job.state in ("queued", "running"):
                job.state = "paused"
            elif not on and job.state == "paused":
                job.state = "running" if job.started_s else "queued"
            else:
                return
            self.keep(job)
            self.tell(job, "paused" if on else "resumed")
            self._positions()

    def prioritise(self, job: Job, priority: int) -> None:
        with self.changed:
            job.priority = priority
            self.keep(job)
            self._positions()

    def fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, EaselError):
            log.error("job %s failed", job.id, exc_info=error, extra={"job": job.id})
        with self.changed:
            if not job.ended:
                self.end(job, "failed", sentence(error))

    def end(
        self, job: Job, state: JobState, error: str | None = None, taken_up: bool = False
    ) -> None:
        """Ends a job here; one that is to be `taken_up` at the next start stays as it was kept."""
        with self.changed:
            job.end(state, error, forget=not taken_up)
            if not taken_up:
                self.keep(job)
            kind: EventKind = "failed" if state == "failed" else "done"
            self.tell(job, "cancelled" if state == "cancelled" else kind, error=error)
            self._positions()

    def note_all(self, note: str) -> None:
        """What every job waits for ("" for nothing)."""
        with self.changed:
            self.note = note
            for job in self.queue.open():
                job.version += 1
            self.changed.notify_all()

    def note_job(self, job: Job, note: str) -> None:
        with self.changed:
            job.note = note
            job.version += 1
            self.changed.notify_all()

    def ask_oldest_paused(self) -> None:
        """There is no room for further logs of replies: whoever paused first is asked to decide."""
        with self.changed:
            paused = next((job for job in self.queue.open() if job.state == "paused"), None)
            if paused is not None:
                self.note_job(
                    paused, "What is kept of it fills the room for others: resume or cancel it"
                )

    def _positions(self) -> None:
        """Tells the queued jobs whose place has changed; nobody waits for a place while Easel stops."""
        if self.stopping:
            return
        for place, job in enumerate(self.queue.waiting(), 1):
            if job.place != place:
                job.place = place
                self.tell(job, "position", position=place)

    # --- the store ------------------------------------------------------------------------------------

    def keep(self, job: Job, state: JobState | None = None) -> None:
        """Has the store know a job's state, in order and without holding up the loop."""
        if self.persistence is None:
            return
        with suppress(RuntimeError):  # the saving thread has ended with the engine
            self.saver.submit(self._kept, job.id, state or job.state, job.priority, job.error)

    def _kept(self, job_id: str, state: JobState, priority: int, error: str | None) -> None:
        """On the saving thread. What cannot be kept for want of space is kept with the next that can."""
        assert self.persistence is not None
        self._unkept.pop(job_id, None)
        self._unkept[job_id] = (state, priority, error)  # last: the order is that of the changes
        for job, told in list(self._unkept.items()):
            try:
                self.persistence.changed(job, *told)
            except (
                EaselError,
                OSError,
            ) as fault:  # the job goes on; a crash would take it up as it was
                log.error("job %s: its state is not kept: %s", job, fault, extra={"job": job})
                if lacking(fault):
                    return
            del self._unkept[job]

    def keep_rest(self) -> None:
        """On the saving thread: once more what could not be kept."""
        for job, told in list(self._unkept.items())[:1]:  # the others follow it
            self._kept(job, *told)


def sentence(error: BaseException) -> str:
    """What to show of an error: its own sentence if it was raised on purpose, else its kind as well."""
    if isinstance(error, EaselError):
        return str(error)
    if lack := lacking(error):
        return LACKING[lack]
    return f"internal error ({type(error).__name__}: {error}); the log has more"
