"""Every job's state, and whoever is told of it: faces that wait, the keeper, the log. Knows no call and no tensor.

Everything here happens under one lock (`changed`), which faces, the loop and the other threads share.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from webui.engine.job import Job
from webui.engine.queue import Queue
from webui.errors import EaselError
from webui.types import EventKind, JobState, JobStatus
from webui.types.kept import Keeper

__all__ = ["Ledger", "sentence"]

log = logging.getLogger(__name__)

REMEMBERED = 200  # jobs of earlier starts


class Ledger:
    """The jobs, in the order they came. `saver` is the thread on which the keeper is told, in order."""

    def __init__(self, capacity: int, keeper: Keeper | None) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.jobs = Queue(capacity)
        self.keeper = keeper
        self.saver = ThreadPoolExecutor(1, thread_name_prefix="easel-saver")
        self.stopping = False
        self.note = "Starting"  # what every job waits for
        self.failure: str | None = None  # why the engine cannot run at all

    def restore(self) -> None:
        """Takes up the jobs that had not ended, and remembers the last ones that had."""
        if self.keeper is None:
            return
        for kept in self.keeper.ended(REMEMBERED):
            self.jobs.add(Job.restored(kept))
        for kept in self.keeper.unfinished():
            job = Job.restored(kept)
            for run in job.runs:
                if run.made:  # its log was to go next
                    self.keeper.replies(job.id, run.index).remove()
            with self.changed:
                self.jobs.add(job)
                self.tell(job, "queued")
                if all(run.made for run in job.runs):  # it ended before that was kept
                    self.end(job, "done")

    def accept(self, job: Job, key: str | None) -> str:
        """Keeps a job and puts it into the queue; gives its id, or that of the job which had its key."""
        self._open()
        if self.keeper is not None:
            known = self.keeper.accept(job.kept(), key)
            if known != job.id:
                return known
        with self.changed:
            try:
                self._open()
            except EaselError:  # it is refused after all, so it must not be taken up either
                self.keep(job, "cancelled")
                raise
            self.jobs.add(job)
            self.tell(job, "queued")
            self._positions()
        return job.id

    def close(self) -> None:
        """No further turn, and no further job."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def _open(self) -> None:
        if self.failure:
            raise EaselError(self.failure)
        if self.stopping:
            raise EaselError("Easel is stopping and takes no more requests")

    def status(self, job: Job) -> JobStatus:
        with self.changed:
            return job.status(self.jobs.position(job), "" if job.ended else self.note)

    def statuses(self) -> list[JobStatus]:
        """Every job's status, in the order they came."""
        with self.changed:
            places = {job.id: place for place, job in enumerate(self.jobs.waiting(), 1)}
            return [
                job.status(places.get(job.id, 0), "" if job.ended else self.note)
                for job in self.jobs
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
            for job in self.jobs.open():
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
            paused = next((job for job in self.jobs.open() if job.state == "paused"), None)
            if paused is not None:
                self.note_job(
                    paused, "What is kept of it fills the room for others: resume or cancel it"
                )

    def _positions(self) -> None:
        """Tells the queued jobs whose place has changed."""
        for place, job in enumerate(self.jobs.waiting(), 1):
            if job.place != place:
                job.place = place
                self.tell(job, "position", position=place)

    # --- the keeper -------------------------------------------------------------------------------

    def keep(self, job: Job, state: JobState | None = None) -> None:
        """Has the keeper know a job's state, in order and without holding up the loop."""
        if self.keeper is None:
            return
        with suppress(RuntimeError):  # the saving thread has ended with the engine
            self.saver.submit(self._kept, job.id, state or job.state, job.priority, job.error)

    def _kept(self, job_id: str, state: JobState, priority: int, error: str | None) -> None:
        assert self.keeper is not None
        try:
            self.keeper.changed(job_id, state, priority, error)
        except EaselError as fault:  # the job goes on; after a crash it would be taken up as it was
            log.error("job %s: its state is not kept: %s", job_id, fault, extra={"job": job_id})


def sentence(error: BaseException) -> str:
    """What to show of an error: its own sentence if it was raised on purpose, else its kind as well."""
    if isinstance(error, EaselError):
        return str(error)
    return f"internal error ({type(error).__name__}: {error}); the log has more"
