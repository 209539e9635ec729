"""After a stop in the middle a picture goes on from where it stood, without a network being run again for what was
known, and comes out as if nothing had happened; what changed meanwhile makes it start over."""

import errno
import os
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image

from tests.engine.conftest import request
from webui.engine import faults
from webui.engine.samplers import SAMPLERS
from webui.engine.tasks import TASKS
from webui.errors import EaselError, RequestError
from webui.store.jobs import JobStore
from webui.store.replies import ReplyLog
from webui.types import Decode, LoadModel, Sampler, SubmissionKey, Task, Wrapper

PICTURE = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
KINDS = {
    "plain": request(steps=12),
    "two calls a step": request(steps=8, sampler_name="Heun"),
    "with noise": request(steps=12, sampler_name="Euler a", batch_size=2),
    "from a picture": request(task="img2img", image=PICTURE, steps=14, denoising_strength=0.9),
}


@pytest.fixture
def store(tmp_path):
    stores = []

    def opened() -> JobStore:
        stores.append(JobStore(tmp_path / "kept"))
        return stores[-1]

    yield opened


def interrupted(start, store, asked, at: int = 5, **parts):
    """An engine is stopped at step `at`, another one on the same store finishes the job; its bench, the job's id,
    and the UNet calls that were made before and after."""
    persistence = store()
    bench = start(persistence=persistence, deterministic=True, **parts)
    job = bench.engine.submit(asked)
    bench.until(job, lambda s: s.step >= at)
    bench.engine.stop()
    before = bench.engine._runner.calls
    assert "goes on at the next start" in bench.engine.status(job).error
    persistence.close()
    return bench, job, before


def finished(start, store, job, **parts):
    persistence = store()
    bench = start(persistence=persistence, deterministic=True, **parts)
    assert bench.end(job).state == "done"
    bench.engine.stop()
    assert persistence.unfinished() == []
    assert not list((persistence._folder / "replies").glob("*")), "logs go when a picture is done"
    persistence.close()
    return bench


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_goes_on_from_where_it_stood(start, store, kind):
    asked = KINDS[kind]
    plain = start(deterministic=True)
    whole = plain.engine.submit(asked)
    assert plain.end(whole).state == "done"
    calls = plain.engine._runner.calls
    _, job, before = interrupted(start, store, asked)
    bench = finished(start, store, job)
    assert bench.pictures(job) == plain.pictures(whole)
    assert before + bench.engine._runner.calls == calls, "no call was made twice"


def test_wrappers_see_replayed_replies_like_fresh_ones(start, store):
    seen = []

    def wrap(call, asked):
        reply = yield call
        seen.append((call.sigma, float(reply.cond.sum()), float(reply.uncond.sum())))
        return replace(reply, denoised=reply.denoised * 0.9)

    wrappers = [Wrapper("x", wrap)]
    plain = start(deterministic=True, wrappers=wrappers)
    whole = plain.engine.submit(request(steps=10))
    plain.end(whole)
    expected = list(seen)
    seen.clear()
    _, job, before = interrupted(start, store, request(steps=10), wrappers=wrappers)
    del seen[:]
    bench = finished(start, store, job, wrappers=wrappers)
    assert seen == expected
    assert bench.pictures(job) == plain.pictures(whole)
    assert 0 < bench.engine._runner.calls == 10 - before


def test_a_changed_version_starts_the_picture_over(start, store):
    _, job, _ = interrupted(start, store, request(steps=10), version="one")
    bench = finished(start, store, job, version="two")
    assert bench.engine._runner.calls == 10


def test_a_job_says_that_it_starts_over(start, store, caplog):
    _, job, _ = interrupted(start, store, request(steps=30), version="one")
    again = start(persistence=store(), deterministic=True, version="two")
    status = again.until(job, lambda s: "Starts over" in s.note or s.ended)
    assert status.note == "Starts over: something it is made with has changed"
    assert again.until(job, lambda s: s.step > 0 or s.ended).note == ""
    again.end(job)
    assert "starts over: its replies are of other code" in caplog.text


