"""The table of calls: a kind that is registered is run, recorded, given again after a restart and named in the status,
without any other file knowing of it; what is in no entry is refused."""

import threading
import time
from dataclasses import dataclass

import pytest
import torch

from tests.engine.conftest import request
from webui.engine import calls
from webui.engine.calls import CallType, Loads, Progress, Recording, call_type, register
from webui.engine.tasks import TASKS
from webui.errors import UnknownCallError
from webui.plugins.clock import Clock
from webui.plugins.extension import Extension, Limits
from webui.plugins.finding import Found
from webui.plugins.guards import guarded
from webui.store.jobs import JobStore
from webui.types import Call, Decode, LoadModel, Task


@dataclass(frozen=True, slots=True, eq=False)
class Fold(Call):
    """Adds up a tensor, a row a slice."""

    x: torch.Tensor


@dataclass(frozen=True, slots=True)
class Fetch(Call):
    """Is loaded beside the loop."""

    what: str


@dataclass(frozen=True, slots=True)
class Idle(Call):
    """Does nothing; nothing of it is recorded."""


@dataclass(frozen=True, slots=True)
class Odd(Call):
    """Its reply is nothing that a log could hold."""

    what: str


@dataclass(frozen=True, slots=True)
class Stray(Call):
    """Nobody registers it."""


@pytest.fixture
def folding():
    """Registers all but the last; a fold waits for `go` after its first slice. What was folded, fetched and odd."""
    made, held, go = [], {}, threading.Event()

    def fold(runner, call):
        total = torch.zeros(call.x.shape[1])
        for number, row in enumerate(call.x):
            total = total + row
            yield Progress((number + 1) / len(call.x), f"row {number + 1}")
            assert go.wait(60)
        made.append(float(call.x.sum()))
        return {"sum": total, "rows": len(call.x)}

    def load(runner, call, progress):
        made.append(call.what)
        held[call.what] = f"the {call.what}"
        return held[call.what]

    register(
        Fold,
        CallType(
            run=fold,
            name=lambda call: f"a fold of {len(call.x)}",
            recording=Recording(described=lambda call: {"x": call.x}),
        ),
    )
    register(
        Fetch,
        CallType(
            run=lambda runner, call: load(runner, call, None),
            name=lambda call: f"a {call.what}",
            loads=Loads(resident=lambda runner, call: held.get(call.what), load=load),
        ),
    )
    register(Idle, CallType(run=lambda runner, call: None))
    register(
        Odd,
        CallType(
            run=lambda runner, call: made.append(call.what) or object(),
            recording=Recording(described=lambda call: {"what": call.what}),
        ),
    )
    yield made, go
    for kind in (
        Fold,
        Fetch,
        Idle,
        Odd,
    ):  # these alone: others come with what is imported meanwhile
        del calls._TABLE[kind]


def origami(results, kinds, free=None):
    """A task that makes `kinds` of calls, then idles until it is `free`."""

    def make(asked, studio):
        for call in kinds:
            results.append((yield call))
        while not (free is None or free.is_set()):
            yield Idle()
        model = yield LoadModel(asked.model)
        return (yield Decode(model, studio.noise(studio.seed, model.latent_shape(64, 64)) * 0))

    return {"origami": Task("origami", "Origami", make, samples=False)}


def fold(value: float, rows: int = 4) -> Fold:
    return Fold(torch.full((rows, 3), value))


def restarted(start, tmp_path, kinds, results):
    """A job that has made all `kinds` is broken off and finished by another engine."""
    free, persistence = threading.Event(), JobStore(tmp_path / "kept")
    tasks = origami(results, kinds, free)
    bench = start(tasks=tasks, persistence=persistence)
    job = bench.engine.submit(request(task="origami"))
    bench.until(job, lambda s: len(results) == len(kinds) or s.ended)
    bench.engine.stop()
    persistence.close()
    free.set()
    first = list(results)
    results.clear()
    persistence = JobStore(tmp_path / "kept")
    again = start(tasks=tasks, persistence=persistence)
    assert again.end(job).state == "done"
    again.engine.stop()
    persistence.close()
    return first


