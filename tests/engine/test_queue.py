"""Which job starts next: owners take turns, priority goes first, and nobody fills the engine alone."""

import pytest

from tests.engine.conftest import request
from webui.engine.job import Job
from webui.engine.queue import JOBS_AT_ONCE, Queue
from webui.errors import RequestError


def queue_of(*jobs: tuple[str, str, int]) -> Queue:
    """Queued jobs of (id, owner, priority)."""
    queue = Queue(16)
    for name, owner, priority in jobs:
        queue.add(Job(name, request(), owner, priority))
    return queue


def order(queue: Queue) -> list[str]:
    return [job.id for job in queue.waiting()]


def test_owners_take_turns_and_priority_goes_first():
    queue = queue_of(
        ("a1", "a", 0), ("a2", "a", 0), ("a3", "a", 0), ("b1", "b", 0), ("c1", "c", 0), ("b2", "b", 9)
    )  # fmt: skip
    assert order(queue) == ["b2", "a1", "b1", "c1", "a2", "a3"]
    assert [queue.position(job) for job in queue] == [2, 5, 6, 3, 4, 1]


def test_what_an_owner_has_running_counts():
    queue = queue_of(("a1", "a", 0), ("a2", "a", 0), ("b1", "b", 0))
    queue["a1"].state = "running"
    assert order(queue) == ["b1", "a2"]


def start(queue: Queue) -> list[str]:
    """Starts pictures until there is none to start, as the engine does; their jobs in order."""
    begun = []
    while (run := queue.next_to_start()) is not None:
        run.job.state, run.task = "running", iter(())
        begun.append(run.job.id)
    return begun


def test_a_paused_job_is_neither_started_nor_counted():
    queue = queue_of(("a1", "a", 0), ("a2", "a", 0))
    queue["a1"].state = "paused"
    assert order(queue) == ["a2"] and start(queue) == ["a2"]


def test_an_owner_with_nothing_running_need_not_wait_for_others():
    many = [(f"a{i}", "a", 0) for i in range(JOBS_AT_ONCE + 5)]
    queue = queue_of(*many, ("b1", "b", 0), ("b2", "b", 0))
    begun = start(queue)
    assert len(begun) == JOBS_AT_ONCE and "b1" in begun[:2]
    queue.add(Job("c1", request(), "c"))
    assert start(queue) == ["c1"]


def test_further_pictures_fill_the_capacity_evenly():
    queue = Queue(16)
    for name in ("a", "b"):
        queue.add(Job(name, request(batch_size=8), name))
    begun = start(queue)
    assert begun.count("a") == begun.count("b") == 4  # of two rows each


def test_an_unknown_job_is_said():
    with pytest.raises(RequestError, match="'x' is not known"):
        queue_of()["x"]
