"""The loop: requests share UNet calls and come out as if they were alone; they join, leave and fail alone."""

import threading

import numpy as np
import pytest
from PIL import Image

from tests.engine.conftest import request
from webui.engine.tasks import TASKS
from webui.errors import EaselError, RequestError
from webui.types import Decode, EncodeText, LoadModel, Sampler, Task

KINDS = [
    request(seed=1),
    request(seed=2, sampler_name="Euler a", prompt="a dog on the grass", steps=7),
    request(seed=3, sampler_name="DPM++ 2M", cfg_scale=1.0, steps=3),
    request(seed=4, sampler_name="Heun", cfg_scale=9.0, negative_prompt="red", steps=5),
]


def worst(ours: list[bytes], theirs: list[bytes]) -> int:
    """The largest difference of two lists of pictures, in grey levels."""
    assert len(ours) == len(theirs) > 0
    pairs = zip(ours, theirs, strict=True)
    return max(
        int(np.abs(np.frombuffer(a, np.uint8).astype(int) - np.frombuffer(b, np.uint8)).max())
        for a, b in pairs
    )


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_request_comes_out_the_same_as_alone(start, deterministic):
    """To the bit with `deterministic`, else within one grey level (fp32, other batch widths)."""
    bench = start(deterministic=deterministic)
    alone = []
    for kind in KINDS:
        job = bench.engine.submit(kind)
        assert bench.end(job).state == "done"
        alone.append(bench.pictures(job))
    before = bench.engine._runner.calls
    jobs = [bench.engine.submit(kind) for kind in KINDS]
    together = []
    for job in jobs:
        assert bench.end(job).state == "done"
        together.append(bench.pictures(job))
    shared = bench.engine._runner.calls - before
    assert (shared < sum((4, 7, 3, 9))) is not deterministic, (
        "shared where it should not, or not at all"
    )
    for a, b in zip(alone, together, strict=True):
        assert worst(a, b) <= (0 if deterministic else 1)


def test_pictures_of_a_request_have_following_seeds_and_equal_single_ones(start):
    bench = start(deterministic=True)
    many = bench.engine.submit(request(seed=10, batch_size=3))
    assert bench.end(many).state == "done"
    assert [f.seed for f in sorted(bench.finished, key=lambda f: f.index)] == [10, 11, 12]
    single = bench.engine.submit(request(seed=12))
    bench.end(single)
    assert bench.pictures(many)[2] == bench.pictures(single)[0]


def test_a_newcomer_starts_within_one_call_of_a_running_job(start):
    """A long job runs; one that comes in the middle ends long before it, in shared calls."""
    bench = start()
    long = bench.engine.submit(request(steps=150))
    bench.until(long, lambda s: s.step >= 5)
    short = bench.engine.submit(request(steps=2, seed=9))
    assert bench.end(short).state == "done"
    assert not bench.engine.status(long).ended
    bench.engine.cancel(long)
    assert bench.end(long).state == "cancelled"


def test_cancel_ends_a_job_at_its_next_call_and_frees_the_engine(start):
    bench = start()
    job = bench.engine.submit(request(steps=150, batch_size=2))
    bench.until(job, lambda s: s.step >= 2)
    bench.engine.cancel(job)
    status = bench.end(job)
    assert (status.state, status.pictures) == ("cancelled", ())
    assert status.step < 150
    assert bench.end(bench.engine.submit(request())).state == "done"


def test_a_cancelled_job_that_never_started_makes_nothing(start):
    bench = start()
    job = bench.engine.submit(request())
    bench.engine.cancel(job)
    assert bench.end(job).state in ("cancelled", "done")
    bench.engine.cancel(job)  # again is no fault
    with pytest.raises(RequestError, match="not known"):
        bench.engine.cancel("nonsense")


def test_a_task_that_fails_costs_only_itself(start):
    def broken(request, studio):
        model = yield LoadModel(request.model)
        yield EncodeText(model, request.prompt, "")
        raise ZeroDivisionError("a bug of the task")

    def wrong_call(request, studio):
        yield "not a call"

    def says_why(request, studio):
        raise RequestError("say it like this")
        yield

    extra = {t.__name__: Task(t.__name__, "", t) for t in (broken, wrong_call, says_why)}
    bench = start(tasks={**TASKS, **extra})
    jobs = {name: bench.engine.submit(request(task=name)) for name in (*extra, "txt2img")}
    ends = {name: bench.end(job) for name, job in jobs.items()}
    assert ends["txt2img"].state == "done"
    assert all(ends[name].state == "failed" for name in extra)
    assert "ZeroDivisionError: a bug of the task" in ends["broken"].error
    assert ends["says_why"].error == "say it like this"


def test_a_call_that_fails_costs_only_its_job(start):
    """A sampler yields a latent that the UNet cannot take, in the same batch as a sound one."""

    def poison(x, sigmas, noise):
        yield x, sigmas[0]
        yield x, "no number"

    samplers = {"poison": Sampler("poison", poison)}
    from webui.engine.samplers import SAMPLERS

    bench = start(samplers={**SAMPLERS, **samplers})
    bad = bench.engine.submit(request(sampler_name="poison"))
    good = bench.engine.submit(request(steps=6))
    assert bench.end(bad).state == "failed"
    assert bench.end(good).state == "done"


def test_a_sampler_that_asks_for_the_unconditional_prediction_gets_it(start):
    seen = []

    def curious(x, sigmas, noise):
        denoised, uncond = yield x, sigmas[0], "uncond"
        seen.append((tuple(denoised.shape), tuple(uncond.shape), bool((denoised == uncond).all())))
        return denoised

    from webui.engine.samplers import SAMPLERS

    bench = start(samplers={**SAMPLERS, "curious": Sampler("curious", curious)})
    for scale in (1.0, 5.0):
        job = bench.engine.submit(request(sampler_name="curious", cfg_scale=scale))
        assert bench.end(job).state == "done"
    assert seen == [((4, 8, 8), (4, 8, 8), False)] * 2


