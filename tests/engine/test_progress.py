"""What is told of a job while its pictures are made: which of them, at which step, and for how long yet."""

import pytest

from tests.engine.conftest import request
from webui.engine import job as job_module
from webui.engine.job import Job


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock of jobs, which a test sets: `clock[0]` in seconds."""
    now = [1000.0]
    monkeypatch.setattr(job_module.time, "monotonic", lambda: now[0])
    return now


def turn(job: Job, step: int, steps: int, number: int, known: bool = False) -> None:
    """One call for all pictures that are being made: their step number `step`, from 1."""
    job.serve(number)
    for picture in job.making:
        job.step(picture, step - 1, steps)
        job.stepped(picture, known)


def test_the_step_is_that_of_the_first_picture_that_is_made(start):
    """Nine pictures are more than one call takes: the last one waits for the others, and counts for nothing yet."""
    bench = start()
    job = bench.engine.submit(request(batch_size=9, steps=40))
    seen, status = set(), bench.engine.status(job)
    while not status.ended:
        running = tuple(one.index for one in status.running)
        if status.state == "running" and status.step:
            assert status.step == status.running[0].step if running else status.step == 40
            seen.add((running, status.made, 0 < status.step < 40))
        status = bench.engine.wait(job, status.version, 5)
    assert status.state == "done" and status.made == 9 and status.running == ()
    assert (tuple(range(8)), 0, True) in seen, "the first eight, together"
    assert ((8,), 8, True) in seen, "then the ninth"


def test_each_running_picture_tells_its_own_step():
    job = Job("j", request(batch_size=3, steps=20))
    for picture in job.pictures[:2]:
        job.begin(picture)
    job.step(job.pictures[0], 6, 20)
    job.step(job.pictures[1], 2, 20)
    job.publish()
    told = [(one.index, one.step, one.steps, one.progress) for one in job.status.running]
    assert told == [(0, 7, 20, 0.35), (1, 3, 20, 0.15)]
    assert (job.status.step, job.status.steps) == (7, 20)
    job.made(job.pictures[0])
    assert [one.index for one in job.status.running] == [1]
    assert (job.status.step, job.status.made) == (3, 1)
    assert job.status.progress == pytest.approx((1 + 0.15) / 3)


def test_what_is_left_follows_from_the_speed(clock):
    job = Job("j", request(batch_size=2, steps=10))
    for picture in job.pictures:
        job.begin(picture)
    clock[0] += 60  # loading
    turn(job, 1, 10, number=1)
    assert job.status.eta_s is None, "of the speed nothing is known"
    clock[0] += 2
    turn(job, 2, 10, number=2)
    assert job.status.eta_s == pytest.approx(16)


def test_standing_still_and_steps_of_an_earlier_start_are_not_counted(clock):
    job = Job("j", request(steps=10))
    job.begin(job.pictures[0])
    for step in range(1, 6):  # from its log, in no time
        turn(job, step, 10, number=0, known=True)
    turn(job, 6, 10, number=1)
    clock[0] += 3
    turn(job, 7, 10, number=2)
    assert job.status.eta_s == pytest.approx(9)
    job.go("paused")
    clock[0] += 500
    job.resume()
    assert job.status.eta_s is None
    turn(job, 8, 10, number=3)
    clock[0] += 1
    turn(job, 9, 10, number=4)
    assert job.status.eta_s == pytest.approx(1)
