"""What stands around a sampler: conditioners before it, wrappers around each of its calls, in their order."""

from dataclasses import replace
from itertools import pairwise

import torch

from tests.engine.conftest import request
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.types import (
    UNCOND,
    Condition,
    Conditioner,
    ControlNetwork,
    Denoise,
    Denoised,
    Model,
    Network,
    Parts,
    Sampler,
    TextCondition,
    Upscaler,
    Wrapper,
)

MODEL = Model("none", 4, False, (0.03, 1.0, 14.0))
COND = Condition(
    MODEL, (TextCondition(torch.ones(77, 8)), TextCondition(torch.zeros(77, 8), "uncond"))
)
SIGMAS = [8.0, 4.0, 2.0, 1.0, 0.0]


def sampled(parts: Parts, cond=None, sampler="Euler", reply=None, **options):
    """Runs a sampling by hand. The "network" says that the clean latent is x / 2 (`reply` may say else);
    gives the calls that reached it, and the final latent."""
    studio = PictureStudio(request(), 0, parts, torch.device("cpu"))
    x = torch.full((4, 8, 8), 8.0)
    given = studio.sampling(cond or COND, sampler=sampler, sigmas=SIGMAS)
    run = studio.sample(replace(given, **options), x)
    calls, answer = [], None
    while True:
        try:
            call = run.send(answer)
        except StopIteration as stop:
            return calls, stop.value, studio
        calls.append(call)
        half = call.x / 2
        answer = reply(call) if reply else Denoised(half, half, half)


def parts(**given) -> Parts:
    return Parts({}, {**SAMPLERS, **given.pop("samplers", {})}, SCHEDULES, **given)


def test_conditioners_run_in_order_and_know_the_size():
    seen = []

    def prepare(name):
        def prepared(asked, studio, cond):
            seen.append((name, cond.size, len(cond.patches)))
            return replace(cond, patches=(*cond.patches, name))

        return prepared

    first = Conditioner("first", prepare("first"))
    idle = Conditioner("idle", lambda asked, studio, cond: None)
    other = Conditioner("other", prepare("other"), tasks=("inpaint",))
    last = Conditioner("last", prepare("last"), tasks=("txt2img",))
    calls, _, _ = sampled(parts(conditioners=[first, idle, other, last]))
    assert seen == [("first", (64, 64), 0), ("last", (64, 64), 1)]
    assert all(call.patches == ("first", "last") for call in calls)


def test_a_conditioner_may_yield_calls_of_its_own():
    def prepare(asked, studio, cond):
        found = yield "a call"
        return replace(cond, patches=(found,))

    studio = PictureStudio(
        request(), 0, parts(conditioners=[Conditioner("x", prepare)]), torch.device("cpu")
    )
    run = studio.sample(studio.sampling(COND, sigmas=SIGMAS), torch.zeros(4, 8, 8))
    assert next(run) == "a call"
    assert run.send("its reply").patches == ("its reply",)


def test_the_first_wrapper_sees_the_call_first_and_the_reply_last():
    seen = []

    def wrap(name):
        def wrapped(call, asked):
            seen.append(f"{name} asks")
            reply = yield replace(call, sigma=call.sigma + 1)
            seen.append(f"{name} answers")
            return replace(reply, denoised=reply.denoised + 1)

        return wrapped

    wrappers = [
        Wrapper("a", wrap("a")),
        Wrapper("idle", lambda call, asked: None),
        Wrapper("b", wrap("b")),
    ]
    calls, _, studio = sampled(parts(wrappers=wrappers))
    assert seen[:4] == ["a asks", "b asks", "b answers", "a answers"]
    assert [call.sigma for call in calls] == [10.0, 6.0, 4.0, 3.0]
    assert studio.wrapped == {"a", "b"}