def test_a_replaced_part_of_a_models_folder_starts_the_picture_over(
    start, store, models_dir, caplog
):
    """The text encoder: the model's hash, which is of the U-Net, stays."""
    _, job, _ = interrupted(start, store, request(steps=10))
    part = models_dir / "Stable-diffusion" / "tiny" / "text_encoder" / "model.safetensors"
    os.utime(part, (1, 1))  # as good as another file: nobody has read it since
    bench = finished(start, store, job)
    assert bench.engine._runner.calls == 10
    assert "starts over: the model tiny has changed" in caplog.text


def test_a_sampler_that_asks_something_else_starts_the_picture_over(start, store, caplog):
    """Same version, same request, other arithmetic: the recorded reply is of another x."""

    def other(x, sigmas, noise):
        return (yield from SAMPLERS["Euler"].make(x * 1.01, sigmas, noise))

    _, job, _ = interrupted(start, store, request(steps=10))
    changed = {**SAMPLERS, "Euler": Sampler("Euler", other)}
    bench = finished(start, store, job, samplers=changed)
    assert bench.engine._runner.calls == 10
    assert "starts over: Denoise was recorded" in caplog.text
    plain = start(deterministic=True, samplers=changed)
    whole = plain.engine.submit(request(steps=10))
    plain.end(whole)
    assert bench.pictures(job) == plain.pictures(whole)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"sampler_name": "Odd"}, "no sampler 'Odd'"), ({"task": "odd"}, "no task 'odd'")],
)
def test_a_job_whose_extension_has_left_says_what_is_missing(start, store, asked, said):
    parts = {
        "samplers": {**SAMPLERS, "Odd": replace(SAMPLERS["Euler"], name="Odd")},
        "tasks": {**TASKS, "odd": replace(TASKS["txt2img"], name="odd")},
    }
    _, job, _ = interrupted(start, store, request(steps=10, **asked), **parts)
    persistence = store()
    failed = start(persistence=persistence, deterministic=True).end(job)
    persistence.close()
    assert failed.state == "failed"
    assert said in failed.error and "switch on the extension" in failed.error


def test_a_torn_log_costs_its_tail_only(start, store, tmp_path):
    _, job, before = interrupted(start, store, request(steps=10))
    (path,) = (tmp_path / "kept" / "replies").glob("*.log")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)  # in the middle of the last reply
    bench = finished(start, store, job)
    assert bench.engine._runner.calls == 10 - before + 1


def test_paused_jobs_stay_paused_and_queued_ones_are_made(start, store):
    persistence = store()
    bench = start(persistence=persistence, deterministic=True)
    paused = bench.engine.submit(request(steps=40, seed=1))
    bench.until(paused, lambda s: s.step >= 2)
    bench.engine.pause(paused)
    others = [bench.engine.submit(request(steps=30, seed=i)) for i in (2, 3)]
    bench.engine.stop()
    persistence.close()
    again = start(persistence=store(), deterministic=True)
    assert again.engine.status(paused).state == "paused"
    assert all(again.end(job).state == "done" for job in others)
    again.engine.resume(paused)
    assert again.end(paused).state == "done"
    again.engine.stop()


def test_tiles_of_an_extensions_network_are_replayed_too(start, store):
    """A task of RunNetwork calls, stopped in the middle."""
    from webui.types import LoadNetwork, RunNetwork

    ran = []

    class Counting(torch.nn.Module):
        def forward(self, x):
            time.sleep(0.005)  # long enough to be stopped in the middle
            ran.append(float(x))
            return x * 2

    def tiles(asked, studio):
        model = yield LoadModel(asked.model)
        network = yield LoadNetwork("test", "counting", Counting)
        total = torch.zeros(1)
        for i in range(40):
            total = total + (yield RunNetwork(network, (torch.full((1,), float(i)),), i, 40))
        results.append(float(total))
        latent = studio.noise(studio.seed, model.latent_shape(64, 64)) * 0
        return (yield Decode(model, latent))

    results = []
    tasks = {"tiles": Task("tiles", "Tiles", tiles, samples=False)}
    _, job, _ = interrupted(start, store, request(task="tiles"), at=3, tasks=tasks)
    before = len(ran)
    finished(start, store, job, tasks=tasks)
    assert results[-1] == sum(range(40)) * 2
    assert before < 40 and ran[before:] == [float(i) for i in range(before, 40)]


