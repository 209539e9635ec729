"""A call that is ill made, or code that means to end its thread, ends its own job: the loop goes on for the others."""

import threading
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn

from tests.engine.conftest import request
from webui.engine import guidance
from webui.engine.tasks import TASKS
from webui.types import Denoise, EncodeText, LoadModel, LoadNetwork, RunNetwork, Task


class Exits(nn.Module):
    def forward(self, x):
        raise SystemExit("from a network")


def without_rows(call):
    return replace(call, rows=())


def of_words(call):
    return replace(call, x="x")


def of_another_kind_of_model(call):
    return replace(call, model="tiny")


@pytest.mark.parametrize("spoiled", [without_rows, of_words, of_another_kind_of_model])
def test_an_ill_made_call_is_its_tasks_fault(start, spoiled):
    def task(asked, studio):
        model = yield LoadModel(asked.model)
        texts = (yield EncodeText(model, "a cat", "")).texts
        yield spoiled(Denoise(model, torch.zeros(4, 8, 8), 2.0, guidance.rows(texts, 4.0)))

    spares_others(start, task)


def test_a_network_that_exits_ends_its_job_alone(start):
    def task(asked, studio):
        network = yield LoadNetwork("test", "exits", Exits)
        yield RunNetwork(network, (torch.ones(1),))

    assert "from a network" in spares_others(start, task)


def spares_others(start, task) -> str:
    def plain(asked, studio):
        yield LoadModel(asked.model)
        return Image.new("RGB", (64, 64))

    ill, good = Task("ill", "Ill", task), Task("good", "Good", plain)
    bench = start(tasks={**TASKS, "ill": ill, "good": good})
    failed = bench.end(bench.engine.submit(request(task="ill")))
    assert failed.state == "failed" and failed.error and "start Easel again" not in failed.error
    assert bench.end(bench.engine.submit(request(task="good"))).state == "done"
    return failed.error


def test_a_stop_does_not_wait_for_a_task_that_hangs_at_its_end(start):
    made, go = threading.Event(), threading.Event()

    def task(asked, studio):
        try:
            model = yield LoadModel(asked.model)
            while True:
                yield EncodeText(model, "a cat", "")
                made.set()
        finally:
            go.wait(60)

    bench = start(tasks={**TASKS, "hangs": Task("hangs", "Hangs", task)})
    bench.engine.submit(request(task="hangs"))
    assert made.wait(60)
    assert not bench.engine.stop(), "it came back before the task did, and says so"
    assert not go.is_set()
    go.set()
