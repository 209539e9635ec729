"""Cuts a picture into overlapping tiles and blends what a network makes of them.

Neighbours share 32 pixels. A network has invented what lies beyond a tile's border, so the outer 8 pixels of a tile
are dropped where it has a neighbour; over the next 16 pixels one tile fades linearly into the other. The weights of
all tiles sum to 1 at every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TILE, DROPPED, BLEND = 192, 8, 16  # pixels of the picture that is enlarged
OVERLAP = 2 * DROPPED + BLEND


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture, in pixels; `right` and `bottom` are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int


def tiles(width: int, height: int) -> list[Tile]:
    """The tiles of a picture, row by row. They begin at multiples of 160, the last ones may be smaller."""
    return [
        Tile(left, top, right, bottom)
        for top, bottom in _spans(height)
        for left, right in _spans(width)
    ]


def _spans(length: int) -> list[tuple[int, int]]:
    starts = range(0, max(length - OVERLAP, 1), TILE - OVERLAP)
    return [(start, min(start + TILE, length)) for start in starts]


def blend(canvas: Tensor, tile: Tile, enlarged: Tensor) -> None:
    """Adds what became of `tile`, [3, h * scale, w * scale], to the picture [3, H * scale, W * scale]."""
    scale = enlarged.shape[-1] // (tile.right - tile.left)
    height, width = (side // scale for side in canvas.shape[-2:])
    down = _weights(tile.top, tile.bottom, height, scale)
    across = _weights(tile.left, tile.right, width, scale)
    rows = slice(tile.top * scale, tile.bottom * scale)
    columns = slice(tile.left * scale, tile.right * scale)
    canvas[:, rows, columns] += enlarged * down[:, None] * across


def _weights(start: int, stop: int, length: int, scale: int) -> Tensor:
    """How much a tile from `start` to `stop` counts at each of its enlarged pixels, along one side."""
    import torch

    inside = (torch.arange((stop - start) * scale) + 0.5) / scale  # distance from `start`
    weights = torch.ones_like(inside)
    if start > 0:
        weights *= ((inside - DROPPED) / BLEND).clamp(0, 1)
    if stop < length:
        weights *= ((stop - start - inside - DROPPED) / BLEND).clamp(0, 1)
    return weights