def test_ended_jobs_are_known_after_a_restart(start, store):
    persistence = store()
    bench = start(persistence=persistence)
    done = bench.engine.submit(request(steps=1), key=SubmissionKey("k", "body"))
    failed = bench.engine.submit(request(model="nowhere"))
    assert (bench.end(done).state, bench.end(failed).state) == ("done", "failed")
    bench.engine.stop()
    persistence.close()
    again = start(persistence=store())
    assert [(s.id, s.state) for s in again.engine.jobs()] == [(done, "done"), (failed, "failed")]
    assert "nowhere" in again.engine.status(failed).error
    assert again.engine.submit(request(steps=1), key=SubmissionKey("k", "body")) == done
    again.engine.stop()


def test_a_job_is_repeated_as_it_was_accepted_with_its_pictures(start, store):
    """Also after it has ended, and without `change_request` running again."""
    changed = []

    def change(asked):
        changed.append(asked)
        return replace(asked, prompt=asked.prompt + "!")

    persistence = store()
    bench = start(persistence=persistence, change=change, deterministic=True)
    first = bench.engine.submit(KINDS["from a picture"])
    assert bench.end(first).state == "done"
    again = bench.engine.repeat(first, "me")
    assert bench.end(again).state == "done" and bench.engine.status(again).owner == "me"
    assert bench.pictures(again) == bench.pictures(first)
    assert len(changed) == 1 and bench.engine.status(again).request.prompt == "a cat!"
    other = bench.engine.repeat(first, changes={"seed": 99})
    assert bench.end(other).state == "done" and bench.engine.status(other).request.seed == 99
    assert bench.pictures(other) != bench.pictures(first)
    with pytest.raises(RequestError, match="seed"):
        bench.engine.repeat(first, changes={"seed": -5})
    bench.engine.stop()
    persistence.tidy()
    with pytest.raises(EaselError, match="picture of the request is gone"):
        persistence.request(first)
    persistence.close()


def test_without_a_store_a_job_with_pictures_cannot_be_repeated_when_it_has_ended(start):
    bench = start()
    given = bench.engine.submit(KINDS["from a picture"])
    words = bench.engine.submit(request(steps=1))
    assert {bench.end(given).state, bench.end(words).state} == {"done"}
    assert bench.end(bench.engine.repeat(words)).state == "done"
    with pytest.raises(EaselError, match="its pictures are gone"):
        bench.engine.repeat(given)


def test_a_full_disk_holds_everything_up_until_there_is_space(start, monkeypatch):
    """The first two attempts to save fail as a full disk makes them fail; no picture is lost."""
    monkeypatch.setattr(faults, "AGAIN_S", 0.3)
    bench = start()
    write, failed = bench.engine._write, []

    def full(finished):
        if len(failed) < 2:
            failed.append(finished.seed)
            raise EaselError("no space") from OSError(errno.ENOSPC, "No space left on device")
        return write(finished)

    bench.engine._write = full
    first = bench.engine.submit(request(steps=1, seed=1))
    bench.until(first, lambda s: "disk is full" in s.note)
    second = bench.engine.submit(request(steps=1, seed=2))
    assert bench.end(first).state == "done" and bench.end(second).state == "done"
    assert failed == [1, 1] and sorted(f.seed for f in bench.finished) == [1, 2]


def test_a_disk_that_fills_while_a_model_loads_costs_no_picture(start, store, monkeypatch):
    """Which model a picture is made with is noted in its log, too; no room for that once ended the engine's loop."""
    append = ReplyLog.append

    def full(self, record):
        if record.call["kind"] == "model":
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, record)

    monkeypatch.setattr(ReplyLog, "append", full)
    bench = start(persistence=store())
    loaded = request(model="tiny-inpainting", steps=2)
    for asked in (loaded, loaded):  # with a model that is read, with one that is in memory
        assert bench.end(bench.engine.submit(asked)).state == "done"


