"""Nobody waits for a task: while its code runs, or a log is read, everything that faces ask is answered."""

import threading

import pytest
from PIL import Image

from tests.engine.conftest import request
from webui.engine.tasks import TASKS
from webui.store.jobs import JobStore
from webui.store.replies import ReplyLog
from webui.types import EncodeText, LoadModel, LoadNetwork, RunNetwork, Task


class Gate:
    """Code that waits until the test opens it."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self):
        self.reached.set()
        assert self.opened.wait(60), "nobody opened it: somebody waits for it"


def ask_everything(engine, slow: str) -> str:
    """What faces may ask while job `slow` stands in its own code; the id of a job that was queued meanwhile."""
    other = engine.submit(request(seed=5))
    assert engine.status(slow).state == "running"
    assert engine.wait(slow, 0, 0).id == slow
    assert [status.id for status in engine.jobs()][-2:] == [slow, other]
    assert engine.status(other).position == 1
    assert engine.events(slow)[0].kind == "queued"
    assert engine.preview(slow) is None and "cpu" in engine.describe()["device"]
    engine.prioritise(other, 3)
    engine.pause(other)
    assert engine.status(other).state == "paused"
    engine.resume(other)
    third = engine.submit(request(seed=6))
    engine.cancel(third)
    assert engine.status(third).state == "cancelled"
    return other


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


def before_its_first_call(gate):
    def task(asked, studio):
        gate()
        yield LoadModel(asked.model)
        return Image.new("RGB", (64, 64))

    return task


def after_a_load(gate):
    """A network that nobody has loaded before: what comes after it is the answer of another thread."""
    import torch

    def task(asked, studio):
        yield LoadNetwork("test", "after", torch.nn.Identity)
        gate()
        return Image.new("RGB", (64, 64))

    return task


def after_a_call(gate):
    import torch

    def task(asked, studio):
        network = yield LoadNetwork("test", "call", torch.nn.Identity)
        yield RunNetwork(network, (torch.ones(1),))
        gate()
        return Image.new("RGB", (64, 64))

    return task


@pytest.mark.parametrize("kind", [before_its_first_call, after_a_load, after_a_call])
def test_while_a_task_waits_everything_is_answered(start, gate, kind):
    bench = start(tasks={**TASKS, "slow": Task("slow", "Slow", kind(gate), samples=False)})
    bench.end(bench.engine.submit(request(steps=1)))
    slow = bench.engine.submit(request(task="slow"))
    assert gate.reached.wait(60)
    other = ask_everything(bench.engine, slow)
    assert not gate.opened.is_set()
    gate.opened.set()
    assert {bench.end(job).state for job in (slow, other)} == {"done"}


def test_while_a_log_is_read_everything_is_answered(start, gate, tmp_path, monkeypatch):
    persistence = JobStore(tmp_path / "kept")
    bench = start(persistence=persistence, deterministic=True)
    job = bench.engine.submit(request(steps=20))
    bench.until(job, lambda s: s.step >= 3)
    bench.engine.stop()
    persistence.close()
    read = ReplyLog.read

    def slowly(self, header):
        gate()
        return read(self, header)

    monkeypatch.setattr(ReplyLog, "read", slowly)
    again = start(persistence=JobStore(tmp_path / "kept"), deterministic=True)
    assert gate.reached.wait(60)
    other = ask_everything(again.engine, job)
    gate.opened.set()
    assert {again.end(one).state for one in (job, other)} == {"done"}
    again.engine.stop()


def test_a_job_is_cancelled_while_its_own_code_runs(start, gate):
    closed = []

    def task(asked, studio):
        try:
            gate()
            yield LoadModel(asked.model)
        except GeneratorExit:
            closed.append("cancelled between two calls")
            raise

    bench = start(tasks={**TASKS, "slow": Task("slow", "Slow", task, samples=False)})
    bench.end(bench.engine.submit(request(steps=1)))
    slow = bench.engine.submit(request(task="slow"))
    assert gate.reached.wait(60)
    bench.engine.cancel(slow)
    assert bench.engine.status(slow).state == "cancelled" and not closed
    gate.opened.set()
    assert bench.end(bench.engine.submit(request(steps=1))).state == "done"
    assert closed and bench.engine.status(slow).state == "cancelled"


def test_a_task_that_does_not_come_back_does_not_keep_the_engine_from_stopping(
    start, gate, caplog, monkeypatch
):
    """With thousands waiting behind it, none of which is lost."""
    from webui.engine import engine as engine_module

    monkeypatch.setattr(engine_module, "CALL_S", 0.2)
    tasks = {"slow": Task("slow", "Slow", before_its_first_call(gate), samples=False)}
    bench = start(tasks={**TASKS, **tasks})
    bench.end(bench.engine.submit(request(steps=1)))
    slow = bench.engine.submit(request(task="slow"))
    assert gate.reached.wait(60)
    waiting = [bench.engine.submit(request(seed=i)) for i in range(100)]
    stopped = []
    stopping = threading.Thread(target=lambda: stopped.append(bench.engine.stop()))
    stopping.start()
    stopping.join(60)
    assert stopped == [False] and not gate.opened.is_set()
    assert "Easel stops without it" in caplog.text
    for job in (slow, *waiting):
        assert bench.engine.status(job).state == "cancelled"
        assert "stopped" in bench.engine.status(job).error


def test_a_task_that_will_not_end_keeps_no_job_from_ending(start, caplog):
    def stubborn(asked, studio):
        try:
            model = yield LoadModel(asked.model)
            while True:
                yield EncodeText(model, asked.prompt, "")
        except GeneratorExit:
            yield LoadModel(asked.model)

    bench = start(tasks={**TASKS, "stubborn": Task("stubborn", "Stubborn", stubborn)})
    job = bench.engine.submit(request(task="stubborn"))
    bench.until(job, lambda status: status.state == "running" and not status.note)
    bench.engine.cancel(job)
    assert bench.end(bench.engine.submit(request(steps=1))).state == "done"
    assert bench.engine.status(job).state == "cancelled" and "ends badly" in caplog.text


def test_a_log_that_is_beyond_reading_costs_its_job_alone(start, tmp_path, monkeypatch):
    def broken(self, header):
        raise ValueError("nobody thought of that")

    bench = start(persistence=JobStore(tmp_path / "kept"))
    monkeypatch.setattr(ReplyLog, "read", broken)
    status = bench.end(bench.engine.submit(request(steps=1)))
    assert status.state == "failed" and "nobody thought of that" in status.error
    monkeypatch.undo()
    assert bench.end(bench.engine.submit(request(steps=1))).state == "done"
    bench.engine.stop()
