"""Which job starts next: owners take turns, priority moves among one's own, and nobody fills the engine alone."""

import random

import pytest

from tests.engine.conftest import request
from webui.engine.job import Job
from webui.engine.jobs import Jobs
from webui.engine.queue import JOBS_AT_ONCE, ordered
from webui.errors import RequestError


def jobs_of(*given: tuple[str, str, int]) -> Jobs:
    """Queued jobs of (id, owner, priority)."""
    jobs = Jobs(16)
    for name, owner, priority in given:
        jobs.add(Job(name, request(), owner, priority))
    return jobs


def order(jobs: Jobs) -> list[str]:
    return [job.id for job in jobs.order().jobs]


def start(jobs: Jobs) -> list[str]:
    """Starts pictures until there is none to start, as the engine does; their jobs in order."""
    begun = []
    while (picture := jobs.claim()) is not None:
        begun.append(picture.job.id)
    return begun


def test_owners_take_turns():
    jobs = jobs_of(
        ("a1", "a", 0), ("a2", "a", 0), ("a3", "a", 0), ("b1", "b", 0), ("c1", "c", 0), ("b2", "b", 0)
    )  # fmt: skip
    assert order(jobs) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert [status.position for status in jobs.statuses()] == [1, 4, 6, 2, 3, 5]


def test_a_priority_above_0_moves_a_job_among_its_owners_own():
    jobs = jobs_of(
        ("a1", "a", 0), ("a2", "a", 0), ("b1", "b", 0), ("b2", "b", 9), ("b3", "b", 9), ("c1", "c", 1)
    )  # fmt: skip
    assert order(jobs) == ["a1", "b2", "c1", "a2", "b3", "b1"]


def test_whatever_is_prioritised_others_keep_their_places():
    """Random queues: raising jobs of one owner moves no job of another's."""
    draw = random.Random(3)
    for _ in range(200):
        waiting = [
            Job(str(i), request(), draw.choice("abc"), draw.choice([0, 0, 2]))
            for i in range(draw.randint(1, 12))
        ]
        before = ordered(waiting, ())
        assert sorted(before.places.values()) == list(range(1, len(waiting) + 1))
        for job in waiting:
            if job.owner == "a":
                job.prioritise(draw.randint(0, 5))
        after = ordered(waiting, ())
        others = [job.id for job in waiting if job.owner != "a"]
        assert [before.places[name] for name in others] == [after.places[name] for name in others]
        own = [job.priority for job in after.jobs if job.owner == "a"]
        assert own == sorted(own, reverse=True)
        assert [job.owner for job in after.firsts] == list(
            dict.fromkeys(job.owner for job in after.jobs)
        )


def test_a_priority_below_0_waits_for_everybody():
    jobs = jobs_of(
        ("a1", "a", -1), ("a2", "a", 0), ("b1", "b", 0), ("b2", "b", -1), ("c1", "c", -2)
    )
    assert order(jobs) == ["a2", "b1", "a1", "b2", "c1"]


def test_what_an_owner_has_running_counts():
    jobs = jobs_of(("a1", "a", 0), ("a2", "a", 0), ("b1", "b", 0))
    assert jobs.claim().job.id == "a1"
    assert order(jobs) == ["b1", "a2"]


def test_a_paused_job_is_neither_started_nor_counted_and_comes_back_to_its_place():
    jobs = jobs_of(("a1", "a", 0), ("a2", "a", 0), ("a3", "a", 0))
    jobs.pause(jobs["a1"])
    assert order(jobs) == ["a2", "a3"]
    jobs.resume(jobs["a1"])
    assert order(jobs) == ["a1", "a2", "a3"]
    jobs.pause(jobs["a1"])
    assert start(jobs) == ["a2", "a3"]


def test_an_owner_with_nothing_running_need_not_wait_for_others():
    many = [(f"a{i}", "a", 0) for i in range(JOBS_AT_ONCE + 5)]
    jobs = jobs_of(*many, ("b1", "b", 0), ("b2", "b", 0))
    begun = start(jobs)
    assert len(begun) == JOBS_AT_ONCE and "b1" in begun[:2]
    jobs.add(Job("c1", request(), "c"))
    assert start(jobs) == ["c1"]


def test_further_pictures_fill_the_capacity_evenly():
    jobs = Jobs(16)
    for name in ("a", "b"):
        jobs.add(Job(name, request(batch_size=8), name))
    begun = start(jobs)
    assert begun.count("a") == begun.count("b") == 4  # of two rows each


def test_pictures_that_are_made_alone_are_started_one_by_one():
    jobs = Jobs(16)
    jobs.add(Job("a", request(batch_size=3), "a"), restored=True, alone={0, 2})
    jobs.add(Job("b", request(), "b"))
    first = jobs.claim()
    assert (first.job.id, first.index, jobs.claim()) == ("a", 0, None)
    jobs.made(first)
    second = jobs.claim()
    assert (second.index, jobs.solitary(), jobs.claim()) == (2, second, None)
    jobs.pause(jobs["a"])
    assert jobs.claim().job.id == "b", "while it is paused the others go on"
    jobs.end(jobs["a"], "cancelled")
    assert jobs.solitary() is None


def test_an_unknown_job_is_said():
    with pytest.raises(RequestError, match="'x' is not known"):
        jobs_of()["x"]
