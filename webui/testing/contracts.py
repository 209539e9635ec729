"""What each kind of part promises, checked by making small pictures with it on a tiny random model.

Each check raises `AssertionError` with the first promise that is broken and what to do about it. `extras` are values
of controls with which the part works; those that are missing are at their defaults. `values` are further fields of
the request (`prompt=`, `steps=`). `base` are the parts beside the one that is checked; the built-in ones unless given.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from PIL import Image

from webui.errors import ExtensionError
from webui.testing.cases import Case, making, studio_of, text_to_image
from webui.testing.examples import PARTS, example_picture, example_request, tiny_runner
from webui.testing.properties import (
    cancels_at_any_call,
    does_something,
    gives_pictures,
    is_the_same_in_any_batch,
    leaves_random_state_alone,
    leaves_what_it_was_given,
    passes_errors_on,
    random_state_kept,
    random_states,
    replays,
)
from webui.testing.runs import Recorded, frames_of, mark
from webui.types import (
    Choice,
    Conditioner,
    Denoise,
    EncodeText,
    GenerationRequest,
    LoadModel,
    Model,
    Number,
    Parts,
    PostProcessor,
    Sampler,
    Schedule,
    Switch,
    Task,
    TaskRun,
    Upscaler,
    Wrapper,
)

__all__ = [
    "check_conditioner",
    "check_postprocessor",
    "check_sampler",
    "check_schedule",
    "check_task",
    "check_upscaler",
    "check_wrapper",
]


def check_sampler(sampler: Sampler, *, base: Parts = PARTS, **values: Any) -> None:
    """A sampler: with few steps, without guidance, at either end of each option; then all that holds for any part."""
    what = f"sampler {sampler.name!r}"
    parts = replace(base, samplers=with_one(base.samplers, sampler.name, sampler))
    values = {"sampler_name": sampler.name, **values}
    case = text_to_image(what, parts, **values)
    few: list[dict[str, Any]] = [{"steps": 1}, {"steps": 2, "cfg_scale": 1.0}]
    for given in (*few, *ends_of(sampler, case.request)):
        other = replace(case, request=replace(case.request, **given))
        keeps_the_shape(other, other.run())
    keeps_the_shape(case, check_case(case))


def check_schedule(schedule: Schedule, *, base: Parts = PARTS, **values: Any) -> None:
    """A schedule: descending Python floats down to 0.0 for any number of steps, then a picture with it, at either end
    of each option too."""
    what = f"schedule {schedule.name!r}"
    case = text_to_image(
        what,
        replace(base, schedules=with_one(base.schedules, schedule.name, schedule)),
        scheduler=schedule.name,
        **values,
    )
    model = tiny_runner().load(LoadModel("tiny"))
    assert isinstance(model, Model)
    levels = model.sigmas
    for n in (1, 2, 3, 10, 50):
        for low, high in ((levels[0], levels[-1]), (0.1, 10.0)):
            between = [sigma for sigma in levels if low <= sigma <= high]
            for options in ({}, *options_of(schedule)):
                with random_state_kept():
                    before = random_states()
                    sigmas = schedule.make(n, low, high, between, **options)
                    again = schedule.make(n, low, high, between, **options)
                    drawn = random_states() != before
                if sentence := no_schedule(sigmas, n, high):
                    told = f" with {options}" if options else ""
                    sentence = f"for {n} steps from {high:g} to {low:g}{told} it gives {sentence}"
                    raise case.wrong(sentence)
                if drawn or sigmas != again:
                    raise case.wrong("asked twice it gives two answers, or draws random numbers")
    for given in ends_of(schedule, case.request):
        replace(case, request=replace(case.request, **given)).run()
    check_case(case)


def check_conditioner(
    conditioner: Conditioner,
    extras: Mapping[str, Any] | None = None,
    *,
    base: Parts = PARTS,
    **values: Any,
) -> None:
    """A conditioner: it changes what is sampled, for its own request alone."""
    what = f"conditioner {conditioner.name!r}"
    parts = replace(base, conditioners=(conditioner,))
    task = first_task(conditioner.tasks, base)
    given = {**defaults_of(conditioner), **(extras or {})}
    case = making(what, parts, example_request(task, given, **values))
    check_case(case, without=making(what, base, case.request))


def check_wrapper(
    wrap: Callable[..., Any] | Wrapper,
    extras: Mapping[str, Any] | None = None,
    *,
    task: str = "txt2img",
    base: Parts = PARTS,
    **values: Any,
) -> None:
    """A `wrap_denoise` hook: also without guidance, where a reply has no `uncond`."""
    wrapper = wrap if isinstance(wrap, Wrapper) else Wrapper("the extension", named(wrap))
    what = f"wrap_denoise of {wrapper.name!r}"
    parts = replace(base, wrappers=(wrapper,))
    request = example_request(base.tasks[task], extras, **values)
    case = making(what, parts, request)
    unguided = replace(case, request=replace(request, cfg_scale=1.0))
    keeps_the_shape(unguided, unguided.run())
    keeps_the_shape(case, known := check_case(case, without=making(what, base, request)))
    keeps_what_rows_carry(case, wrapper, known)


def check_postprocessor(
    postprocessor: PostProcessor,
    extras: Mapping[str, Any] | None = None,
    *,
    base: Parts = PARTS,
    **values: Any,
) -> None:
    """A post-processor: it gives another picture and leaves the one that it was given as it was."""
    what = f"post-processor {postprocessor.name!r}"

    def process(picture: Image.Image, request: GenerationRequest, studio: Any) -> Any:
        before = mark(picture)
        result = postprocessor.process(picture, request, studio)
        if isinstance(result, Generator):
            result = yield from result
        if mark(picture) != before:
            sentence = "it changes the picture that it was given; work on picture.copy()"
            raise AssertionError(f"{what}: {sentence}")
        if not isinstance(result, Image.Image | None):
            sentence = f"it gives a {type(result).__name__}; give a picture, or None to leave it"
            raise AssertionError(f"{what}: {sentence}")
        return result

    parts = replace(base, postprocessors=(replace(postprocessor, process=process),))
    task = first_task(postprocessor.tasks, base)
    given = {**defaults_of(postprocessor), **(extras or {})}
    case = making(what, parts, example_request(task, given, **values))
    check_case(case, without=making(what, base, case.request))


def check_upscaler(upscaler: Upscaler, *, base: Parts = PARTS, **values: Any) -> None:
    """An upscaler: a larger RGB picture, of exactly the size asked for once the engine has trimmed it."""
    what = f"upscaler {upscaler.name!r}"
    parts = replace(base, upscalers=with_one(base.upscalers, upscaler.name, upscaler))
    request = example_request(PARTS.tasks["txt2img"], **values)
    picture = example_picture(40, 24)
    for scale in (2.0, 1.5, 3.0):

        def begin(request: GenerationRequest, scale: float = scale) -> TaskRun:
            run: TaskRun = studio_of(parts, request).upscale(upscaler.name, picture, scale)
            return run

        case = Case(what, begin, request, tiny_runner())
        before = mark(picture)
        known = check_case(case) if scale == 2 else case.run()
        if mark(picture) != before:
            raise case.wrong("it changes the picture that it was given; work on picture.copy()")
        wanted = (round(40 * scale), round(24 * scale))
        if frames_of(known.result)[0].size != wanted:
            raise case.wrong(f"{scale:g} times 40 x 24 is {frames_of(known.result)[0].size}")
        raw = raw_size(case, upscaler, picture, scale, studio_of(parts, request))
        if raw[0] <= picture.width or raw[1] <= picture.height:
            raise case.wrong(
                f"its picture of {raw[0]} x {raw[1]} is no larger than the 40 x 24 given"
            )


def check_task(
    task: Task, extras: Mapping[str, Any] | None = None, *, base: Parts = PARTS, **values: Any
) -> None:
    """A task: pictures or an animation, and errors of what it uses passed on."""
    what = f"task {task.name!r}"
    parts = replace(base, tasks=with_one(base.tasks, task.name, task))
    own = {control.name for control in task.flat_controls()}
    given = {name: value for name, value in (extras or {}).items() if name in own}
    case = making(what, parts, example_request(task, given, **values))
    if not check_case(case).predictions:
        return
    passes_clip_skip_on(replace(case, request=replace(case.request, clip_skip=2)))

    def failing(error: ExtensionError) -> Case:
        def make(x: Any, sigmas: Any, noise: Any, **options: Any) -> Any:
            yield x, sigmas[0]
            raise error

        broken = {name: replace(one, make=make) for name, one in parts.samplers.items()}
        return making(what, replace(parts, samplers=broken), case.request)

    passes_errors_on(case, failing)


# --- What holds for every part --------------------------------------------------------------------


def check_case(case: Case, without: Case | None = None) -> Recorded:
    """Every property that any part has; gives a run of it. `without` is the same picture without the part."""
    known = case.run()
    gives_pictures(case, known)
    leaves_what_it_was_given(case, known)
    if without is not None:
        does_something(case, known, without.run())
    leaves_random_state_alone(case)
    replays(case, known)
    is_the_same_in_any_batch(case, known)
    cancels_at_any_call(case, known)
    return known


# --- What holds for one kind ----------------------------------------------------------------------


def ends_of(part: Sampler | Schedule, request: GenerationRequest) -> Iterator[dict[str, Any]]:
    """Fields of a request with either end of a number that is an option of the part, or each of its choices."""
    for options in options_of(part):
        extras = {**request.extras}
        fields: dict[str, Any] = {}
        for name, value in options.items():
            (fields if name in request.__dataclass_fields__ else extras)[name] = value
        yield {**fields, "extras": MappingProxyType(extras)}


def options_of(part: Sampler | Schedule) -> Iterator[dict[str, Any]]:
    """Values of one option at a time: the ends of a number, each of its choices."""
    for control in part.options:
        values: tuple[Any, ...] = ()
        if isinstance(control, Number):
            values = control.read(control.minimum), control.read(control.maximum)
        elif isinstance(control, Choice):
            values = tuple(value for _, value in control.choices)
        elif isinstance(control, Switch):
            values = False, True
        yield from ({control.name: value} for value in values)


def keeps_the_shape(case: Case, run: Recorded) -> None:
    """Every latent of a run has the shape of the first."""
    shapes = {tuple(call.x.shape) for call in run.predictions}
    shapes |= {tuple(latent.shape) for latent in run.latents}
    if len(shapes) > 1:
        raise case.wrong(f"its latents have several shapes: {sorted(shapes)}; keep that of x")


def keeps_what_rows_carry(case: Case, wrapper: Wrapper, run: Recorded) -> None:
    """Rows of models that ask for more than a text's tokens (Stable Diffusion XL) still have it."""
    call = run.predictions[0]
    pooled = tuple(replace(row, pooled=row.context[-1]) for row in call.rows[:2])
    asked = wrapper.wrap(replace(call, rows=pooled), case.request)
    if asked is None:
        return
    first = next(asked)
    asked.close()
    if isinstance(first, Denoise) and any(row.pooled is None for row in first.rows):
        sentence = (
            "its rows lack `pooled`, which Stable Diffusion XL needs: make a row from another by"
        )
        raise case.wrong(f"{sentence} replace(row, ...)")