def test_a_registered_call_runs_in_slices_and_its_progress_is_the_jobs(start, folding):
    made, go = folding
    results = []
    bench = start(tasks=origami(results, [Fetch("crane"), fold(1.0), fold(2.0)]))
    job = bench.engine.submit(request(task="origami"))
    status = bench.until(job, lambda s: "fold" in s.note or s.ended)
    assert status.note == "a fold of 4: row 1, 25 %" and status.progress == 0.25
    (told,) = [event for event in bench.engine.events(job) if event.kind == "step"]
    assert told.data == {"picture": 0, "step": 0, "steps": 0, "progress": 0.25}
    go.set()
    assert bench.end(job).state == "done"
    assert results[0] == "the crane" and [r["rows"] for r in results[1:]] == [4, 4]
    assert [r["sum"].tolist() for r in results[1:]] == [[4.0] * 3, [8.0] * 3]
    assert made == ["crane", 12.0, 24.0]


def test_a_registered_call_that_loads_is_named_while_it_does(start, folding):
    loading, loaded = threading.Event(), threading.Event()

    def load(runner, call, progress):
        loading.set()
        assert loaded.wait(60)
        return "a boat"

    calls._TABLE[Fetch] = CallType(
        run=load, name=lambda call: f"a {call.what}", loads=Loads(lambda *_: None, load)
    )
    results = []
    bench = start(tasks=origami(results, [Fetch("boat")]))
    job = bench.engine.submit(request(task="origami"))
    assert loading.wait(60)
    assert bench.engine.status(job).note == "Loading a boat"
    loaded.set()
    assert bench.end(job).state == "done" and results == ["a boat"]


def test_a_registered_call_is_answered_from_the_log_after_a_restart(start, folding, tmp_path):
    made, go = folding
    go.set()
    results = []
    first = restarted(start, tmp_path, [fold(1.0), Fetch("crane"), fold(2.0)], results)
    assert made == [12.0, "crane", 24.0], "nothing was folded or fetched twice"
    assert [r["sum"].tolist() for r in (results[0], results[2])] == [[4.0] * 3, [8.0] * 3]
    assert results[0]["rows"] == first[0]["rows"] == 4 and results[1] == "the crane"


def test_a_reply_that_no_log_can_hold_is_made_again_in_its_place(start, folding, tmp_path):
    """What was recorded after it is still given from the log."""
    made, go = folding
    go.set()
    kinds = [Odd("a"), fold(1.0), Odd("b"), Odd("c")]
    restarted(start, tmp_path, kinds, [])
    assert made == ["a", 12.0, "b", "c", "a", "b", "c"]


def test_steps_of_others_are_made_between_the_slices_of_a_long_call(start, folding):
    steps = []

    def patient(runner, call):
        until = time.monotonic() + 60
        while len(steps) < 3 and time.monotonic() < until:
            yield
        return len(steps)

    calls._TABLE[Fold] = CallType(run=patient)
    results = []
    bench = start(
        tasks={**TASKS, **origami(results, [fold(1.0)])},
        called=lambda model, rows, seconds: steps.append(rows),
    )
    long = bench.engine.submit(request(task="origami"))
    short = bench.engine.submit(request(steps=6))
    assert {bench.end(long).state, bench.end(short).state} == {"done"}
    assert results == [3] and len(steps) == 6


def test_what_is_in_no_entry_is_refused_with_the_extensions_name(start):
    guest = Extension(Found("guest", "guest"), Clock(), Limits(), is_call=calls.is_call)
    guest.loaded = True
    plain = origami([], [Stray()])["origami"]
    bench = start(tasks={"plain": plain, "guest": guarded(guest, plain)})
    failed = bench.end(bench.engine.submit(request(task="guest")))
    assert (
        failed.error
        == "extension 'guest', task 'origami': yielded a value of type Stray, which is no call"
    )
    assert guest.status().problems
    failed = bench.end(bench.engine.submit(request(task="plain")))
    assert failed.error == "a task yielded a value of type Stray, which is no call"
    with pytest.raises(UnknownCallError):
        call_type(3)


def test_a_kind_has_one_entry():
    with pytest.raises(ValueError, match="LoadModel are registered already"):
        register(LoadModel, CallType(run=lambda runner, call: None))