def test_a_wrapper_may_make_a_second_call_and_the_inner_ones_wrap_both():
    inner = []

    def twice(call, asked):
        one = yield call
        two = yield replace(call, x=call.x * 2)
        return replace(one, denoised=(one.denoised + two.denoised) / 2)

    def counted(call, asked):
        inner.append(call.sigma)
        return (yield call)

    calls, final, _ = sampled(parts(wrappers=[Wrapper("a", twice), Wrapper("b", counted)]))
    assert [call.sigma for call in calls] == [8.0, 8.0, 4.0, 4.0, 2.0, 2.0, 1.0, 1.0]
    assert inner == [call.sigma for call in calls]
    x = 8.0  # Euler by hand with the mean of x / 2 and 2 x / 2
    for sigma, after in pairwise(SIGMAS):
        x = x + (x - 0.75 * x) / sigma * (after - sigma)
    torch.testing.assert_close(final, torch.full((4, 8, 8), x))


def test_a_wrapper_may_answer_without_a_call():
    known = Denoised(torch.zeros(4, 8, 8))
    calls, final, _ = sampled(parts(wrappers=[Wrapper("known", lambda call, asked: known)]))
    assert calls == [] and final.abs().max() == 0


def test_wrappers_see_what_a_sampler_asks_of_the_unconditional_prediction():
    def asks(x, sigmas, noise):
        denoised, uncond = yield x, sigmas[0], UNCOND
        return denoised + uncond

    def doubled(call, asked):
        reply = yield call
        return replace(reply, uncond=reply.uncond * 2)

    _, final, _ = sampled(
        parts(samplers={"asks": Sampler("asks", asks)}, wrappers=[Wrapper("x", doubled)]),
        sampler="asks",
    )
    torch.testing.assert_close(final, torch.full((4, 8, 8), 4.0 + 8.0))


def test_a_closed_sampling_closes_its_wrappers():
    closed = []

    def wrap(call, asked):
        try:
            return (yield call)
        finally:
            closed.append(call.sigma)

    studio = PictureStudio(request(), 0, parts(wrappers=[Wrapper("x", wrap)]), torch.device("cpu"))
    run = studio.sample(studio.sampling(COND, sigmas=SIGMAS), torch.zeros(4, 8, 8))
    assert isinstance(next(run), Denoise)
    run.close()
    assert closed == [8.0]


def test_an_adapter_works_from_start_to_end():
    """The steps that diffusers keeps: those with i / n >= start and (i + 1) / n <= end."""
    n = len(SIGMAS) - 1
    for start, end in ((0.0, 1.0), (0.25, 1.0), (0.0, 0.5), (0.3, 0.8), (0.0, 0.0)):
        adapter = ControlNetwork(Network("x", "y"), {}, 1.0, start, end)
        calls, _, _ = sampled(parts(), replace(COND, control_networks=(adapter,)))
        kept = [1.0 - float(i / n < start or (i + 1) / n > end) for i in range(n)]  # as diffusers
        assert [float(len(call.control_networks)) for call in calls] == kept


def test_parts_of_a_picture_count_their_steps_on():
    first, _, _ = sampled(parts(), end=3, total=7)
    second, _, _ = sampled(parts(), done=3, total=7)
    assert [(c.step, c.steps) for c in first + second] == [(i, 7) for i in range(7)]


def test_an_upscaler_is_brought_to_the_exact_size():
    from PIL import Image

    threefold = Upscaler("x3", lambda picture, scale, studio: picture.resize((30, 30)))
    studio = PictureStudio(request(), 0, parts(upscalers={"x3": threefold}), torch.device("cpu"))
    run = studio.upscale("x3", Image.new("RGB", (10, 10), "red"), 1.5)
    try:
        next(run)
    except StopIteration as stop:
        assert stop.value.size == (15, 15) and stop.value.getpixel((7, 7)) == (255, 0, 0)


def test_pixels_and_picture_are_inverse():
    from PIL import Image

    picture = Image.effect_noise((16, 8), 90).convert("RGB")
    studio = PictureStudio(request(), 0, parts(), torch.device("cpu"))
    assert studio.picture(studio.pixels(picture)).tobytes() == picture.tobytes()
