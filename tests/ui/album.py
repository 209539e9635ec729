"""Pictures for the gallery's tests, as if made over several days."""

from __future__ import annotations

import os
import time
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

__all__ = ["DAY_S", "SIZES", "put", "settings_of"]

DAY_S = 24 * 3600
SIZES = ((48, 48), (72, 48), (48, 72), (96, 40))
WORDS = ("fox", "castle", "river", "lantern", "whale")


def settings_of(number: int) -> str:
    """The infotext of a picture: each has its number as a word, and one of five words."""
    width, height = SIZES[number % 4]
    return (
        f"{WORDS[number % 5]} picture{number}\nNegative prompt: blurry\n"
        f"Steps: 20, Sampler: {'Euler a' if number % 2 else 'DDIM'}, CFG scale: 7, Seed: {number}, "
        f"Size: {width}x{height}, Model: {'flat' if number % 3 else 'wide'}"
    )


def put(folder: Path, number: int, age_s: float) -> Path:
    """Writes a picture that was made so many seconds ago."""
    folder.mkdir(parents=True, exist_ok=True)
    text = PngInfo()
    text.add_text("parameters", settings_of(number))
    file = folder / f"{number:05}-{number}.png"
    colour = (number * 37 % 200 + 40, number * 91 % 200 + 40, number * 53 % 200 + 40)
    part = file.with_suffix(".part")
    Image.new("RGB", SIZES[number % 4], colour).save(part, "PNG", pnginfo=text)
    made = time.time() - age_s
    os.utime(part, (made, made))
    part.rename(file)
    return file
