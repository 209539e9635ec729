"""What a picture file says of itself: its size, its settings, and marks by which it is known again.

Reads heads and tails of files; decodes no pixels, unless a PNG keeps its settings behind them.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from PIL import Image

from webui import metadata
from webui.opening import open_file

__all__ = ["SUFFIXES", "Broken", "Facts", "day_of", "facts"]

SUFFIXES = metadata.PICTURE_SUFFIXES
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
ENDS = 4096  # bytes at either end of a file that its mark is made of
SEED_MAX = 2**63 - 1  # what SQLite holds
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: those that swap width and height
END_OF = {"JPEG": b"\xff\xd9", "GIF": b";"}
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


class Broken(Exception):
    """A file that is no whole picture; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`size` in bytes; `mark` is the content's, so it stays when the file is moved; `stamp` is that of this
    version of the file. `width` and `height` are those of the picture as it is shown."""

    size: int
    mtime_ns: int
    mark: str
    stamp: str
    width: int
    height: int
    task: str = ""
    model: str = ""
    sampler: str = ""
    seed: int | None = None
    prompt: str = ""
    negative_prompt: str = ""
    parameters: str = ""

    @property
    def made_s(self) -> float:
        return self.mtime_ns / 1e9


def facts(path: Path, task: str = "") -> Facts:
    """The facts of a file; `task` is the one that made it, where that is known better than from the infotext.

    Raises `Broken`, and `OSError` where it cannot be read.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        mark, tail = _mark(file, status.st_size)
        width, height, text = _picture(file, tail)
    stamp = hashlib.blake2b(f"{mark} {status.st_mtime_ns}".encode(), digest_size=8).hexdigest()
    told = metadata.parse(text) if text else {}
    return Facts(
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        mark=mark,
        stamp=stamp,
        width=width,
        height=height,
        task=task or _task(told),
        model=told.get("Model", ""),
        sampler=told.get("Sampler", ""),
        seed=_seed(told.get("Seed", "")),
        prompt=told.get("Prompt", ""),
        negative_prompt=told.get("Negative prompt", ""),
        parameters=text,
    )


def day_of(seconds: float) -> str:
    """The ISO date of a time in the server's time zone, "" where there is none."""
    try:
        return datetime.fromtimestamp(seconds).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


def _mark(file: IO[bytes], size: int) -> tuple[str, bytes]:
    """A digest of the file's size and its two ends, where the settings, the first pixels and the checksums are;
    and the tail itself."""
    if size == 0:
        raise Broken("it is empty")
    head = file.read(ENDS)
    file.seek(max(0, size - ENDS))
    tail = file.read(ENDS)
    digest = hashlib.blake2b(f"{size} ".encode(), digest_size=16)
    digest.update(head)
    digest.update(tail)
    return digest.hexdigest(), tail


def _picture(file: IO[bytes], tail: bytes) -> tuple[int, int, str]:
    """Width, height, infotext."""
    file.seek(0)
    try:
        with _opened(file) as picture:
            width, height = picture.size
            text = picture.info.get("parameters")
            if picture.format == "PNG":
                behind = _behind_pixels(file, tail, isinstance(text, str))
                if behind:  # as far as its texts go that is all of the file
                    file.seek(0)
                    with open_file(file.read()) as all_of_it:
                        text = metadata.read(all_of_it)
                elif "exif" in picture.info and not text:
                    text = metadata.read(picture)
            else:
                if picture.format == "WEBP" and not _webp_is_whole(file):
                    raise Broken("its end is missing")
                if not tail.rstrip(b"\0").endswith(END_OF.get(picture.format or "", b"")):
                    picture.load()  # its end may be missing, or something may be appended to it
                text = metadata.read(picture)
                if picture.getexif().get(ORIENTATION) in TURNED:
                    width, height = height, width
            chunk = isinstance(picture.info.get("parameters"), str)
    except Broken:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Broken("it has too many pixels") from None
    except Exception as fault:
        # Pillow's readers document no set of exceptions, and these are a stranger's bytes.
        raise Broken(f"it cannot be read ({type(fault).__name__})") from None
    settings = metadata.as_settings(text, chunk) if isinstance(text, str) else None
    return width, height, _plain(settings or "")


def _opened(file: IO[bytes]) -> Image.Image:
    """The picture in a file, whose head alone is read where that will do."""
    Image.init()
    try:
        return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise
    except Exception:  # a long text, perhaps: that is no fault of the picture
        file.seek(0)
        return open_file(file.read())


def _behind_pixels(file: IO[bytes], tail: bytes, has_text: bool) -> bool:
    """Whether a PNG may carry settings behind its pixels. Raises `Broken` where its end is missing."""
    if tail.endswith(PNG_END) and has_text:
        return False
    file.seek(8)
    found = False
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise Broken("its end is missing")
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IEND":
            return found and not has_text
        if kind in (b"tEXt", b"iTXt", b"zTXt") and length > 11:
            content = file.read(11)
            found = found or content == b"parameters\0"
            length -= 11
        found = found or kind == b"eXIf"
        file.seek(length + 4, os.SEEK_CUR)


def _webp_is_whole(file: IO[bytes]) -> bool:
    file.seek(4)
    (length,) = struct.unpack("<I", file.read(4))
    return file.seek(0, os.SEEK_END) >= int(length) + 8


def _plain(text: str) -> str:
    """`text` as SQLite can hold it: no lone surrogates, no NUL."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _seed(text: str) -> int | None:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) < 20:
        seed = int(text)
        return seed if abs(seed) <= SEED_MAX else None
    return None


def _task(told: Mapping[str, str]) -> str:
    """The task of an infotext, "" where there are no settings in it."""
    if told.get("Task"):
        return told["Task"]
    if "Steps" not in told:
        return ""
    if "Mask mode" in told or "Mask blur" in told or "Masked content" in told:
        return "inpaint"
    enlarged = any(key.startswith("Hires ") for key in told)  # which has a strength of its own
    return "img2img" if "Denoising strength" in told and not enlarged else "txt2img"
