"""Makes a moving picture of the way from one prompt to another.

All frames start from the same noise and differ in the prompt alone: its encoded tokens go from those of one prompt to
those of the other in a straight line, in even steps, and so do the strengths of the LoRAs that the prompts name. The
first and the last frame are the pictures that the two prompts make by themselves.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from webui.api import (
    COMMON,
    PROMPTS,
    Animation,
    Choice,
    Decode,
    EncodeText,
    Group,
    LoadModel,
    Number,
    RequestError,
    Sentence,
    Switch,
    Task,
    Text,
    hookimpl,
)

if TYPE_CHECKING:
    import torch

    from webui.api import (
        Call,
        Condition,
        GenerationRequest,
        Model,
        Patch,
        Studio,
        TaskRun,
        TextCondition,
    )

__version__ = "1.0"
TITLE = "Morph"
NEEDS_API = ">=1.0,<2"

PROMPT, NEGATIVE = PROMPTS[:2]
TO = Text(
    name="morph_to",
    label="Morph to",
    lines=3,
    default="",
    info="What the last frame shows; the prompt says what the first one shows",
    prompt=True,
)
WALK = Group(
    "Morph",
    (
        Number(
            name="morph_frames",
            label="Morph frames",
            minimum=2,
            maximum=60,
            whole=True,
            default=12,
            info="Each is a picture of its own and takes as long",
        ),
        Number(
            name="morph_ms",
            label="Morph frame time, ms",
            minimum=20,
            maximum=2000,
            step=10,
            whole=True,
            default=100,
        ),
        Choice(
            name="morph_format",
            label="Morph format",
            choices=(("WebP", "webp"), ("GIF", "gif")),
            default="webp",
            info="GIF plays everywhere, in 256 colours",
        ),
        Switch(name="morph_bounce", label="Morph there and back", default=True),
    ),
    open=True,
)


@hookimpl
def register_tasks() -> list[Task]:
    controls = (PROMPT, TO, NEGATIVE, WALK, *COMMON)
    return [Task("morph", "Morph", morph, controls, "From one prompt to another, as a film.")]


@hookimpl
def change_request(request: GenerationRequest) -> None:
    """Changes nothing, but refuses a film without an end before it is queued."""
    if request.task == "morph" and not request.extras["morph_to"].strip():
        raise RequestError(Sentence("morph_to: write what the last frame shows"), "morph_to")


def morph(request: GenerationRequest, studio: Studio) -> TaskRun:
    """A film of `morph_frames` pictures, the first of `prompt`, the last of `morph_to`."""
    extras = request.extras
    model = yield LoadModel(request.model)
    if model.inpainting:
        raise RequestError(
            Sentence("model {model} is for inpainting; use another", model=repr(request.model)),
            "model",
        )
    first, last = yield from both_ends(request, studio, model)
    sampling = studio.sampling(first)
    noise = studio.first_noise(model.latent_shape(request.width, request.height))
    x, steps = noise * sampling.sigmas[0], sampling.steps
    count = extras["morph_frames"]
    frames = []
    for i in range(count):  # from the same noise; what the sampler draws is the same, too
        frame = replace(
            sampling,
            conditions=(between(first, last, i / (count - 1)),),
            done=i * steps,
            total=count * steps,
        )
        latent = yield from studio.sample(frame, x)
        frames.append(studio.picture((yield Decode(model, latent))))
    if extras["morph_bounce"]:
        frames += frames[-2:0:-1]  # neither end twice
    return Animation(tuple(frames), extras["morph_ms"], format=extras["morph_format"])


def both_ends(
    request: GenerationRequest, studio: Studio, model: Model
) -> Generator[Call, Any, tuple[Condition, ...]]:
    """The conditions of the first and the last frame, of one length."""
    negative, skip = request.negative_prompt, request.clip_skip
    first = yield EncodeText(model, request.prompt, negative, skip)
    last = yield EncodeText(model, request.extras["morph_to"], negative, skip)
    return (yield from studio.same_length(first, last))


def between(first: Condition, last: Condition, part: float) -> Condition:
    """`first` at 0, `last` at 1, and on the straight line between them: both texts, for a LoRA of one prompt changes
    the negative prompt's encoding too, and the strengths of what each prompt changes in the U-Net."""

    def way(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
        return None if a is None or b is None else a * (1 - part) + b * part

    texts = tuple(
        replace(
            start,
            context=start.context * (1 - part) + end.context * part,
            pooled=way(start.pooled, end.pooled),
            patches=tuple(patches_between(start, end, part)),
        )
        for start, end in zip(first.texts, last.texts, strict=True)
    )
    return replace(first, texts=texts)


def patches_between(first: TextCondition, last: TextCondition, part: float) -> Iterator[Patch]:
    for a, b in zip_longest(first.patches, last.patches):
        patch = b.towards(None, 1 - part) if a is None else a.towards(b, part)
        if patch is not None:
            yield patch
