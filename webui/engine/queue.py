"""Which jobs wait and which run, and in which order they start: pure functions of these two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from webui.engine.job import Job, Picture

__all__ = ["JOBS_AT_ONCE", "Order", "Queue", "next_picture", "ordered"]

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


class Queue:
    """The jobs that wait and those that run. `change` counts what moves in it. One thread at a time may call `moved`,
    any number of others ask meanwhile."""

    def __init__(self) -> None:
        self.change = 0
        self._waiting: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._order = Order()

    def moved(self, job: Job) -> None:
        """A job has come, or has another state or priority."""
        for state, jobs in (("queued", self._waiting), ("running", self._running)):
            if job.state == state:
                jobs[job.id] = job
            else:
                jobs.pop(job.id, None)
        self.change += 1

    def running(self) -> Sequence[Job]:
        return tuple(self._running.values())

    def order(self) -> Order:
        """How they will start, worked out once for each change, by who asks first."""
        order, change = self._order, self.change  # asked first: what moves meanwhile makes it old
        if order.change != change:
            waiting = sorted(tuple(self._waiting.values()), key=lambda job: job.number)
            self._order = order = ordered(waiting, self.running(), change)
        return order
