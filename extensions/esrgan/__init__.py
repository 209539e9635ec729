"""Enlarges pictures with networks: each file in models/ESRGAN and models/RealESRGAN is an upscaler.

Each `.safetensors` file there becomes an upscaler of its name. The network is RRDBNet (`rrdbnet.py`); other
architectures load where the package spandrel can be imported. A picture is worked on in tiles (`tiles.py`), each
tile a call of its own, so that other pictures go on in between and a job can be cancelled at any tile.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from webui.api import LoadNetwork, ModelFileError, RunNetwork, Sentence, Upscaler, hookimpl

from .tiles import blend, tiles
from .weights import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from webui.api import Network, Places, Studio, TaskRun

__version__ = "1.0"
TITLE = "ESRGAN"
NEEDS_API = ">=1.0,<2"


@hookimpl
def register_upscalers(places: Places) -> list[Upscaler]:
    folders = ("ESRGAN", "RealESRGAN")
    files = [path for folder in folders for path in places.files(folder, ".safetensors")]
    return [Upscaler(path.stem, partial(upscale, path, wrong=places.wrong)) for path in files]


def upscale(
    path: Path,
    picture: Image.Image,
    scale: float,
    studio: Studio,
    wrong: Callable[[str, Path], str | None] = lambda kind, path: None,
) -> TaskRun:
    """A task: `picture` through the network of `path` until it is at least `scale` times as large.

    What is left over is the engine's to take away. Before a second run the picture is brought to the size from
    which the network reaches exactly `scale`, so that no run works on more pixels than it must.
    """
    network = yield LoadNetwork("esrgan", str(path), partial(checked, path, wrong))
    width, height = picture.size
    picture = yield from enlarged(picture, network, studio)
    own = picture.width / width  # the network's scale
    reached = own
    while own > 1 and reached < scale:
        before = min(reached, scale / own)
        picture = picture.resize(
            (round(width * before), round(height * before)), Image.Resampling.LANCZOS
        )
        picture = yield from enlarged(picture, network, studio)
        reached = before * own
    return picture


def checked(path: Path, wrong: Callable[[str, Path], str | None]) -> nn.Module:
    """The network of `path`. A file that is something else says what it is: `ModelFileError`."""
    if what := wrong("upscaler", path):
        raise ModelFileError(Sentence("{path}: {what}", path=path, what=what))
    return build(path)


def enlarged(picture: Image.Image, network: Network, studio: Studio) -> TaskRun:
    """A task: `picture` once through `network`, tile by tile. The larger picture lies in main memory."""
    pixels = (studio.pixels(picture) + 1) / 2  # [3, H, W] in 0..1, as the network was trained
    cut = tiles(picture.width, picture.height)
    canvas = None
    for step, tile in enumerate(cut):
        seen = pixels[None, :, tile.top : tile.bottom, tile.left : tile.right]
        result = (yield RunNetwork(network, (seen,), step=step, steps=len(cut)))[0].cpu()
        if canvas is None:
            scale = result.shape[-1] // seen.shape[-1]
            canvas = result.new_zeros(3, picture.height * scale, picture.width * scale)
        blend(canvas, tile, result)
    return studio.picture(canvas.clamp(0, 1) * 2 - 1)
