"""From a picture to what a ControlNet is shown, RGB to RGB of the same size, without a network."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

BLUR = 9  # standard deviation in pixels
COARSE = 8  # pixels


def blur(picture: Image.Image) -> Image.Image:
    """The picture without its details, for "blur" networks."""
    return picture.filter(ImageFilter.GaussianBlur(BLUR))


def tile(picture: Image.Image) -> Image.Image:
    """The picture at an eighth of its size and back, for "tile" networks, which paint details into it."""
    small = (max(1, picture.width // COARSE), max(1, picture.height // COARSE))
    return picture.resize(small, Image.Resampling.BOX).resize(
        picture.size, Image.Resampling.BICUBIC
    )


def canny(picture: Image.Image, low: float, high: float) -> Image.Image:
    """White edges on black, one pixel wide (Canny 1986).

    Thresholds are those of OpenCV's `Canny(picture, low, high)`, which ControlNets were trained with: sums of the
    absolute Sobel derivatives, of the channel that changes most; no smoothing before.
    """
    low, high = sorted((low, high))
    dx, dy = _derivatives(np.asarray(picture.convert("RGB"), dtype=np.int32))
    strength = abs(dx) + abs(dy)
    ridges = _ridges(strength, dx, dy)
    edges = _connected(ridges & (strength > high), ridges & (strength > low))
    return Image.fromarray(edges.astype(np.uint8) * 255).convert("RGB")


def _derivatives(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel's dx and dy [H, W] of `levels` [H, W, 3], at each pixel those of the strongest channel."""
    wide = np.pad(levels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    down = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    across = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    dx, dy = down[:, 2:] - down[:, :-2], across[2:] - across[:-2]
    strongest = (abs(dx) + abs(dy)).argmax(axis=2)[..., None]
    return (
        np.take_along_axis(dx, strongest, axis=2)[..., 0],
        np.take_along_axis(dy, strongest, axis=2)[..., 0],
    )


def _ridges(strength: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Where the strength is greatest along its gradient, told in four directions."""
    height, width = strength.shape
    wide = np.pad(strength, 1)

    def beside(down: int, across: int) -> np.ndarray:
        return wide[1 + down : 1 + down + height, 1 + across : 1 + across + width]

    flat = abs(dy) < np.tan(np.pi / 8) * abs(dx)
    steep = abs(dy) > np.tan(3 * np.pi / 8) * abs(dx)
    falling = (dx ^ dy) >= 0  # towards lower right or upper left
    return np.select(
        [flat, steep, falling],
        [
            (strength > beside(0, -1)) & (strength >= beside(0, 1)),
            (strength > beside(-1, 0)) & (strength >= beside(1, 0)),
            (strength > beside(-1, -1)) & (strength > beside(1, 1)),
        ],
        (strength > beside(-1, 1)) & (strength > beside(1, -1)),
    )


def _connected(strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """The strong pixels, and the weak ones that a chain of neighbours joins to one."""
    height, width = weak.shape
    around = [down * (width + 2) + across for down in (-1, 0, 1) for across in (-1, 0, 1)]
    left = np.pad(weak, 1).ravel()  # a margin, so that no neighbour is outside
    reached = np.flatnonzero(np.pad(strong, 1))
    edges = np.zeros_like(left)
    while reached.size:
        edges[reached] = True
        left[reached] = False
        near = (reached[:, None] + around).ravel()
        reached = np.unique(near[left[near]])
    return edges.reshape(height + 2, width + 2)[1:-1, 1:-1]
