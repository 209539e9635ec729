"""The jobs that the engine knows: which are open, in which order they start, whose turn it is.

Holds and orders; the engine alone changes a job, under its lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from webui.engine.job import Job, PictureRun
from webui.errors import RequestError

__all__ = ["JOBS_AT_ONCE", "Queue"]

JOBS_AT_ONCE = 32  # later ones wait in the queue
REMEMBERED = 500  # ended jobs whose status is still told


class Queue:
    """Jobs in the order they came. `capacity` is in rows of a UNet call."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._jobs: dict[str, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def __getitem__(self, job_id: str) -> Job:
        """The job of that id; an unknown one raises `RequestError`."""
        if job_id not in self._jobs:
            raise RequestError(f"job {job_id!r} is not known: it may have ended long ago")
        return self._jobs[job_id]

    def add(self, job: Job) -> None:
        """Puts a job last, and forgets the oldest ended ones."""
        self._jobs[job.id] = job
        ended = [known.id for known in self._jobs.values() if known.ended]
        for old in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._jobs[old]

    def open(self) -> list[Job]:
        """The jobs that have not ended."""
        return [job for job in self._jobs.values() if not job.ended]

    def running(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.state == "running"]

    def waiting(self) -> list[Job]:
        """The queued jobs as they will start: the higher priority first; among equals the owners take turns,
        counting what they have running; within an owner who came first."""
        taken = Counter(job.owner for job in self.running())
        ranked = []
        for number, job in enumerate(self._jobs.values()):
            if job.state == "queued":
                ranked.append(((-job.priority, taken[job.owner], number), job))
                taken[job.owner] += 1
        return [job for _, job in sorted(ranked, key=lambda pair: pair[0])]

    def position(self, job: Job) -> int:
        """Its place among those that wait, from 1; 0 when it does not wait."""
        return 1 + self.waiting().index(job) if job.state == "queued" else 0

    def next_to_start(self) -> PictureRun | None:
        """The picture to begin now, if any. Each running job has one going at least; further ones fill the
        capacity, evenly. An owner with nothing running need not wait for others' jobs to end."""
        running = self.running()
        owners = {job.owner for job in running}
        for job in [*running, *self.waiting()]:
            fits = len(running) < JOBS_AT_ONCE or job.owner not in owners
            if not job.active and job.next_run() and (job.state == "running" or fits):
                return job.next_run()
        rows = sum(job.active * job.rows_each for job in running)
        started = [
            job
            for job in running
            if job.active and job.next_run() and rows + job.rows_each <= self._capacity
        ]
        return min(started, key=lambda job: job.active).next_run() if started else None
