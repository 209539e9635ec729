"""After the task: post-processors in order, on every frame; what the infotext tells of extensions."""

import pytest
from PIL import Image, ImageOps

from tests.engine.conftest import request
from webui.errors import EaselError
from webui.types import (
    Animation,
    Conditioner,
    Group,
    LoadNetwork,
    Number,
    Picture,
    PostProcessor,
    RunNetwork,
    Switch,
    Task,
    Upscaler,
    Wrapper,
)

RED = Image.new("RGB", (8, 8), "red")


def painted(asked, studio):
    return RED


def bench_of(start, **given):
    plain = Task("red", "Red", painted, samples=False)
    return start(tasks={"red": plain, **given.pop("tasks", {})}, **given)


def test_post_processors_run_in_order_and_an_idle_one_is_not_told(start):
    """Invert, then grey: not the same the other way round."""
    bench = bench_of(
        start,
        postprocessors=[
            PostProcessor("invert", lambda picture, asked, studio: ImageOps.invert(picture)),
            PostProcessor("idle", lambda picture, asked, studio: None),
            PostProcessor("other", lambda picture, asked, studio: 1 / 0, tasks=("inpaint",)),
            PostProcessor("grey", lambda picture, asked, studio: ImageOps.grayscale(picture)),
        ],
    )
    job = bench.engine.submit(request(task="red"))
    assert bench.end(job).state == "done"
    (finished,) = bench.finished
    expected = ImageOps.grayscale(ImageOps.invert(RED)).convert("RGB")
    assert finished.picture.tobytes() == expected.tobytes()
    assert dict(finished.notes) == {"Post-processing": "invert, grey"}
    assert (finished.model, finished.sampled) == (None, False)


def test_every_frame_of_an_animation_is_processed(start):
    frames = tuple(Image.new("RGB", (8, 8), (0, 0, level)) for level in (10, 20, 30))
    moving = Task("moving", "Moving", lambda asked, studio: Animation(frames, 50), samples=False)
    bench = bench_of(
        start,
        tasks={"moving": moving},
        postprocessors=[PostProcessor("invert", lambda p, asked, studio: ImageOps.invert(p))],
    )
    assert bench.end(bench.engine.submit(request(task="moving"))).state == "done"
    picture = bench.finished[0].picture
    assert isinstance(picture, Animation) and picture.frame_ms == 50
    assert [frame.getpixel((0, 0))[2] for frame in picture.frames] == [245, 235, 225]


def calls_in_vain(picture, asked, studio):
    """A step one of whose calls fails."""
    import torch

    def broken(*inputs):
        raise ValueError("out of paint")

    network = torch.nn.Identity()
    network.forward = broken
    network = yield LoadNetwork("test", "broken", lambda: network)
    return (yield RunNetwork(network, (studio.pixels(picture),)))


def loads_in_vain(picture, asked, studio):
    def load():
        raise ValueError("out of paint")

    yield LoadNetwork("test", "nowhere", load)


def spoils_and_fails(picture, asked, studio):
    picture.paste("black", (0, 0, *picture.size))
    raise ValueError("out of paint")


def will_not_end(picture, asked, studio):
    try:
        yield from calls_in_vain(picture, asked, studio)
    finally:
        yield LoadNetwork("test", "nowhere", lambda: None)


FAILURES = [
    (lambda picture, asked, studio: 1 / 0, "ZeroDivisionError: division by zero"),
    (lambda picture, asked, studio: "red", "a value of type str, which is no picture"),
    (lambda picture, asked, studio: Image.new("RGB", (0, 4)), "a picture of 0 x 4 pixels"),
    (lambda picture, asked, studio: Image.new("RGB", (2, 2)).resize((-1, 2)), "ValueError"),
    (lambda picture, asked: picture, "TypeError"),
    (spoils_and_fails, "ValueError: out of paint"),
    (calls_in_vain, "out of paint"),
    (loads_in_vain, "out of paint"),
    (will_not_end, "out of paint"),
]


