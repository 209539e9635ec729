"""Interrupt keeps what there is, skip gives one picture up: at any step, paused, in the queue, over restarts."""

import errno
import re
from dataclasses import replace

import pytest
from PIL import Image

from tests.engine.conftest import request
from webui.engine.job import Job
from webui.engine.jobs import Jobs
from webui.errors import RequestError
from webui.store.jobs import JobStore
from webui.types import Decode, EncodeText, LoadModel, PostProcessor, Task

PICTURE = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
WHITE = Image.new("L", (64, 64), 255)


@pytest.fixture
def store(tmp_path):
    return lambda: JobStore(tmp_path / "kept")


def steps_of(finished) -> tuple[int, int]:
    """After which step of how many a picture was broken off, from its text's keys."""
    made, steps = re.fullmatch(r"(\d+)/(\d+)", finished.notes["Interrupted"]).groups()
    return int(made), int(steps)


def test_an_interrupted_job_keeps_its_running_pictures_and_begins_no_other(start):
    bench = start()
    job = bench.engine.submit(request(batch_size=12, steps=150))
    seen = bench.until(job, lambda s: s.step >= 5).step
    bench.engine.interrupt(job)
    assert bench.engine.status(job).interrupted
    status = bench.end(job)
    assert (status.state, status.made, status.error) == ("done", 8, None)
    assert status.skipped == (8, 9, 10, 11) and status.progress == 1
    assert len(status.pictures) == len(bench.finished) == 8
    made = {finished.index: steps_of(finished) for finished in bench.finished}
    assert sorted(made) == [*range(8)] and all(0 < step < 150 for step, _ in made.values())
    assert made[0][0] >= seen and made[0][1] == 150
    kinds = [event.kind for event in bench.engine.events(job)]
    assert kinds.index("interrupted") < kinds.index("saved") and kinds[-1] == "done"


@pytest.mark.parametrize(
    "asked",
    [
        request(steps=150, sampler_name="Heun"),
        request(steps=150, sampler_name="DPM++ 2M"),
        request(task="img2img", image=PICTURE, steps=150, denoising_strength=0.9),
        request(task="inpaint", image=PICTURE, mask=WHITE, steps=150, denoising_strength=0.9),
    ],
    ids=["two calls a step", "several steps back", "from a picture", "a part of one"],
)
def test_every_task_and_sampler_is_interrupted(start, asked):
    bench = start()
    job = bench.engine.submit(asked)
    bench.until(job, lambda s: s.step >= 3)
    bench.engine.interrupt(job)
    assert bench.end(job).state == "done"
    made, steps = steps_of(bench.finished[0])
    assert 3 <= made < steps


def test_a_picture_without_steps_is_finished_whole(start):
    def make(asked, studio):
        model = yield LoadModel(asked.model)
        reply = None
        for _ in range(30):
            reply = yield Decode(model, studio.noise(1, (4, 8, 8)))
        return reply

    bench = start(tasks={"plain": Task("plain", "Plain", make)})
    job = bench.engine.submit(request(task="plain", batch_size=2))
    bench.until(job, lambda s: len(s.running) == 2)
    bench.engine.interrupt(job)
    assert bench.end(job).state == "done"
    assert [dict(f.notes) for f in bench.finished] == [{}, {}]


def test_a_job_in_several_samplings_ends_with_what_it_has(start):
    """The rest of a sampling that was broken off changes nothing; another sampling makes one step."""
    parts, whole = [], []

    def make(asked, studio):
        model = yield LoadModel(asked.model)
        cond = yield EncodeText(model, asked.prompt, "")
        plan = studio.sampling(cond)
        noise = studio.first_noise(model.latent_shape(64, 64)) * plan.sigmas[0]
        half = plan.steps // 2
        first = yield from studio.sample(replace(plan, end=half, total=plan.steps), noise)
        rest = replace(plan, start=half, done=half, total=plan.steps)
        second = yield from studio.sample(rest, first)
        parts.append(second is first)
        whole.append((yield from studio.sample(plan, noise)))
        return (yield Decode(model, second))

    bench = start(tasks={"parts": Task("parts", "Parts", make)})
    job = bench.engine.submit(request(task="parts", steps=150))
    bench.until(job, lambda s: s.step >= 2)
    bench.engine.interrupt(job)
    calls = bench.end(job).steps
    assert parts == [True] and len(whole) == 1 and calls == 150
    made, steps = steps_of(bench.finished[0])
    assert 2 <= made < 75 and steps == 150, "as its bar said"
    assert bench.engine._runner.calls == made + 1


def test_a_paused_job_is_interrupted_where_it_stands(start):
    bench = start()
    job = bench.engine.submit(request(steps=150))
    bench.until(job, lambda s: s.step >= 4)
    bench.engine.pause(job)
    bench.end(bench.engine.submit(request(steps=1, seed=9)))
    stood = bench.engine.status(job).step
    bench.engine.interrupt(job)
    assert bench.end(job).state == "done"
    (finished,) = (f for f in bench.finished if f.job == job)
    assert steps_of(finished) == (stood + 1, 150), "the step that was asked for is made"


def test_what_was_not_begun_or_has_ended(start):
    bench = start()
    job = bench.engine.submit(request())
    bench.engine.pause(job)
    if bench.engine.status(job).step == 0:
        bench.engine.interrupt(job)
        bench.end(job)
    done = bench.engine.submit(request(steps=1))
    bench.end(done)
    bench.engine.interrupt(done)
    assert bench.engine.skip(done) is None
    assert bench.engine.status(done).state == "done"
    assert not bench.engine.status(done).interrupted
    for call in (bench.engine.interrupt, bench.engine.skip):
        with pytest.raises(RequestError, match="not known"):
            call("nowhere")