def test_progress_grows_and_a_preview_is_shown(start):
    bench = start()
    job = bench.engine.submit(request(steps=30, width=128))
    status = bench.until(job, lambda s: 0 < s.step < 30)
    assert status.steps == 30
    assert 0 < status.progress < 1
    preview = bench.engine.preview(job)
    if not bench.engine.status(job).ended:
        assert preview.size == (128, 64)
    last = bench.end(job)
    assert (last.progress, last.step, len(last.pictures)) == (1.0, 30, 1)
    assert bench.engine.preview(job) is None


def test_an_ended_job_keeps_no_pictures_in_memory(start):
    bench = start()
    given = Image.new("RGB", (64, 64), "red")
    job = bench.engine.submit(request(task="img2img", image=given))
    assert bench.engine.status(job).request.image is given
    status = bench.end(job)
    assert status.state == "done"
    assert status.request.image is None and status.request.prompt == "a cat"


def test_two_models_take_turns(start):
    bench = start()
    jobs = [
        bench.engine.submit(request(model=model, steps=6)) for model in ("tiny", "tiny-inpainting")
    ]
    assert [bench.end(job).state for job in jobs] == ["done", "done"]


def test_a_model_that_is_gone_is_told(start):
    bench = start()
    status = bench.end(bench.engine.submit(request(model="nowhere")))
    assert status.state == "failed"
    assert "nowhere" in status.error


def test_a_device_that_is_not_there_fails_jobs_with_a_sentence(start):
    bench = start(device="cuda:7")
    try:
        status = bench.end(bench.engine.submit(request()))
        assert status.state == "failed"
        assert "cuda:7" in status.error
    except EaselError as error:  # it had failed before the request came
        assert "cuda:7" in str(error)


def test_stop_finishes_the_running_call_and_tells_the_rest(start):
    bench = start()
    job = bench.engine.submit(request(steps=150))
    bench.until(job, lambda s: s.step >= 1)
    waiter = threading.Thread(target=bench.engine.stop)
    waiter.start()
    waiter.join(30)
    assert not waiter.is_alive()
    status = bench.engine.status(job)
    assert status.state == "cancelled"
    assert "stopped" in status.error
    with pytest.raises(EaselError, match="stopping"):
        bench.engine.submit(request())


def test_many_jobs_all_end_and_wait_their_turn(start):
    bench = start()
    jobs = [bench.engine.submit(request(steps=2, seed=i)) for i in range(40)]
    assert bench.engine.status(jobs[-1]).position > 0
    assert all(bench.end(job).state == "done" for job in jobs)
    assert len({bytes(p) for job in jobs for p in bench.pictures(job)}) == 40


def test_a_task_without_sampling_may_return_a_picture(start):
    def grey(request, studio):
        model = yield LoadModel(request.model)
        latent = studio.noise(studio.seed, model.latent_shape(request.width, request.height)) * 0
        return studio.picture((yield Decode(model, latent)))

    bench = start(tasks={"grey": Task("grey", "Grey", grey)})
    job = bench.engine.submit(request(task="grey"))
    assert bench.end(job).state == "done"
    assert bench.finished[0].picture.size == (64, 64)


def test_a_call_that_does_not_come_back_is_told_by_name(start, caplog):
    """A network that sleeps; the job says so while it lasts, and goes on afterwards."""
    import time

    import torch

    from webui.types import LoadNetwork, RunNetwork

    class Slow(torch.nn.Module):
        def forward(self, x):
            time.sleep(2.5)
            return x

    def slow(asked, studio):
        network = yield LoadNetwork("test", "slow", Slow)
        yield RunNetwork(network, (torch.ones(1),), step=0, steps=2)
        yield RunNetwork(network, (torch.ones(1),), step=1, steps=2)
        return Image.new("RGB", (8, 8))

    told = []
    tasks = {"slow": Task("slow", "Slow", slow, samples=False)}
    bench = start(tasks=tasks, hang_s=0.2, hung=told.append)
    job = bench.engine.submit(request(task="slow"))
    bench.until(job, lambda s: "not answered for long: RunNetwork" in s.note)
    assert bench.end(job).state == "done"
    assert told and "has not answered" in caplog.text


def test_a_fault_of_the_loop_is_told_and_takes_no_more(start, monkeypatch, caplog):
    from webui.engine.loop import Loop

    def broken(loop):
        raise ZeroDivisionError("a bug of ours")

    bench = start()
    bench.end(bench.engine.submit(request(steps=1)))
    monkeypatch.setattr(Loop, "_next_batch", broken)
    status = bench.end(bench.engine.submit(request(steps=1)))
    assert status.state == "failed" and "a bug of ours" in status.error
    with pytest.raises(EaselError, match="start Easel again"):
        bench.engine.submit(request())


def test_no_thread_works_on_after_the_stop(start):
    """Not even one that reads a model ahead: while Python ends it would find that half of it is gone."""
    before = set(threading.enumerate())
    engine = start().engine
    job = engine.submit(request())

    def ours():
        return {t.name.partition("_")[0] for t in set(threading.enumerate()) - before}

    while "easel-loader" not in ours():
        assert not engine.wait(job, 0, 0.001).ended
    assert engine.stop()
    assert ours() == set()
    assert engine.status(job).state == "cancelled", "it was not failed for that"
