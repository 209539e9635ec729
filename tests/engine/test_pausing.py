"""Pause and resume at any step: nothing is lost, the picture is the same, others go on meanwhile."""

import pytest

from tests.engine.conftest import request
from webui.errors import RequestError


def test_a_paused_job_stands_still_and_ends_as_if_it_had_not(start):
    bench = start(deterministic=True)
    plain = bench.engine.submit(request(steps=12))
    assert bench.end(plain).state == "done"
    job = bench.engine.submit(request(steps=12))
    for at in (2, 5, 9):
        bench.until(job, lambda s, at=at: s.step >= at or s.ended)
        bench.engine.pause(job)
        assert bench.engine.status(job).state == "paused"
        other = bench.engine.submit(request(steps=2, seed=9))
        assert bench.end(other).state == "done"
        stood = bench.engine.status(job).step
        assert bench.end(bench.engine.submit(request(steps=3, seed=8))).state == "done"
        assert bench.engine.status(job).step == stood
        bench.engine.resume(job)
    assert bench.end(job).state == "done"
    assert bench.pictures(job) == bench.pictures(plain)


def test_a_job_paused_in_the_queue_starts_after_resume(start):
    bench = start()
    long = bench.engine.submit(request(steps=150))
    bench.until(long, lambda s: s.step >= 1)
    bench.engine.pause(long)
    job = bench.engine.submit(request())
    bench.engine.pause(job)
    bench.engine.resume(job)
    assert bench.end(job).state == "done"
    bench.engine.cancel(long)
    assert bench.end(long).state == "cancelled"


def test_pause_and_resume_of_what_has_ended_or_is_not_known(start):
    bench = start()
    job = bench.engine.submit(request(steps=1))
    bench.end(job)
    bench.engine.pause(job)
    bench.engine.resume(job)
    assert bench.engine.status(job).state == "done"
    with pytest.raises(RequestError, match="not known"):
        bench.engine.pause("nowhere")


def test_the_higher_priority_starts_first_among_its_owners_own(start):
    bench = start()
    held = bench.engine.submit(request(steps=150))
    jobs = [bench.engine.submit(request(steps=1, seed=i), owner="me") for i in range(40)]
    assert [s.id for s in bench.engine.jobs()] == [held, *jobs]
    last = jobs[-1]
    if bench.engine.status(last).state == "queued":
        bench.engine.prioritise(last, 5)
        assert bench.engine.status(last).position <= 2, "after the other owner's, before their own"
    assert all(bench.end(job).state == "done" for job in jobs)
    assert bench.engine.status(last).owner == "me"
    bench.engine.cancel(held)