@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize(("fails", "why"), FAILURES, ids=range(len(FAILURES)))
def test_a_step_that_fails_leaves_the_picture_as_it_was(start, fails, why, frames):
    """As the step before it left it; the steps after it go on. So it is with the frames of an animation."""
    made = Animation((RED,) * frames, 50) if frames else RED
    bench = bench_of(
        start,
        tasks={"made": Task("made", "Made", lambda asked, studio: made, samples=False)},
        postprocessors=[
            PostProcessor("invert", lambda picture, asked, studio: ImageOps.invert(picture)),
            PostProcessor("fails", fails),
            PostProcessor("mirror", lambda picture, asked, studio: ImageOps.mirror(picture)),
        ],
    )
    status = bench.end(bench.engine.submit(request(task="made")))
    assert (status.state, status.error) == ("done", None)
    (finished,) = bench.finished
    pictures = finished.picture.frames if frames else (finished.picture,)
    assert [one.tobytes() for one in pictures] == [ImageOps.invert(RED).tobytes()] * max(frames, 1)
    assert dict(finished.notes) == {"Post-processing": "invert, mirror"}
    (told,) = finished.warnings
    assert told.startswith("Post-processor 'fails' failed, the picture is as it was before it: ")
    assert why in told and "internal error" not in told


def test_frames_of_other_sizes_are_a_step_that_failed(start):
    frames = iter((RED, RED.resize((8, 16))))
    bench = bench_of(
        start,
        tasks={"made": Task("made", "Made", lambda *given: Animation((RED, RED), 50))},
        postprocessors=[PostProcessor("odd", lambda *given: next(frames))],
    )
    assert bench.end(bench.engine.submit(request(task="made"))).state == "done"
    assert bench.finished[0].picture.frames == (RED, RED)
    assert "8 x 8 and 8 x 16 pixels" in bench.finished[0].warnings[0]


def test_a_picture_that_was_only_handed_on_fails_with_its_step(start):
    """The one that was given is not lost, and to save it once more would say that something was done."""
    bench = bench_of(
        start,
        tasks={"given": Task("given", "Given", lambda asked, studio: asked.image)},
        postprocessors=[PostProcessor("fails", lambda picture, asked, studio: 1 / 0)],
    )
    status = bench.end(bench.engine.submit(request(task="given", image=RED)))
    assert status.state == "failed" and not bench.finished


def test_a_job_is_cancelled_within_a_step_that_will_not_end(start):
    import threading

    inside, go = threading.Event(), threading.Event()

    def load():
        inside.set()
        assert go.wait(30)

    def waits(picture, asked, studio):
        try:
            yield LoadNetwork("test", "slow", load)
        finally:
            yield LoadNetwork("test", "slow", load)

    bench = bench_of(start, postprocessors=[PostProcessor("waits", waits)])
    job = bench.engine.submit(request(task="red"))
    assert inside.wait(30)
    bench.engine.cancel(job)
    status = bench.end(job)
    go.set()
    assert (status.state, bench.finished) == ("cancelled", [])


def test_the_notes_tell_controls_that_differ_by_label_and_wrappers_in_their_order(start):
    from webui.engine.tasks import TASKS

    controls = (
        Number(name="b1", label="FreeU b1", minimum=1, maximum=2, default=1.0),
        Switch(name="grain", label="Grain", default=False),
        Number(name="same", label="Same", minimum=0, maximum=2, default=1.5),
        Picture(name="hint", label="Hint"),
    )
    txt2img = TASKS["txt2img"]
    task = Task("txt2img", "", txt2img.make, (*txt2img.controls, Group("Mine", controls)))

    def wrap(call, asked):
        return (yield call)

    bench = bench_of(
        start,
        tasks={"txt2img": task},
        wrappers=[Wrapper("zebra", wrap), Wrapper("idle", lambda c, a: None), Wrapper("ape", wrap)],
    )
    extras = {"b1": 1.3, "grain": False, "same": 1.5, "hint": RED}
    assert bench.end(bench.engine.submit(request(extras=extras))).state == "done"
    notes = bench.finished[0].notes
    assert list(notes.items()) == [("FreeU b1", 1.3), ("Denoise wrappers", "zebra, ape")]


