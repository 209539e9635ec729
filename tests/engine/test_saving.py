"""States of jobs are written in the order of their changes, the newest of each; a full disk loses none."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine.conftest import request
from webui.engine.job import Job
from webui.engine.saving import StateWriter


class Store:
    """Keeps what it is told; waits for `opened`, and fails as often as it is told to."""

    def __init__(self):
        self.told, self.fails = [], []
        self.reached, self.opened = threading.Event(), threading.Event()

    def changed(self, job, state, *told):
        self.reached.set()
        assert self.opened.wait(60)
        if self.fails:
            raise self.fails.pop()
        self.told.append((job, state))


@pytest.fixture
def writing():
    store, thread = Store(), ThreadPoolExecutor(1)
    yield store, StateWriter(store, thread), thread
    store.opened.set()
    thread.shutdown()


def test_the_newest_state_of_each_job_is_written_in_order(writing):
    store, states, thread = writing
    jobs = {name: Job(name, request()) for name in "abc"}
    states.keep(jobs["a"])
    assert store.reached.wait(60)
    for name in "bcb":  # while the disk is slow
        jobs[name].go("running" if jobs[name].state == "queued" else "paused")
        states.keep(jobs[name])
    jobs["a"].go("cancelled")
    states.keep(jobs["a"])
    store.opened.set()
    thread.submit(states.rest).result(60)
    assert store.told == [("a", "queued"), ("c", "running"), ("b", "paused"), ("a", "cancelled")]


def test_what_a_full_disk_refuses_is_written_later_in_order(writing):
    store, states, thread = writing
    store.opened.set()
    store.fails = [OSError(errno.ENOSPC, "No space left on device")] * 2
    for name in "ab":
        states.keep(Job(name, request()))
    thread.submit(states.rest).result(60)
    for _ in range(2):
        thread.submit(states.rest).result(60)
    assert store.told == [("a", "queued"), ("b", "queued")]
