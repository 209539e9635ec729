"""What becomes of a given picture whose shape is not that of the size that is made: stretched, cut, or filled up.

The names and numbers are A1111's. A shape is a width by a height, and a box is left, top, right, bottom, in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling

__all__ = [
    "CROP",
    "FILL",
    "JUST_RESIZE",
    "RESIZE_MODES",
    "kept",
    "placed",
    "resized",
    "same_shape",
]

RESIZE_MODES = ("Just resize", "Crop and resize", "Resize and fill")  # A1111's 0 to 2
JUST_RESIZE, CROP, FILL = range(len(RESIZE_MODES))

Size = tuple[int, int]
Box = tuple[int, int, int, int]


def same_shape(one: Size, other: Size) -> bool:
    """Whether `one` has the proportions of `other` as nearly as whole pixels can; canvas-shape.js has this
    rule as well."""
    (width, height), (across, down) = one, other
    return (
        width == (2 * height * across + down) // (2 * down)
        or height == (2 * width * down + across) // (2 * across)
    )  # fmt: skip


def kept(shape: Size, size: Size) -> tuple[float, float, float, float]:
    """The largest box in the middle of a picture that has the proportions of `size`. It begins at a whole pixel, so
    that a picture which is only cut keeps its pixels."""
    width, height = shape
    scale = min(width / size[0], height / size[1])
    across, down = min(width, size[0] * scale), min(height, size[1] * scale)
    left, top = int((width - across) / 2), int((height - down) / 2)
    return left, top, left + across, top + down


def placed(shape: Size, size: Size, mode: int) -> Box:
    """Where in a picture of `size` the given one stands: in the middle of what is filled up, else everywhere."""
    if mode != FILL or same_shape(shape, size):
        return 0, 0, *size
    scale = min(size[0] / shape[0], size[1] / shape[1])
    across, down = (
        max(1, min(whole, round(side * scale))) for side, whole in zip(shape, size, strict=True)
    )
    left, top = (size[0] - across) // 2, (size[1] - down) // 2
    return left, top, left + across, top + down


def resized(
    picture: Image,
    size: Size,
    mode: int,
    box: Box | None = None,
    *,
    resample: Resampling | None = None,
    around: int | None = None,
) -> Image:
    """A picture, or the part of it in `box`, at `size`, by a request's `resize_mode`. "Resize and fill" continues the
    colours of the edges, or has the level `around`. A shape that does not differ is resized in every mode."""
    from PIL.Image import Resampling

    how = Resampling.LANCZOS if resample is None else resample
    left, top, right, bottom = box or (0, 0, *picture.size)
    shape = (right - left, bottom - top)
    if mode == CROP and not same_shape(shape, size):
        x, y, end, foot = kept(shape, size)
        return picture.resize(size, how, (left + x, top + y, left + end, top + foot))
    place = placed(shape, size, mode)
    found = picture.resize((place[2] - place[0], place[3] - place[1]), how, box)
    return found if found.size == size else _filled_up(found, size, place, around)


def _filled_up(picture: Image, size: Size, place: Box, around: int | None) -> Image:
    """`picture` at `place` in one of `size`; on both sides of it its first and last line of pixels, or `around`."""
    from PIL import Image

    whole = Image.new(picture.mode, size, around or 0)
    whole.paste(picture, place[:2])
    if around is not None:
        return whole
    (left, top, right, bottom), (width, height) = place, picture.size
    for line, gap in (
        ((0, 0, 1, height), (0, 0, left, size[1])),
        ((width - 1, 0, width, height), (right, 0, size[0], size[1])),
        ((0, 0, width, 1), (0, 0, size[0], top)),
        ((0, height - 1, width, height), (0, bottom, size[0], size[1])),
    ):
        space = (gap[2] - gap[0], gap[3] - gap[1])
        if all(space):
            strip = picture.crop(line).resize(space, Image.Resampling.NEAREST)
            whole.paste(strip, gap[:2])
    return whole
