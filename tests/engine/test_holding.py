"""What the machine lacks for a while holds a job and costs none; memory is tried once more, then a size is named."""

import errno
import re

import pytest
import torch
from torch import nn

from tests.engine.conftest import request
from webui.catalog.checkpoints import list_models
from webui.engine import device, faults, guidance
from webui.engine.fitting import too_large
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.engine.tasks import TASKS
from webui.errors import EaselError, ModelFileError, lacking
from webui.types import ControlNetwork, Denoise, EncodeText, LoadModel, LoadNetwork, Residuals, Task

FULL = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(faults, "AGAIN_S", 0.05)


def failing(function, times, error):
    """`function`, which raises `error` the first times; how often it was called."""
    calls = []

    def wrapped(*given, **named):
        calls.append(given)
        if len(calls) <= times:
            raise error
        return function(*given, **named)

    return wrapped, calls


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT])
def test_a_model_that_cannot_be_read_for_now_is_read_later(start, number):
    bench = start()
    assert bench.end(bench.engine.submit(request())).state == "done"
    told = ModelFileError("a.safetensors: cannot be read")
    told.__cause__ = OSError(number, "as the system says it")
    runner = bench.engine._runner
    runner.read, calls = failing(runner.read, 2, told)
    job = bench.engine.submit(request(model="tiny-inpainting", steps=1))
    bench.until(job, lambda s: "Too many files" in s.note or "disk is full" in s.note)
    assert bench.end(job).state == "done" and len(calls) >= 3


def test_a_task_that_meets_too_many_open_files_begins_again(start):
    made = []

    def task(asked, studio):
        made.append(1)
        if len(made) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return (yield from TASKS["txt2img"].make(asked, studio))

    bench = start(tasks={**TASKS, "held": Task("held", "Held", task)})
    assert bench.end(bench.engine.submit(request(task="held"))).state == "done"
    assert len(made) == 3


def test_an_engine_that_starts_among_too_many_open_files_waits(start, monkeypatch):
    spare, calls = failing(device.spare_files, 2, OSError(errno.EMFILE, "Too many open files"))
    monkeypatch.setattr(device, "spare_files", spare)
    bench = start()
    assert bench.end(bench.engine.submit(request())).state == "done" and len(calls) == 3


def test_memory_that_runs_out_once_costs_other_models_their_place_alone(start):
    bench = start()
    for model in ("tiny-inpainting", "tiny"):
        assert bench.end(bench.engine.submit(request(model=model, steps=1))).state == "done"
    runner = bench.engine._runner
    runner.denoise, _ = failing(runner.denoise, 1, RuntimeError(FULL))
    assert bench.end(bench.engine.submit(request())).state == "done"
    assert list(runner.model_cache) == ["tiny"]


def test_a_size_that_does_not_fit_is_refused_with_one_that_does(start):
    bench = start()
    bench.end(bench.engine.submit(request(steps=1)))
    runner = bench.engine._runner
    denoise = runner.denoise

    def small(calls):
        if calls[0].x.shape[-1] * calls[0].x.shape[-2] > 20 * 20:
            raise RuntimeError(FULL)
        return denoise(calls)

    runner.denoise = small
    status = bench.end(bench.engine.submit(request(width=256, height=256)))
    assert status.state == "failed"
    assert status.error == "not enough memory on cpu for 256 x 256; 128 x 128 would fit"
    width, height = map(int, re.findall(r"(\d+) x (\d+) would", status.error)[0])
    fitting = bench.engine.submit(request(width=width, height=height))
    assert bench.end(fitting).state == "done"


@pytest.mark.parametrize("hint", [(3, 512, 256), (8, 32, 16)])
def test_the_size_that_would_fit_counts_what_networks_of_extensions_take(models_dir, hint):
    """A network that takes a quarter as much again as what it is shown, at whatever scale."""
    runner = Runner(lambda: list_models([models_dir]), place("cpu", "float32", "sdpa"))
    seen = []

    class Shown(nn.Module):
        def forward(self, x, timesteps, conditioning, shown):
            seen.append((tuple(x.shape[-2:]), tuple(shown.shape[-2:])))
            if shown.shape[-2] > hint[1] // 2:
                raise RuntimeError(FULL)
            return Residuals()

    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
        network = runner.load(LoadNetwork("test", "shown", Shown))
        texts = runner.run([EncodeText(model, "a cat", "")])[0].texts
        control = ControlNetwork(network, {"shown": torch.zeros(hint)})
        call = Denoise(
            model,
            torch.zeros(4, 64, 32),
            1.0,
            guidance.rows(texts, 1.0),
            control_networks=(control,),
        )
        error = too_large(runner, call)
    assert str(error) == "not enough memory on cpu for 256 x 512; 128 x 256 would fit"
    assert seen[-1] == ((32, 16), (hint[1] // 2, hint[2] // 2))


def test_memory_that_runs_out_in_a_tasks_own_code_is_tried_once_more(start):
    made = []

    def task(asked, studio):
        model = yield LoadModel(asked.model)
        made.append(model)
        raise MemoryError

    bench = start(tasks={**TASKS, "greedy": Task("greedy", "Greedy", task)})
    status = bench.end(bench.engine.submit(request(task="greedy")))
    assert (status.state, len(made)) == ("failed", 2)
    assert "not enough memory" in status.error and "internal" not in status.error


def test_what_is_lacking_is_told_from_what_is_wrong():
    bare = OSError(errno.EMFILE, "Too many open files")
    assert lacking(bare) == "files"
    assert lacking(EaselError("a.safetensors cannot be read (Too many open files)")) == "files"
    assert lacking(RuntimeError("database or disk is full")) == "disk"
    assert lacking(ValueError("no")) == lacking(None) == ""
