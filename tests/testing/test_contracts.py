"""The checks of each kind of part let what is built in pass, and tell what breaks a promise of that kind."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image, ImageDraw, ImageOps

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.testing import (
    check_conditioner,
    check_postprocessor,
    check_sampler,
    check_schedule,
    check_task,
    check_upscaler,
    check_wrapper,
)
from webui.types import (
    ETA,
    Conditioner,
    Decode,
    Denoised,
    EncodeText,
    File,
    LoadModel,
    Number,
    PostProcessor,
    Row,
    Sampler,
    Schedule,
    Task,
    Upscaler,
)

AMOUNT = Number(name="amount", label="Amount", minimum=0, maximum=1, default=0.0)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_the_built_in_samplers_keep_their_promises(sampler):
    check_sampler(sampler)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_the_built_in_schedules_keep_their_promises(schedule):
    check_schedule(schedule)


@pytest.mark.parametrize("upscaler", UPSCALERS.values(), ids=UPSCALERS)
def test_the_built_in_upscalers_keep_their_promises(upscaler):
    check_upscaler(upscaler)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_built_in_tasks_keep_their_promises(task):
    check_task(task)


# --- Samplers and schedules -----------------------------------------------------------------------


def test_a_sampler_must_work_with_a_single_step():
    def two_at_least(x, sigmas, noise):
        for sigma in sigmas[:-1]:
            denoised = yield x, sigma
            x = denoised + (x - denoised) / (len(sigmas) - 2)
        return x

    with pytest.raises(AssertionError, match="final latent is not finite"):
        check_sampler(Sampler("Mine", two_at_least))


def test_a_sampler_must_work_with_every_eta():
    def not_without_noise(x, sigmas, noise, eta=1.0):
        for sigma, sigma_next in pairwise(sigmas):
            denoised = yield x, sigma
            x = denoised + (x - denoised) * (sigma_next / sigma / eta)
        return x

    check_sampler(Sampler("Mine", not_without_noise))
    with pytest.raises(ZeroDivisionError):
        check_sampler(Sampler("Mine", not_without_noise, options=(ETA,)))


def straight(n, low, high, levels):
    return [high * (1 - i / n) for i in range(n)] + [0.0]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda *given: straight(*given)[:-1], "1 sigmas; give 2"),
        (lambda *given: straight(*given)[::-1], "do not descend"),
        (lambda *given: [2 * sigma for sigma in straight(*given)], "above the highest"),
        (lambda *given: tuple(straight(*given)), "list of Python floats"),
        (lambda n, *given: [0 if s == 0 else s for s in straight(n, *given)], "Python floats"),
        (lambda n, *given: [float("nan")] * n + [0.0], "do not descend"),
    ],
)
def test_a_schedule_descends_to_zero_in_floats(make, sentence):
    check_schedule(Schedule("mine", straight))
    with pytest.raises(AssertionError, match=f"schedule 'mine': .*{sentence}"):
        check_schedule(Schedule("mine", make))


def test_a_schedule_gives_one_answer():
    given = []

    def drifts(n, low, high, levels):
        given.append(1)
        return [sigma / len(given) for sigma in straight(n, low, high, levels)]

    with pytest.raises(AssertionError, match="asked twice"):
        check_schedule(Schedule("mine", drifts))


def test_a_schedule_holds_at_either_end_of_its_options():
    bend = Number(name="bend", label="Bend", minimum=1, maximum=2, default=1)

    def bent(n, low, high, levels, bend=1.0):
        return [sigma**bend for sigma in straight(n, low, high, levels)]

    with pytest.raises(AssertionError, match=r"with \{'bend': 2.0\} it gives sigmas from"):
        check_schedule(Schedule("mine", bent, options=(bend,)))


# --- Conditioners and wrappers --------------------------------------------------------------------


def weaker(request, studio, cond):
    amount = request.extras["amount"]
    if amount == 0:
        return None
    return cond.changed(weight=1 - amount)


def test_a_conditioner_that_works_passes_and_must_be_made_to_work():
    conditioner = Conditioner("weaker", weaker, controls=(AMOUNT,))
    check_conditioner(conditioner, {"amount": 0.5})
    with pytest.raises(AssertionError, match=r"with extras {'amount': 0.0} it changes nothing"):
        check_conditioner(conditioner)


def test_a_conditioner_leaves_the_encoded_prompt_alone():
    """The engine keeps it for the next request with the same prompt."""

    def in_place(request, studio, cond):
        cond.conds[0].context.mul_(1.0001)
        return replace(cond)

    with pytest.raises(AssertionError, match=r"the reply to its call 2 .Condition. in place"):
        check_conditioner(Conditioner("mine", in_place), prompt="of the blue photo")


def test_a_conditioner_is_asked_in_a_task_of_its_own():
    seen = []

    def prepare(request, studio, cond):
        seen.append(request.task)
        roles = {"cond": "uncond", "uncond": "cond"}
        return replace(cond, texts=[replace(text, role=roles[text.role]) for text in cond.texts])

    check_conditioner(Conditioner("mine", prepare, tasks=("img2img",)))
    assert set(seen) == {"img2img"}


def test_a_wrapper_takes_the_arguments_that_it_names():
    def wrap_denoise(call):
        reply = yield call
        return replace(reply, denoised=reply.denoised * 0.9)

    check_wrapper(wrap_denoise)


def test_a_wrapper_works_without_guidance():
    def needs_uncond(call, request):
        reply = yield call
        return replace(reply, denoised=reply.denoised + reply.uncond * 0.1)

    with pytest.raises(TypeError):
        check_wrapper(needs_uncond)


def test_a_wrapper_keeps_the_shape():
    def cuts(call, request):
        reply = yield call
        return Denoised(reply.denoised[:, :4])

    def repeats(call, request):
        reply = yield call
        return replace(reply, denoised=reply.denoised.repeat(1, 1, 2))

    with pytest.raises(RuntimeError):
        check_wrapper(cuts)
    with pytest.raises((AssertionError, RuntimeError)):
        check_wrapper(repeats)


def test_a_wrapper_that_remembers_another_picture_is_found():
    last = []

    def averages(call, request):
        if call.step == 0:
            last.clear()
        reply = yield call
        last.append(reply.denoised)
        return replace(reply, denoised=(reply.denoised + last[max(-2, -len(last))]) / 2)

    with pytest.raises(AssertionError, match="beside another request"):
        check_wrapper(averages)


def test_a_wrapper_keeps_what_a_row_carries_for_other_families():
    """The tiny model is no Stable Diffusion XL, whose rows have `pooled`."""

    def another_row(call, request):
        cond = call.rows[0]
        more = Row(cond.context * 0.5, 0.5, "other"), Row(cond.context, -0.5, "other")
        return (yield replace(call, rows=(*call.rows, *more)))

    with pytest.raises(AssertionError, match="rows lack `pooled`"):
        check_wrapper(another_row)


def test_a_task_passes_clip_skip_on():
    def forgets(request, studio):
        model = yield LoadModel(request.model)
        cond = yield EncodeText(model, request.prompt, request.negative_prompt)
        sampling = studio.sampling(cond)
        noise = studio.first_noise(model.latent_shape(request.width, request.height))
        latent = yield from studio.sample(sampling, noise * sampling.sigmas[0])
        return studio.picture((yield Decode(model, latent)))

    with pytest.raises(AssertionError, match="without the request's clip skip"):
        check_task(Task("mine", "Mine", forgets, TASKS["txt2img"].controls))


# --- Post-processors and upscalers ----------------------------------------------------------------


def mirrored(picture, request, studio):
    return ImageOps.mirror(picture)


def test_a_postprocessor_may_be_a_function_or_a_task():
    def by_upscaler(picture, request, studio):
        return (yield from studio.upscale("Lanczos", picture, 2))

    check_postprocessor(PostProcessor("mirror", mirrored))
    check_postprocessor(PostProcessor("twice", by_upscaler))


def test_a_postprocessor_leaves_the_picture_that_it_was_given():
    def draws(picture, request, studio):
        ImageDraw.Draw(picture).line((0, 0, 9, 9), fill="red")
        return picture

    with pytest.raises(AssertionError, match=r"post-processor 'draw': .*picture\.copy\(\)"):
        check_postprocessor(PostProcessor("draw", draws))


def test_a_postprocessor_gives_a_picture():
    with pytest.raises(AssertionError, match="gives a bytes"):
        check_postprocessor(PostProcessor("mine", lambda picture, *given: picture.tobytes()))


def test_an_upscaler_makes_larger():
    def smaller(picture, scale, studio):
        return picture.resize((8, 8))

    with pytest.raises(AssertionError, match="8 x 8 is no larger than the 40 x 24"):
        check_upscaler(Upscaler("mine", smaller))


def test_an_upscaler_leaves_the_picture_that_it_was_given():
    def marks(picture, scale, studio):
        picture.putpixel((0, 0), (1, 2, 3))
        return picture.resize((160, 96), Image.Resampling.BOX)

    with pytest.raises(AssertionError, match=r"picture\.copy\(\)"):
        check_upscaler(Upscaler("mine", marks))


# --- Tasks ----------------------------------------------------------------------------------------


def test_a_task_that_samples_nothing_passes():
    def painted(request, studio):
        return Image.new("RGB", (request.width, request.height), "red")

    check_task(Task("paint", "Paint", painted, samples=False))


def test_a_task_that_makes_a_file_passes_and_one_whose_file_is_another_each_time_does_not():
    def bundled(request, studio):
        (studio.folder / "made").write_bytes(request.prompt.encode())
        return File(".bin", studio.folder / "made")

    check_task(Task("bundle", "Bundle", bundled, samples=False))

    def odd(request, studio):
        model = yield LoadModel(request.model)
        return File(".bin", f"{model.name} {time.perf_counter_ns()}".encode())

    with pytest.raises(AssertionError, match="task 'odd'"):
        check_task(Task("odd", "Odd", odd, samples=False))


def test_a_task_that_hides_what_fails_is_found():
    def make(request, studio):
        try:
            return (yield from TASKS["txt2img"].make(request, studio))
        except Exception:
            yield LoadModel(request.model)
            return Image.new("RGB", (8, 8))

    with pytest.raises(AssertionError, match=r"task 'mine': .*swallowed"):
        check_task(Task("mine", "Mine", make))
