"""What a mask means: where a picture is repainted, and which part of it is made anew.

A pixel is repainted from `REPAINTED` on, everywhere: specks and shadows below that change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from webui.errors import RequestError
from webui.sentences import Called, Sentence
from webui.types.shapes import CROP, FILL, JUST_RESIZE, resized

if TYPE_CHECKING:
    from webui.types.requests import GenerationRequest

__all__ = ["REPAINTED", "crop_box", "masked", "mode_of", "part_of"]

REPAINTED = 128  # of 255
MASK = Called("mask", "Mask")


def masked(request: GenerationRequest) -> tuple[tuple[int, int, int, int] | None, Image.Image]:
    """The part of the picture that is made, None for all of it; and the mask in it at the request's size, white =
    repaint, turned round where that is asked for. Raises `RequestError` where nothing would be repainted."""
    assert request.mask is not None, "the task has one"
    size, box = (request.width, request.height), None
    mask = _turned(request.mask, request)
    most = _most(mask)
    if most < REPAINTED:
        facts = {"name": MASK, "most": most, "least": REPAINTED}
        if most:
            why = Sentence(
                "{name}: nothing is masked: its lightest grey is {most}, and only {least} and more "
                "are repainted; paint what is to change white",
                **facts,
            )
        else:
            why = Sentence("{name}: nothing is masked; paint what is to change white", **facts)
        raise RequestError(why, "mask")
    if request.inpaint_full_res:
        box = crop_box(mask, size, request.inpaint_full_res_padding)
    mode = mode_of(request)
    around = 255 if box is None else None  # what is added to a picture is new
    hole = resized(mask, size, mode, box, resample=Image.Resampling.BILINEAR, around=around)
    if mode == CROP and _most(hole) < REPAINTED <= _most(_stretched(mask, size)):
        what = Sentence(
            "{name}: nothing is masked in what “Crop and resize” keeps; paint there, or choose another resize mode",
            name=MASK,
        )
        raise RequestError(what, "mask")
    if _most(hole) < REPAINTED:
        why = Sentence(
            "{name}: nothing is masked at {width} x {height}: what is white is too small; paint more "
            "of it, or make the picture larger",
            name=MASK,
            width=size[0],
            height=size[1],
        )
        raise RequestError(why, "mask")
    return box, hole


def mode_of(request: GenerationRequest) -> int:
    """The `resize_mode` of what is made: the part around a mask is filled up and never cut, for the mask is in it."""
    only_masked = request.mask is not None and request.inpaint_full_res
    return FILL if only_masked and request.resize_mode != JUST_RESIZE else request.resize_mode


def part_of(request: GenerationRequest) -> tuple[int, int]:
    """Width and height of what is made of a request's picture: of the part around the mask, or of all of it."""
    assert request.image is not None
    if request.mask is None or not request.inpaint_full_res:
        return request.image.size
    mask = _turned(request.mask, request)
    if _most(mask) < REPAINTED:
        return request.image.size
    size = (request.width, request.height)
    left, top, right, bottom = crop_box(mask, size, request.inpaint_full_res_padding)
    return right - left, bottom - top


def _turned(mask: Image.Image, request: GenerationRequest) -> Image.Image:
    """White = repaint, whatever was painted."""
    return mask.point(lambda level: 255 - level) if request.inpainting_mask_invert else mask


def _stretched(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    return mask.resize(size, Image.Resampling.BILINEAR)


def _most(mask: Image.Image) -> int:
    """The lightest grey of a mask."""
    levels = mask.histogram()
    return max(level for level, count in enumerate(levels) if count)


def crop_box(mask: Image.Image, size: tuple[int, int], padding: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom around what is repainted of `mask`, which is something: padded, then grown to the
    aspect ratio of `size` as far as the picture reaches."""
    bounds = mask.point(lambda level: level if level >= REPAINTED else 0).getbbox()
    assert bounds is not None
    left, top = max(0, bounds[0] - padding), max(0, bounds[1] - padding)
    right, bottom = min(mask.width, bounds[2] + padding), min(mask.height, bounds[3] + padding)
    aspect = size[0] / size[1]
    if (right - left) / (bottom - top) < aspect:
        left, right = _widen(left, right, round((bottom - top) * aspect), mask.width)
    else:
        top, bottom = _widen(top, bottom, round((right - left) / aspect), mask.height)
    return left, top, right, bottom


def _widen(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    """`low`..`high` grown to `length` about its middle, moved and cut to fit 0..`limit`."""
    length = min(length, limit)
    low = min(max(0, (low + high - length) // 2), limit - length)
    return low, low + length