def test_a_job_of_which_nothing_was_begun_is_cancelled():
    jobs = Jobs(16)
    jobs.add(Job("a", request(batch_size=3)))
    jobs.interrupt(jobs["a"])
    status = jobs.status("a")
    assert (status.state, status.skipped, status.interrupted) == ("cancelled", (0, 1, 2), True)


def test_a_skipped_picture_is_not_made_and_the_others_are(start):
    bench = start(deterministic=True)
    plain = bench.engine.submit(request(batch_size=3, steps=30))
    assert bench.end(plain).state == "done"
    job = bench.engine.submit(request(batch_size=3, steps=30))
    bench.until(job, lambda s: s.step >= 2)
    assert bench.engine.skip(job, 1) == 1
    assert bench.engine.skip(job, 1) == 1, "it is given up already"
    assert bench.engine.skip(job) == 0, "the running one with the lowest place"
    status = bench.end(job)
    assert (status.state, status.skipped, status.made) == ("done", (0, 1), 1)
    assert bench.pictures(job) == bench.pictures(plain)[2:]
    told = [e.data["picture"] for e in bench.engine.events(job) if e.kind == "skipped"]
    assert told == [1, 0]


def test_skipping_makes_room_for_the_next(start):
    bench = start()
    job = bench.engine.submit(request(batch_size=9, steps=150))
    bench.until(job, lambda s: len(s.running) == 8 and s.step >= 1)
    assert bench.engine.skip(job) == 0
    status = bench.until(job, lambda s: [one.index for one in s.running] == [*range(1, 9)])
    assert status.state == "running" and status.skipped == (0,)
    for place in range(1, 9):
        assert bench.engine.skip(job) == place
    status = bench.end(job)
    assert (status.state, status.skipped) == ("cancelled", tuple(range(9)))
    assert bench.finished == []


def test_a_place_that_the_job_does_not_have_is_refused(start):
    bench = start()
    job = bench.engine.submit(request(batch_size=2, steps=150))
    for wrong in (2, -1):
        with pytest.raises(RequestError, match="the job has 2, counted from 0") as refused:
            bench.engine.skip(job, wrong)
        assert refused.value.field == "picture"
    bench.engine.cancel(job)


def test_other_jobs_of_the_same_call_are_not_touched(start):
    bench = start(deterministic=False)
    mine = bench.engine.submit(request(steps=150))
    other = bench.engine.submit(request(steps=40, seed=5))
    bench.until(mine, lambda s: s.step >= 2)
    bench.engine.interrupt(mine)
    assert bench.end(mine).state == "done" and bench.end(other).state == "done"
    notes = {f.job: dict(f.notes) for f in bench.finished}
    assert "Interrupted" in notes[mine] and "Interrupted" not in notes[other]


# --- Over a restart -------------------------------------------------------------------------------


def test_a_job_paused_before_a_restart_is_interrupted_after_it(start, store):
    kept = store()
    bench = start(persistence=kept)
    job = bench.engine.submit(request(batch_size=10, steps=150))
    bench.until(job, lambda s: s.step >= 4)
    bench.engine.pause(job)
    bench.end(bench.engine.submit(request(steps=1, seed=9)))
    stood = [one.step for one in bench.engine.status(job).running]
    assert bench.engine.skip(job, 3) == 3
    bench.engine.stop()
    kept.close()
    kept = store()
    again = start(persistence=kept)
    status = again.engine.status(job)
    assert (status.state, status.skipped) == ("paused", (3,))
    again.engine.interrupt(job)
    status = again.end(job)
    assert (status.state, status.skipped) == ("done", (3, 8, 9))
    made = [steps_of(f)[0] for f in sorted(again.finished, key=lambda f: f.index)]
    assert made == stood[:3] + stood[4:], "what there was, and not a step more"
    assert again.engine._runner.calls == 0
    again.engine.stop()
    kept.close()
    third = start(persistence=store())
    status = third.engine.status(job)
    assert (status.state, status.skipped, status.interrupted) == ("done", (3, 8, 9), True)


def test_an_interrupted_picture_that_was_not_saved_is_the_same_after_a_restart(start, store):
    """Its text too: where it was broken off is in its log."""
    seen = []

    def full(picture, asked, studio):
        seen.append(picture.tobytes())
        raise OSError(errno.ENOSPC, "full")

    kept = store()
    bench = start(persistence=kept, postprocessors=[PostProcessor("full", full)])
    job = bench.engine.submit(request(steps=150))
    bench.until(job, lambda s: s.step >= 4)
    bench.engine.interrupt(job)
    bench.until(job, lambda s: bool(seen))
    calls = bench.engine._runner.calls
    bench.engine.stop()
    kept.close()
    again = start(persistence=store())
    assert again.end(job).state == "done"
    (finished,) = again.finished
    assert steps_of(finished) == (calls, 150)
    assert again.engine._runner.calls == 0
    assert finished.picture.tobytes() == seen[0]


def test_of_what_cannot_go_on_an_interrupted_job_keeps_nothing(start, store):
    kept = store()
    bench = start(persistence=kept, version="one")
    job = bench.engine.submit(request(steps=150))
    bench.until(job, lambda s: s.step >= 4)
    bench.engine.pause(job)
    bench.engine.stop()
    kept.close()
    again = start(persistence=store(), version="two")
    again.engine.interrupt(job)
    status = again.end(job)
    assert (status.state, status.skipped) == ("cancelled", (0,))
    assert again.finished == []
