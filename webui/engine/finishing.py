"""From a task to its finished picture: the task itself, then every post-processor in order."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from webui.engine.expanding import expanded
from webui.engine.studio import PictureStudio, as_picture, as_task
from webui.types import (
    Animation,
    Call,
    GenerationRequest,
    Mask,
    Parts,
    Picture,
    PostProcessor,
)

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["finished_picture"]

FIELDS = frozenset(field.name for field in fields(GenerationRequest))


def finished_picture(
    request: GenerationRequest, studio: PictureStudio, parts: Parts
) -> Generator[Call, Any, tuple[Image | Animation, Mapping[str, Any], tuple[str, ...]]]:
    """The picture of a request's task after the post-processors; what its infotext tells of extensions: controls
    that are not at their default by label, denoise wrappers and post-processors in their order; and the sentences
    that are told on it."""
    task = parts.tasks[request.task]
    made: dict[str, Any] = {}
    warnings: list[str] = []
    run = expanded(as_task(task.make(request, studio)), request.vae, made, warnings)
    picture = as_picture((yield from run))
    notes = made | {
        control.label: request.extras[control.name]
        for control in task.flat_controls()
        if control.name not in FIELDS
        and not isinstance(control, Picture | Mask)
        and request.extras.get(control.name) not in (None, control.default)
    }
    passed = []
    for step in parts.postprocessors:
        if request.task in step.tasks or not step.tasks:
            changed = yield from processed(step, picture, request, studio)
            if changed is not None:
                picture = changed
                passed.append(step.name)
    wrapped = [wrapper.name for wrapper in parts.wrappers if wrapper.name in studio.wrapped]
    if wrapped:
        notes["Denoise wrappers"] = ", ".join(wrapped)
    if passed:
        notes["Post-processing"] = ", ".join(passed)
    return picture, notes, tuple(warnings)


def processed(
    step: PostProcessor,
    picture: Image | Animation,
    request: GenerationRequest,
    studio: PictureStudio,
) -> Generator[Call, Any, Image | Animation | None]:
    """The picture after one step, an animation frame by frame; None where the step leaves it."""
    if not isinstance(picture, Animation):
        changed = yield from as_task(step.process(picture, request, studio))
        return None if changed is None else changed.convert("RGB")
    frames = []
    for frame in picture.frames:
        changed = yield from as_task(step.process(frame, request, studio))
        if changed is None:
            return None
        frames.append(changed.convert("RGB"))
    return replace(picture, frames=tuple(frames))