def test_a_picture_that_starts_over_on_a_full_disk_is_made(start, store, monkeypatch):
    """Its old log is worth nothing and there is no room for another."""

    def other(x, sigmas, noise):
        return (yield from SAMPLERS["Euler"].make(x * 1.01, sigmas, noise))

    _, job, _ = interrupted(start, store, request(steps=10))

    def full(self, header):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ReplyLog, "_begin", full)
    bench = finished(start, store, job, samplers={**SAMPLERS, "Euler": Sampler("Euler", other)})
    assert bench.engine._runner.calls == 10


def test_a_log_without_room_costs_no_picture_and_asks_the_oldest_paused_job(start, tmp_path):
    persistence = JobStore(tmp_path / "kept", replies_bytes=60_000)
    bench = start(persistence=persistence)
    paused = bench.engine.submit(request(steps=150))
    bench.until(paused, lambda s: s.step >= 3)
    bench.engine.pause(paused)
    other = bench.engine.submit(request(steps=60, width=128, height=128))
    assert bench.end(other).state == "done"
    assert "resume or cancel it" in bench.engine.status(paused).note
    bench.engine.cancel(paused)
    assert bench.end(paused).state == "cancelled"
    bench.engine.stop()
    persistence.close()


def test_a_picture_that_waits_for_space_when_easel_stops_is_saved_at_the_next_start(start, store):
    persistence = store()
    bench = start(persistence=persistence, deterministic=True)

    def full(finished):
        raise EaselError("no space") from OSError(errno.ENOSPC, "No space left on device")

    bench.engine._write = full
    job = bench.engine.submit(request(steps=2))
    bench.until(job, lambda s: "disk is full" in s.note)
    bench.engine.stop()
    assert "goes on at the next start" in bench.engine.status(job).error
    persistence.close()
    again = finished(start, store, job)
    assert [one.job for one in again.finished] == [job] and not again.engine._runner.calls


def test_a_log_that_cannot_be_opened_for_now_is_opened_later(start, store, monkeypatch):
    monkeypatch.setattr(faults, "AGAIN_S", 0.2)
    read, tries = ReplyLog.read, []

    def crowded(self, header):
        tries.append(header)
        if len(tries) < 3:
            raise OSError(errno.EMFILE, "Too many open files")
        assert len(tries) < 20
        return read(self, header)

    monkeypatch.setattr(ReplyLog, "read", crowded)
    bench = start(persistence=store())
    job = bench.engine.submit(request(steps=1, batch_size=2))
    bench.until(job, lambda s: "Too many files" in s.note)
    assert bench.end(job).state == "done"
    assert len(tries) <= 6, "it waits in between"


def test_the_steps_of_a_saved_picture_are_kept_where_they_are_to_be(start, tmp_path, models_dir):
    """Every reply, so that it can be looked at or made again; they go with their picture."""
    persistence = JobStore(tmp_path / "kept", steps_bytes=1e6)
    bench = start(persistence=persistence)
    job = bench.engine.submit(request(steps=3))
    assert bench.end(job).state == "done"
    bench.engine.stop()
    header, records = persistence.steps(job, 0)
    assert header["picture"] == 0
    kinds = [record.call["kind"] for record in records]
    assert kinds == ["model", "Denoise", "Denoise", "Denoise", "Decode"]
    assert records[1].parts[0][1] == (4, 8, 8)
    assert not list((tmp_path / "kept" / "replies").glob("*"))
    picture = tmp_path / "1.png"
    picture.write_bytes(b"x")
    persistence.reserve(job, 0, picture, 1)
    persistence.tidy()
    assert persistence.steps(job, 0) is not None
    picture.unlink()
    persistence.tidy()
    assert persistence.steps(job, 0) is None
    persistence.close()
