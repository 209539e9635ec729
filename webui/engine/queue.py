"""In which order the jobs start: pure functions of the jobs that wait and of those that run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from webui.engine.job import Job, Picture

__all__ = ["JOBS_AT_ONCE", "Order", "next_picture", "ordered"]

JOBS_AT_ONCE = 32  # later ones wait in the queue


@dataclass(frozen=True, slots=True)
class Order:
    """The queued jobs as they will start. `places` counts from 1, by their ids; `firsts` are the first of each owner.
    `change` says which change of the queue it was worked out for."""

    jobs: tuple[Job, ...] = ()
    places: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    firsts: tuple[Job, ...] = ()
    change: int = -1


def ordered(waiting: Sequence[Job], running: Collection[Job], change: int = 0) -> Order:
    """Owners take turns, counting what they have running; among equals who came first. `waiting` are as they came.

    A priority above 0 moves a job among its owner's own: it takes a place of theirs, and nobody else moves. One
    below 0 has it start after all that have a higher one, whoever's they are.
    """
    taken = Counter(job.owner for job in running)
    classes: dict[int, list[tuple[int, Job]]] = defaultdict(list)
    for number, job in enumerate(waiting):
        classes[min(job.priority, 0)].append((number, job))
    jobs: list[Job] = []
    for priority in sorted(classes, reverse=True):
        turns, own = [], defaultdict[str, list[Job]](list)
        for number, job in classes[priority]:
            turns.append((taken[job.owner], number, job.owner))
            taken[job.owner] += 1
            own[job.owner].append(job)
        for theirs in own.values():  # a stable sort: among equals who came first
            theirs.sort(key=lambda job: -job.priority)
        following = {owner: iter(theirs) for owner, theirs in own.items()}
        jobs += [next(following[owner]) for _, _, owner in sorted(turns)]
    firsts: dict[str, Job] = {}
    for job in jobs:
        firsts.setdefault(job.owner, job)
    places = {job.id: place for place, job in enumerate(jobs, 1)}
    return Order(tuple(jobs), MappingProxyType(places), tuple(firsts.values()), change)


def next_picture(running: Sequence[Job], order: Order, capacity: int) -> Picture | None:
    """The picture to begin now, if any. Each running job has one going at least; further ones fill the `capacity`
    (rows of a UNet call), evenly. An owner with nothing running need not wait for others' jobs to end."""
    for job in running:
        if not job.active and (picture := job.next_picture()):
            return picture
    owners = {job.owner for job in running}
    room = len(running) < JOBS_AT_ONCE
    for job in order.jobs if room else order.firsts:
        # `order` may be of a moment ago: what has left the queue since is passed over
        if job.state == "queued" and (room or job.owner not in owners):
            if picture := job.next_picture():
                return picture
    rows = sum(job.active * job.rows_each for job in running)
    started = [
        job
        for job in running
        if job.active and rows + job.rows_each <= capacity and job.next_picture()
    ]
    return min(started, key=lambda job: job.active).next_picture() if started else None
