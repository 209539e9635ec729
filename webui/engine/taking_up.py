"""The jobs of earlier starts: which go on, which are remembered, and which are not tried again."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from webui.engine import faults
from webui.engine.job import Job
from webui.engine.jobs import Jobs
from webui.errors import EaselError, lacking
from webui.types.persistence import JobPersistence, StoredJob, Witness

__all__ = ["take_up"]

log = logging.getLogger(__name__)

REMEMBERED = 200  # jobs of earlier starts
TRIES = 6  # at the start, before the page is there


def take_up(jobs: Jobs, persistence: JobPersistence, witness: Witness) -> None:
    """Puts the jobs that had not ended back into the queue, and remembers the last ones that had."""
    for kept in persistence.ended(REMEMBERED):
        jobs.add(Job.restored(kept), restored=True)
    unfinished = _unfinished(jobs, persistence)
    witness.forget_pictures({kept.id for kept in unfinished})
    for kept in unfinished:
        _take_up(Job.restored(kept), jobs, persistence, witness)


def _unfinished(jobs: Jobs, persistence: JobPersistence) -> Sequence[StoredJob]:
    """What the store has; a machine that lacks something for a moment is waited for."""
    for _ in range(TRIES):
        try:
            return persistence.unfinished()
        except (EaselError, OSError) as fault:
            if not lacking(fault):
                raise
            log.error("the jobs that had not ended cannot be read yet: %s", fault)
            jobs.closing.wait(faults.AGAIN_S)
    return persistence.unfinished()


def _take_up(job: Job, jobs: Jobs, persistence: JobPersistence, witness: Witness) -> None:
    poisoned, alone = None, set[int]()
    for picture in job.pictures:
        if picture.state in ("made", "skipped"):  # its log was to go next
            persistence.replies(job.id, picture.index).remove()
        elif (known := witness.picture(job.id, picture.index)) is not None:
            poisoned = poisoned or known
            alone.add(picture.index)
    jobs.add(job, restored=True, alone=alone)
    if poisoned:
        log.error("job %s is not tried again: %s", job.id, poisoned, extra={"job": job.id})
        jobs.end(job, "failed", poisoned)
        for picture in job.pictures:
            persistence.replies(job.id, picture.index).remove()
    elif job.complete:  # it ended before that was kept
        jobs.end(job, "done" if job.saved else "cancelled")