def test_an_upscaler_with_a_network_works_as_a_post_processor_and_shows_its_steps(start):
    """Two tiles, each a call; the job's status tells them as steps."""
    import torch

    def larger(picture, scale, studio):
        network = yield LoadNetwork("test", "doubling", lambda: torch.nn.Upsample(scale_factor=2))
        pixels = studio.pixels(picture)[None]
        halves = []
        for i, half in enumerate((pixels[..., :4], pixels[..., 4:])):
            halves.append((yield RunNetwork(network, (half,), step=i, steps=2)))
        return studio.picture(torch.cat(halves, dim=-1)[0])

    def process(picture, asked, studio):
        return (yield from studio.upscale("Doubling", picture, 2))

    bench = bench_of(
        start,
        upscalers={"Doubling": Upscaler("Doubling", larger)},
        postprocessors=[PostProcessor("upscale", process)],
    )
    status = bench.end(bench.engine.submit(request(task="red")))
    assert (status.state, status.step, status.steps) == ("done", 2, 2)
    assert bench.finished[0].picture.tobytes() == RED.resize((16, 16)).tobytes()


def test_change_and_saved_run_once_each_and_saved_sees_no_pictures(start):
    from dataclasses import replace

    heard = []
    bench = bench_of(
        start,
        change=lambda asked: replace(asked, prompt=asked.prompt + "!"),
        saved=lambda picture, asked: heard.append((picture.seed, asked)),
    )
    job = bench.engine.submit(request(task="red", batch_size=2, image=RED, extras={"hint": RED}))
    assert bench.end(job).state == "done"
    assert sorted(seed for seed, _ in heard) == [1, 2]
    asked = heard[0][1]
    assert (asked.prompt, asked.image, asked.extras["hint"]) == ("a cat!", None, None)
    assert all(f.request.prompt == "a cat!" for f in bench.finished)


def test_a_refused_request_is_no_job(start):
    from webui.errors import RequestError

    def refuse(asked):
        raise RequestError("no unicorns")

    bench = bench_of(start, change=refuse)
    with pytest.raises(RequestError, match="no unicorns"):
        bench.engine.submit(request(task="red"))


def test_requests_with_other_conditions_run_at_once_and_come_out_as_alone(start):
    """A conditioner that changes the texts of one request leaves the other's alone, in shared calls."""

    def prepare(asked, studio, cond):
        if not asked.extras.get("weaker"):
            return None
        return cond.changed(weight=0.1)

    bench = start(conditioners=[Conditioner("weaker", prepare)])
    kinds = [request(extras={"weaker": True}), request()]
    alone = []
    for kind in kinds:
        job = bench.engine.submit(kind)
        bench.end(job)
        alone += bench.pictures(job)
    assert alone[0] != alone[1]
    jobs = [bench.engine.submit(kind) for kind in kinds]
    for job, one in zip(jobs, alone, strict=True):
        assert bench.end(job).state == "done"
        (picture,) = bench.pictures(job)
        worst = max(abs(a - b) for a, b in zip(picture, one, strict=True))
        assert worst <= 1


@pytest.mark.parametrize("fault", [OSError(13, "not allowed"), ValueError("odd"), EaselError("no")])
def test_a_saving_that_fails_costs_its_own_job(start, fault):
    bench = bench_of(start)
    write = bench.engine._write

    def some(finished):
        if finished.seed == 1:
            raise fault
        return write(finished)

    bench.engine._write = some
    jobs = [bench.engine.submit(request(task="red", seed=seed)) for seed in (1, 2, 3)]
    assert [bench.end(job).state for job in jobs] == ["failed", "done", "done"]
