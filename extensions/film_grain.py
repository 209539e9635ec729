"""Lays film grain over finished pictures, the same grain for the same seed.

The grain is grey, as that of a silver film: equal for red, green and blue, strongest in the middle tones, and none
in black and white. It comes after upscaling, so that its size is in pixels of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webui.api import GenerationRequest, Number, PostProcessor, Studio, hookimpl

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image

__version__ = "1.0"
TITLE = "Film grain"
NEEDS_API = ">=1.0,<2"

DEEPEST = (
    0.15  # standard deviation in middle grey at full strength, of the range from black to white
)

STRENGTH = Number(
    name="film_grain",
    label="Film grain",
    minimum=0,
    maximum=1,
    step=0.05,
    default=0.0,
    info="0 is none",
)
SIZE = Number(
    name="film_grain_size",
    label="Grain size",
    minimum=1,
    maximum=4,
    step=0.5,
    default=1.0,
    info="Pixels",
)


def grain(seed: int, width: int, height: int, size: float) -> ndarray:
    """Gaussian noise of unit variance, [height, width] float32, whose grains are about `size` pixels wide."""
    import numpy as np
    from PIL import Image

    # RandomState's numbers are promised to stay the same in every version of NumPy
    random = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    coarse = (max(1, round(height / size)), max(1, round(width / size)))
    noise = random.standard_normal(coarse).astype(np.float32)
    if size > 1:
        larger = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        noise = np.asarray(larger)
        noise = noise / max(noise.std(), 1e-6)
    return noise


def film_grain(picture: Image, request: GenerationRequest, studio: Studio) -> Image | None:
    strength = request.extras[STRENGTH.name]
    if strength == 0:
        return None
    import numpy as np
    from PIL import Image

    light = np.asarray(picture, dtype=np.float32) / 255  # [H, W, 3]
    grey = light.mean(axis=2, keepdims=True)
    middle = 2 * np.sqrt(grey * (1 - grey))  # 1 in middle grey, 0 in black and white
    noise = grain(studio.seed, picture.width, picture.height, request.extras[SIZE.name])
    light = light + strength * DEEPEST * middle * noise[:, :, None]
    return Image.fromarray((light * 255).round().clip(0, 255).astype(np.uint8))


@hookimpl
def register_postprocessors() -> list[PostProcessor]:
    controls = (STRENGTH, SIZE)
    return [
        PostProcessor("film grain", film_grain, controls=controls, label="Film grain", priority=100)
    ]
