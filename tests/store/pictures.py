"""Picture files for the gallery's tests, as others put them into the outputs folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from webui import images
from webui.store.gallery import Gallery

__all__ = ["gallery_at", "picture", "until"]


def picture(
    path: Path,
    prompt: str = "a cat",
    *,
    colour: Any = "red",
    at: float | None = None,
    size: tuple[int, int] = (32, 16),
    negative: str = "",
    model: str = "tiny",
    sampler: str = "Euler a",
    more: str = "",
) -> Path:
    """A file with an infotext, there at once as a whole; `at` is its time, in seconds since 1970."""
    text = f"{prompt}\nNegative prompt: {negative}\n" if negative else f"{prompt}\n"
    text += f"Steps: 4, Sampler: {sampler}, CFG scale: 7, Seed: 12, Model: {model}{more}"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, colour)
    written = path.with_name(f".{path.name}")
    if path.suffix == ".png":
        chunks = PngInfo()
        chunks.add_text("parameters", text)
        image.save(written, pnginfo=chunks)
    else:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
        image.save(written, exif=exif.tobytes())
    if at is not None:
        os.utime(written, (at, at))
    return written.replace(path)


def gallery_at(folder: Path, **values: Any) -> Gallery:
    """A gallery over `folder`/outputs that looks only when it is told to."""
    (folder / "outputs").mkdir(exist_ok=True)
    return Gallery(folder / "kept", folder / "outputs", images.thumbnail, **values)


def until(true: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Waits for what another thread does; fails by name when it does not happen."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"still waiting: {what}"
        time.sleep(0.01)
