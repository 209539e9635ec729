"""The built-in upscalers: plain resampling, no network. Registered like anybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image

from webui.types import Studio, Upscaler

__all__ = ["UPSCALERS"]


def resampling(filter: Image.Resampling) -> Callable[[Image.Image, float, Studio], Image.Image]:
    """An upscaler that resamples with `filter`."""

    def upscale(picture: Image.Image, scale: float, studio: Studio) -> Image.Image:
        size = (round(picture.width * scale), round(picture.height * scale))
        return picture.resize(size, filter)

    return upscale


_ALL = (
    Upscaler("Lanczos", resampling(Image.Resampling.LANCZOS)),
    Upscaler("Nearest", resampling(Image.Resampling.NEAREST)),
)
UPSCALERS: Mapping[str, Upscaler] = MappingProxyType({upscaler.name: upscaler for upscaler in _ALL})
