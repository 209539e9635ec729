"""What the ledger does beside keeping states, which the engine's tests see."""

from tests.engine.conftest import request
from webui.engine.job import Job
from webui.engine.ledger import Ledger


def test_a_long_queue_ends_in_time_that_grows_with_its_length(monkeypatch):
    """Each job that ends moved all that wait behind it: stopping with 1,640 of them took 34 s."""
    ledger = Ledger(16, None)
    jobs = [Job(str(number), request()) for number in range(50)]
    for job in jobs:
        ledger.accept(job, None)
    looks = []
    waiting = ledger.jobs.waiting
    monkeypatch.setattr(ledger.jobs, "waiting", lambda: looks.append(1) or waiting())
    ledger.close()
    for job in jobs:
        ledger.end(job, "cancelled", taken_up=True)
    assert not looks and all(job.state == "cancelled" for job in jobs)
    ledger.saver.shutdown()
