"""Makes pictures larger, with any upscaler: Lanczos, Nearest, and those that extensions add.

As a post-processor it takes every finished picture; as a task of its own a picture that is given, which it leaves as
it is for the post-processor, so that there is one way to do it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webui.api import (
    IMAGE,
    Call,
    Choice,
    GenerationRequest,
    Group,
    Number,
    PostProcessor,
    RequestError,
    Sentence,
    Studio,
    Task,
    hookimpl,
)

if TYPE_CHECKING:
    from PIL.Image import Image

__version__ = "1.0"
TITLE = "Upscale"
NEEDS_API = ">=1.0,<2"

PIXELS_MAX = 32_000_000  # 96 MB as RGB

SCALE = Number(
    name="upscale_by",
    label="Upscale by",
    minimum=1,
    maximum=4,
    step=0.25,
    default=1.0,
    info="1 leaves the picture as it is",
)
UPSCALER = Choice(name="upscaler", label="Upscaler", source="upscalers", default="Lanczos")
FACTOR = replace(SCALE, default=2.0, info="")  # of the task, where 1 would be no use


def check(width: int, height: int, scale: float) -> None:
    """Refuses a result that is too large, and says which scale would fit."""
    if width * height * scale**2 > PIXELS_MAX:
        fits = (PIXELS_MAX / (width * height)) ** 0.5 // SCALE.step * SCALE.step
        raise RequestError(
            Sentence(
                "upscale_by {scale}: {width} x {height} is more than {pixels_max} "
                "megapixels; use at most {fits}",
                scale=f"{scale:g}",
                width=f"{width * scale:.0f}",
                height=f"{height * scale:.0f}",
                pixels_max=PIXELS_MAX // 10**6,
                fits=f"{max(fits, 1):g}",
            ),
            SCALE.name,
        )


@hookimpl
def change_request(request: GenerationRequest) -> None:
    """Changes nothing, but refuses what is too large before it is made."""
    width, height = request.width, request.height
    if request.task == "upscale" and request.image is not None:
        width, height = request.image.size  # of any size, where a request's has limits
    check(width, height, request.extras.get(SCALE.name, 1.0))


def upscale(
    picture: Image, request: GenerationRequest, studio: Studio
) -> Generator[Call, Any, Image] | None:
    scale = request.extras[SCALE.name]
    if scale == 1:
        return None
    check(picture.width, picture.height, scale)  # a task may make another size than was asked for
    return studio.upscale(request.extras[UPSCALER.name], picture, scale)


def given(request: GenerationRequest, studio: Studio) -> Image:
    """The picture as it came."""
    assert request.image is not None, "defaults.complete asks for a picture"
    return request.image


@hookimpl
def register_tasks() -> list[Task]:
    controls = (IMAGE, Group("Upscale", (FACTOR, UPSCALER), open=True))
    about = "Give a picture; it becomes larger and keeps its settings."
    return [Task("upscale", "Upscale", given, controls, about, samples=False)]


@hookimpl
def register_postprocessors() -> list[PostProcessor]:
    return [PostProcessor("upscale", upscale, controls=(SCALE, UPSCALER), label="Upscale")]
