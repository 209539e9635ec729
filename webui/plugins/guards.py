"""Samplers, tasks and the rest of an extension's parts, wrapped so that they cannot hurt anybody else.

Each is the same kind of value with another function in it: that one enters the extension's code through its
boundary, looks at what comes out, and refuses (or lets pass) when the extension is off or set aside.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from PIL import Image

from webui.plugins.extension import Extension
from webui.plugins.hooks import Implementation
from webui.types import (
    Animation,
    Condition,
    Conditioner,
    ControlNetwork,
    Denoise,
    Denoised,
    File,
    Model,
    Patch,
    PostProcessor,
    Row,
    Sampler,
    Schedule,
    Task,
    TextCondition,
    Upscaler,
    Wrapper,
)
from webui.types.calls import unread
from webui.types.patches import no_value

__all__ = ["guarded", "guarded_wrapper"]


def guarded(extension: Extension, value: Any) -> Any:
    """`value` (a task, a sampler, ...) as an extension's; a group of controls stays as it is."""
    match value:
        case Sampler():
            return guarded_sampler(extension, value)
        case Schedule():
            return guarded_schedule(extension, value)
        case Task():
            return guarded_task(extension, value)
        case Upscaler():
            hook = f"upscaler {value.name!r}"
            upscale = stepped(extension, hook, value.upscale, no_picture, needed=True)
            return replace(value, upscale=upscale)
        case Conditioner():
            hook = f"conditioner {value.name!r}"
            return replace(value, prepare=stepped(extension, hook, value.prepare, no_condition))
        case PostProcessor():
            hook = f"post-processor {value.name!r}"
            return replace(value, process=stepped(extension, hook, value.process, no_picture))
    return value


# --- Samplers and schedules -----------------------------------------------------------------------


def guarded_sampler(extension: Extension, sampler: Sampler) -> Sampler:
    hook = f"sampler {sampler.name!r}"

    def make(x: Any, sigmas: Any, noise: Any, **options: Any) -> Generator[Any, Any, Any]:
        extension.require(hook)
        shape = getattr(x, "shape", None)

        def wrong(asked: Any) -> str:
            if not isinstance(asked, tuple) or len(asked) not in (2, 3):
                return f"yielded {kind(asked)}; a sampler yields (x, sigma)"
            if getattr(asked[0], "shape", None) != shape:
                return f"yielded {shaped(asked[0])} for a latent of shape {tuple(shape or ())}"
            if not isinstance(asked[1], float | int) or not 0 <= asked[1] < math.inf:
                return f"yielded sigma {asked[1]!r}; give a float that is not negative"
            return ""

        run = extension.call(hook, sampler.make, x, sigmas, noise, **options)
        if not isinstance(run, Generator):
            raise extension.fault(hook, f"gave {kind(run)}; a sampler is a generator (it yields)")
        final = yield from extension.drive(hook, run, wrong)
        if getattr(final, "shape", None) != shape:
            raise extension.fault(hook, f"returned {shaped(final)}, not the final latent")
        return final

    return replace(sampler, make=make)


def guarded_schedule(extension: Extension, schedule: Schedule) -> Schedule:
    hook = f"schedule {schedule.name!r}"

    def make(n: int, *given: Any, **options: Any) -> list[float]:
        extension.require(hook)
        sigmas = extension.call(hook, schedule.make, n, *given, **options)
        if sentence := no_sigmas(sigmas, n):
            raise extension.fault(hook, sentence)
        return [float(sigma) for sigma in sigmas]

    return replace(schedule, make=make)


def no_sigmas(sigmas: Any, n: int) -> str:
    """Why something is no schedule of `n` steps, "" where it is one."""
    if not isinstance(sigmas, list | tuple):
        return f"gave {kind(sigmas)}; give a list of floats"
    if not all(isinstance(sigma, float | int) and math.isfinite(sigma) for sigma in sigmas):
        return "gave something else than finite floats"
    if len(sigmas) != n + 1:
        return f"gave {len(sigmas)} sigmas for {n} steps; give {n + 1}, the last of them 0.0"
    if sigmas[-1] != 0 or any(a <= b for a, b in itertools.pairwise(sigmas)):
        return "gave sigmas that do not descend to 0.0"
    return ""


# --- Tasks, and what goes around them -------------------------------------------------------------


def guarded_task(extension: Extension, task: Task) -> Task:
    hook = f"task {task.name!r}"

    def make(request: Any, studio: Any) -> Generator[Any, Any, Any]:
        extension.require(hook)
        result = extension.call(hook, task.make, request, studio)
        if isinstance(result, Generator):
            result = yield from extension.drive(hook, result, partial(no_call, extension))
        if not isinstance(result, Image.Image | Animation | File) and not is_tensor(result):
            raise extension.fault(hook, f"returned {kind(result)}, which is no picture or file")
        return result

    return replace(task, make=make)


