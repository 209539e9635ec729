"""The order of the queue's rows, whose jobs they are, and what it takes to move one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from webui.sentences import Sentence
from webui.types import JobStatus
from webui.types.visitors import NOBODY, VISITOR

__all__ = ["ends_of", "in_order", "mine", "moved", "waiting_with", "whose"]


def in_order(jobs: Sequence[JobStatus]) -> tuple[list[JobStatus], list[JobStatus]]:
    """Those that have not ended: running, paused, then queued as they will start; and those that have, the
    newest first."""
    ranks = {"running": 0, "paused": 1, "queued": 2}
    going = [job for job in jobs if not job.ended]
    going.sort(key=lambda job: (ranks[job.state], job.position))
    return going, [job for job in reversed(jobs) if job.ended]


def mine(jobs: Iterable[JobStatus], owner: str) -> list[JobStatus]:
    """An owner's jobs that have not ended."""
    return [job for job in jobs if job.owner == owner and not job.ended]


def whose(job: JobStatus, owner: str) -> str:
    """Whose a job is, for `owner`: a login's name, and words for those who have none."""
    if job.owner == owner:
        return Sentence("you")
    if job.owner.startswith(VISITOR):
        return Sentence("another visitor")
    try:
        return Sentence("somebody at {address}", address=str(ip_address(job.owner)))
    except ValueError:
        return job.owner if job.owner not in ("", NOBODY) else Sentence("somebody")


def waiting_with(job: JobStatus, going: Iterable[JobStatus]) -> list[JobStatus]:
    """The jobs of the same owner that wait, as they will start: those that it may be moved among."""
    return [other for other in going if other.state == "queued" and other.owner == job.owner]


def ends_of(going: Iterable[JobStatus]) -> Mapping[str, tuple[str, str]]:
    """By owner the first and the last of their jobs that wait."""
    ends: dict[str, tuple[str, str]] = {}
    for job in going:
        if job.state == "queued":
            ends[job.owner] = (ends.get(job.owner, (job.id,))[0], job.id)
    return ends


def moved(queued: Sequence[JobStatus], job: str, to: int) -> dict[str, int]:
    """The priorities by which `job` starts at place `to` (from 0) of `queued`, an owner's own, and all others as they
    do now.

    Only those that must change are given; none is ever lowered, so that what comes in later stays behind.
    """
    places = {status.id: place for place, status in enumerate(queued)}
    wanted = [status for status in queued if status.id != job]
    wanted.insert(to, queued[places[job]])
    changes: dict[str, int] = {}
    behind: JobStatus | None = None
    least = 0  # the priority of the one behind
    for status in reversed(wanted):
        priority = status.priority
        if behind is not None:
            untouched = behind.id not in changes and places[status.id] < places[behind.id]
            if priority < least or (priority == least and not untouched):
                priority = changes[status.id] = least + 1
        behind, least = status, priority
    return changes
