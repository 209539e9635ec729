"""What `Jobs` does beside keeping states, which the engine's tests see."""

from tests.engine.conftest import request
from webui.engine.job import Job
from webui.engine.jobs import Jobs


def test_a_long_queue_ends_in_time_that_grows_with_its_length(monkeypatch):
    """Each job that ends moved all that wait behind it: stopping with 1,640 of them took 34 s."""
    jobs = Jobs(16, None)
    many = [Job(str(number), request()) for number in range(50)]
    for job in many:
        jobs.accept(job, None)
    looks = []
    waiting = jobs.queue.waiting
    monkeypatch.setattr(jobs.queue, "waiting", lambda: looks.append(1) or waiting())
    jobs.close()
    for job in many:
        jobs.end(job, "cancelled", taken_up=True)
    assert not looks and all(job.state == "cancelled" for job in many)
    jobs.saver.shutdown()