def stepped(
    extension: Extension,
    hook: str,
    function: Callable[..., Any],
    unfit: Callable[[Any], str],
    *,
    needed: bool = False,
) -> Callable[..., Any]:
    """`function`, a task or a plain one, whose result is None or passes `unfit`.

    While the extension is off it answers None, or raises where it is `needed`.
    """

    def fitting(result: Any) -> Any:
        if (result is not None or needed) and (sentence := unfit(result)):
            raise extension.fault(hook, sentence)
        return result

    def finish(run: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        return fitting((yield from extension.drive(hook, run, partial(no_call, extension))))

    def call(*given: Any) -> Any:
        if needed:
            extension.require(hook)
        elif not extension.active:
            return None
        result = extension.call(hook, function, *given)
        return finish(result) if isinstance(result, Generator) else fitting(result)

    return call


def guarded_wrapper(implementation: Implementation) -> Wrapper:
    """A `wrap_denoise` implementation as the engine sees it."""
    extension, hook = implementation.extension, implementation.hook

    def no_reply(result: Any, call: Denoise) -> str:
        if not isinstance(result, Denoised) or not is_tensor(result.denoised):
            return f"returned {kind(result)}; return a Denoised"
        if result.denoised.shape != call.x.shape:
            return f"returned {shaped(result.denoised)} for a latent of {tuple(call.x.shape)}"
        return ""

    def finish(run: Generator[Any, Any, Any], call: Denoise) -> Generator[Any, Any, Any]:
        yielded = False

        def wrong(inner: Any) -> str:
            nonlocal yielded
            yielded = True
            return no_call(extension, inner)

        result = yield from extension.drive(hook, run, wrong)
        if result is None and not yielded:  # a generator's way to let the call pass
            return (yield call)
        if sentence := no_reply(result, call):
            raise extension.fault(hook, sentence)
        return result

    def wrap(call: Denoise, request: Any) -> Any:
        if not extension.active:
            return None
        result = implementation.call(call=call, request=request)
        if result is None:
            return None
        if isinstance(result, Generator):
            return finish(result, call)
        if sentence := no_reply(result, call):
            raise extension.fault(hook, sentence)
        return result

    return Wrapper(extension.name, wrap)


# --- What comes out of an extension's code --------------------------------------------------------


def no_call(extension: Extension, call: Any) -> str:
    """Why something that a task yields is no call that the engine could make, "" where it is one."""
    if isinstance(call, Denoise):
        return no_denoise(call)
    return "" if extension.is_call(call) else f"yielded {kind(call)}, which is no call"


def no_denoise(call: Denoise) -> str:
    if not is_tensor(call.x) or call.x.ndim != 3:
        return f"yielded a Denoise with {shaped(call.x)} for x; give a latent [C, h, w]"
    if not isinstance(call.sigma, float | int) or not 0 <= call.sigma < math.inf:
        return f"yielded a Denoise with sigma {call.sigma!r}; give a float that is not negative"
    rows = call.rows
    if not rows or not all(isinstance(row, Row) and is_tensor(row.context) for row in rows):
        return "yielded a Denoise without rows, or with rows that are no Row"
    if sentence := no_inputs(call.model, call.inputs):
        return f"yielded a Denoise with {sentence}"
    return (
        no_patches(call.patches)
        or no_control_networks(call.control_networks)
        or next((wrong for row in rows if (wrong := no_row(row))), "")
    )


def no_row(row: Row | TextCondition) -> str:
    """What is wrong with a row, or a text that rows are made of."""
    for name in ("pooled", "mask"):
        if not (getattr(row, name) is None or is_tensor(getattr(row, name))):
            return f"{name} of a {type(row).__name__} is {kind(getattr(row, name))}, no tensor"
    if row.mask is not None and row.mask.shape != row.context.shape[:1]:
        return f"the mask of a {type(row).__name__} has {shaped(row.mask)} for a context of {shaped(row.context)}"
    return no_patches(row.patches)


def no_inputs(model: Model, inputs: Any) -> str:
    if not isinstance(inputs, Mapping) or not all(map(is_tensor, inputs.values())):
        return "inputs that are no tensors by name"
    return unread(model, inputs)


def no_condition(cond: Any) -> str:
    if not isinstance(cond, Condition):
        return f"returned {kind(cond)}; return a Condition or None"
    return (
        no_texts(cond.texts)
        or no_inputs(cond.model, cond.inputs)
        or no_patches(cond.patches)
        or no_control_networks(cond.control_networks)
    )


def no_texts(texts: Any) -> str:
    if not isinstance(texts, tuple) or not all(
        isinstance(text, TextCondition) and is_tensor(text.context) for text in texts
    ):
        return "texts is no tuple of TextCondition"
    for text in texts:
        if text.role not in ("cond", "uncond"):
            return f"a text has the role {text.role!r}; use 'cond' or 'uncond'"
        if not isinstance(text.weight, float | int) or not math.isfinite(text.weight):
            return f"a text has the weight {text.weight!r}; give a number"
        if sentence := no_row(text):
            return sentence
    return "" if any(text.role == "cond" for text in texts) else "no text has the role 'cond'"


def no_picture(picture: Any) -> str:
    return "" if isinstance(picture, Image.Image) else f"returned {kind(picture)}, not a picture"


def no_patches(patches: Any) -> str:
    """Patches are compared and hashed by the engine's loop, so this is found out here."""
    if not isinstance(patches, tuple):
        return f"patches is {kind(patches)}; give a tuple"
    for patch in patches:
        if not isinstance(patch, Patch):
            return f"patches hold {kind(patch)}, which is no Patch"
        if sentence := no_value(patch):
            return f"patches: {sentence}"
    return ""


def no_control_networks(networks: Any) -> str:
    if isinstance(networks, tuple) and all(isinstance(one, ControlNetwork) for one in networks):
        return ""
    return f"control_networks is {networks!r}; give a tuple of ControlNetwork"


def is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # who has made a tensor has loaded it
    return torch is not None and isinstance(value, torch.Tensor)


def kind(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def shaped(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return kind(value) if shape is None else f"shape {tuple(shape)}"