def passes_clip_skip_on(case: Case) -> None:
    """Texts are encoded as the request says."""
    texts = [call for call in case.run().calls if isinstance(call, EncodeText)]
    if any(call.clip_skip != case.request.clip_skip for call in texts):
        sentence = (
            "it encodes a text without the request's clip skip; use EncodeText(model, prompt,"
        )
        raise case.wrong(f"{sentence} negative_prompt, request.clip_skip)")


def no_schedule(sigmas: Any, n: int, high: float) -> str:
    """What is wrong with a schedule, "" where nothing is."""
    if not isinstance(sigmas, list) or any(type(sigma) is not float for sigma in sigmas):
        return "something else than a list of Python floats"
    if len(sigmas) != n + 1:
        return f"{len(sigmas)} sigmas; give {n + 1}, the last of them 0.0"
    if sigmas[-1] != 0 or any(not a > b for a, b in pairwise(sigmas)):
        return "sigmas that do not descend to 0.0"
    if sigmas[0] > high * (1 + 1e-6):
        return f"sigmas from {sigmas[0]:g}, above the highest"
    return ""


def raw_size(
    case: Case, upscaler: Upscaler, picture: Image.Image, scale: float, studio: Any
) -> tuple[int, int]:
    """The size of what an upscaler returns, before the engine trims it."""

    def begin(request: GenerationRequest) -> TaskRun:
        result = upscaler.upscale(picture, scale, studio)
        return (yield from result) if isinstance(result, Generator) else result

    size: tuple[int, int] = replace(case, begin=begin).run().result.size
    return size


def named(wrap: Callable[..., Any]) -> Callable[..., Any]:
    """A `wrap_denoise` function called as hooks are: by name, with the arguments that it takes."""
    import inspect

    takes = inspect.signature(wrap).parameters

    def wrapped(call: Any, request: Any) -> Any:
        offered = {"call": call, "request": request}
        return wrap(**{name: value for name, value in offered.items() if name in takes})

    return wrapped


def with_one(values: Mapping[str, Any], name: str, value: Any) -> Mapping[str, Any]:
    return MappingProxyType({**values, name: value})


def first_task(names: tuple[str, ...], base: Parts) -> Task:
    """A task that a part belongs to: the first that it names, else text to image."""
    return base.tasks[names[0] if names else "txt2img"]


def defaults_of(value: Any) -> dict[str, Any]:
    return {control.name: control.default for control in value.controls}
