"""From a task to its finished picture: the task itself, then every post-processor in order.

A picture that was made is worth more than what was to be done with it: a post-processor that fails leaves it as it was,
which is told on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from PIL import Image

from webui.engine.call_expansion import Account, expanded
from webui.engine.studio import PictureStudio, as_artifact, as_task, gone, names_of
from webui.errors import EaselError, ExtensionError, Sentence, lacking
from webui.prompt import Prompt, parse
from webui.types import (
    Animation,
    Artifact,
    Call,
    File,
    GenerationRequest,
    Mask,
    Model,
    Parts,
    Picture,
    PostProcessor,
    Sampler,
    Schedule,
)

__all__ = ["FAILED", "finished_picture"]

log = logging.getLogger(__name__)

INTERRUPTED = "Interrupted"  # in the infotext: after which step of how many
FAILED = "Post-processor"  # how it begins what is told of one that failed
REASON_MAX = 500  # characters of why a post-processor failed
FIELDS = frozenset(field.name for field in fields(GenerationRequest))


def finished_picture(
    request: GenerationRequest,
    studio: PictureStudio,
    parts: Parts,
    strict: bool = False,
    read: Callable[[str], Prompt] = parse,
) -> Generator[Call, Any, tuple[Artifact, Mapping[str, Any], tuple[str, ...], Model | None]]:
    """The picture of a request's task after the post-processors; what its infotext tells of extensions: controls
    that are not at their default by label, denoise wrappers and post-processors in their order; the sentences
    that are told on it; and the model that made it. `strict` raises what a post-processor raises; `read` gives a
    text as it was parsed."""
    task = parts.tasks.get(request.task)
    if task is None:
        raise gone("task", request.task, "task")
    account = Account()
    warnings = account.warnings
    run = as_task(task.make(request, studio))
    result = yield from expanded(run, request.vae, account, request.missing, read)
    picture, made_here = as_artifact(result, studio), result is not request.image
    unused = _unused_options(studio, parts)
    notes = account.notes | {
        control.infotext or control.label: said
        for control in task.flat_controls()
        if control.name not in FIELDS | unused
        and not isinstance(control, Picture | Mask)
        and request.extras.get(control.name) != control.default
        and (said := control.told(request.extras.get(control.name))) is not None
    }
    passed = []
    for step in parts.postprocessors:
        if isinstance(picture, File):
            break
        if request.task in step.tasks or not step.tasks:
            try:
                changed = yield from processed(step, picture, request, studio)
            except Exception as error:  # the boundary: whatever a step raises, the picture is there
                if strict or not made_here:  # nothing is lost of a picture that was only handed on
                    raise
                if lacking(error):  # it comes back, and so does this step
                    raise
                warnings.append(failure(step, error))
                continue
            if changed is not None:
                picture, made_here = changed, True
                passed.append(step.name)
    if studio.broken_off is not None:
        notes[INTERRUPTED] = "{}/{}".format(*studio.broken_off)
    wrapped = [wrapper.name for wrapper in parts.wrappers if wrapper.name in studio.wrapped]
    if wrapped:
        notes["Denoise wrappers"] = ", ".join(wrapped)
    if passed:
        notes["Post-processing"] = ", ".join(passed)
    further = list(account.sampled.values())[1:]
    if further:
        notes["Further model"] = ", ".join(f"{one.name} [{one.hash}]" for one in further)
    return picture, notes, tuple(warnings), account.model


def _unused_options(studio: PictureStudio, parts: Parts) -> frozenset[str]:
    """The options of neither a sampler nor a schedule that was used: their values changed nothing."""
    used: set[str] = set()
    every: set[str] = set()
    known: tuple[Sampler | Schedule, ...] = (*parts.samplers.values(), *parts.schedules.values())
    for part in known:
        every |= names_of(part)
        if part.name in (studio.samplers if isinstance(part, Sampler) else studio.schedules):
            used |= names_of(part)
    return frozenset(every - used)


def failure(step: PostProcessor, error: Exception) -> str:
    """What is told on a picture that a step failed on; an extension's fault is in the log already."""
    if not isinstance(error, ExtensionError):
        log.error("post-processor %r failed", step.name, exc_info=error)
    reason = str(error) if isinstance(error, EaselError) else f"{type(error).__name__}: {error}"
    reason = reason if len(reason) <= REASON_MAX else reason[: REASON_MAX - 1] + "…"
    return Sentence(
        "{failed} {step} failed, the picture is as it was before it: {reason}",
        failed=FAILED,
        step=repr(step.name),
        reason=reason,
    )


def processed(
    step: PostProcessor,
    picture: Image.Image | Animation,
    request: GenerationRequest,
    studio: PictureStudio,
) -> Generator[Call, Any, Image.Image | Animation | None]:
    """The picture after one step, an animation frame by frame; None where the step leaves it. The step gets a
    copy, so that it spoils nothing where it fails half way."""
    if not isinstance(picture, Animation):
        changed = yield from driven(step.process(picture.copy(), request, studio))
        return None if changed is None else whole(changed)
    frames: list[Image.Image] = []
    for frame in picture.frames:
        changed = yield from driven(step.process(frame.copy(), request, studio))
        if changed is None:
            return None
        frames.append(whole(changed))
        if frames[-1].size != frames[0].size:
            sizes = [f"{one.width} x {one.height}" for one in (frames[0], frames[-1])]
            raise EaselError(
                Sentence(
                    "it made frames of different sizes: {sizes} and {sizes2} pixels",
                    sizes=sizes[0],
                    sizes2=sizes[1],
                )
            )
    return replace(picture, frames=tuple(frames))


def whole(changed: Any) -> Image.Image:
    """What a step gave, as RGB. Raises for what is no picture."""
    if not isinstance(changed, Image.Image):
        raise EaselError(
            Sentence(
                "it gave a value of type {name}, which is no picture", name=type(changed).__name__
            )
        )
    rgb = changed.convert("RGB")
    if not rgb.width or not rgb.height:
        raise EaselError(
            Sentence(
                "it made a picture of {width} x {height} pixels", width=rgb.width, height=rgb.height
            )
        )
    return rgb


def driven(run: Any) -> Generator[Call, Any, Any]:
    """A step's calls, and its result. One that fails ends the step, which hears of it by being closed."""
    if not isinstance(run, Generator):
        return run
    reply: Any = None
    try:
        while True:
            reply = yield run.send(reply)
    except StopIteration as stop:
        return stop.value
    except (
        BaseException
    ):  # a call of it failed, or the picture is broken off: no step holds that up
        with suppress(Exception):
            run.close()
        raise
