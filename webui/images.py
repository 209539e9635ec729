"""Picture files: opening what people send, saving what the engine makes. The only place that decodes.

Knows Pillow, the infotext and folders; it knows no tensors.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from webui.errors import EaselError, RequestError
from webui.metadata import EXIF_IFD, USER_COMMENT, infotext
from webui.types import Animation, Finished, SavedPicture

__all__ = ["PIXELS_MAX", "open_mask", "open_picture", "save"]

PIXELS_MAX = 64_000_000
FLAGS = os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)  # Windows asks for the last
TOO_LARGE = f"use a picture of at most {PIXELS_MAX // 1_000_000} megapixels"
WEBP_QUALITY = 90  # of an animation's frames
# Kinds that people send; the rest of what Pillow reads (EPS runs Ghostscript) is refused unopened.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


# --- Opening ------------------------------------------------------------------------------------


def open_picture(source: Path | bytes | Image.Image, field: str) -> Image.Image:
    """An RGB picture, upright by its EXIF orientation, transparency laid on white, first frame only.

    `source` is a file, its bytes or a picture. Anything that is no whole picture of at most 64
    megapixels raises `RequestError` with `field`.
    """
    picture = _decoded(source, field)
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    return picture


def open_mask(source: Path | bytes | Image.Image, field: str) -> Image.Image:
    """A mask as an L picture, white = repaint: its transparency channel where that says anything
    (what is painted on a transparent canvas counts, of any colour), else its brightness.

    Raises `RequestError` as `open_picture` does.
    """
    picture = _decoded(source, field)
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        if alpha.getextrema() != (255, 255):
            return alpha
    return picture.convert("L")


def _decoded(source: object, field: str) -> Image.Image:
    """The first frame, upright: RGBA where it may be transparent, else RGB."""
    if not isinstance(source, Image.Image | Path | bytes):
        raise RequestError(f"{field}: give a picture", field)
    try:
        picture = source if isinstance(source, Image.Image) else _opened(source)
        width, height = picture.size
        if width * height <= PIXELS_MAX:
            picture = _eight_bit(ImageOps.exif_transpose(picture))
            return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        what = f"{width} x {height} pixels; {TOO_LARGE}"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        what = TOO_LARGE
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        what = "this file is not there or may not be read"
    except Exception:
        # Pillow's decoders document no set of exceptions, and these are a stranger's bytes.
        what = "this is not a whole picture; use PNG, JPEG or WebP"
    raise RequestError(f"{field}: {what}", field)


def _opened(source: Path | bytes) -> Image.Image:
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    content = source if isinstance(source, bytes) else source.read_bytes()
    return Image.open(io.BytesIO(content), formats=formats)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit greys scaled to 8 (Pillow would clip them); other modes as they are."""
    picture.load()
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return picture


# --- Saving -------------------------------------------------------------------------------------


def save(
    finished: Finished,
    outputs_dir: Path,
    reserved: Path | None = None,
    reserve: Callable[[Path], None] = lambda path: None,
) -> SavedPicture:
    """Writes `outputs_dir/YYYY-MM-DD/NNNNN-seed.png` (`.webp` or `.gif` for an animation) with its infotext;
    the file appears whole or not at all, and no number of a day is used twice, by however many threads
    and processes.

    `reserve` hears of the name before it is written; `reserved` is the name that this picture got earlier.
    Raises `EaselError` where the folder cannot be written.
    """
    text, picture = infotext(finished), finished.picture
    suffix = picture.format if isinstance(picture, Animation) else "png"
    folder = reserved.parent if reserved else outputs_dir / date.today().isoformat()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if reserved is None:
            number, part, descriptor = _reserve(folder)
            path = folder / f"{number:05d}-{finished.seed}.{suffix}"
        else:
            path, part = reserved, folder / f".{reserved.name.split('-')[0]}.part"
            descriptor = os.open(part, FLAGS | os.O_TRUNC, 0o666)
        try:
            with open(descriptor, "wb") as file:
                if reserved is None:
                    reserve(path)
                _write(picture, text, file)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
            raise
        _sync_folder(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EaselError(f"the picture cannot be saved in {folder}: {reason}") from error
    width, height = picture.frames[0].size if isinstance(picture, Animation) else picture.size
    return SavedPicture(path, finished.seed, width, height, text, finished.index)


def _write(picture: Image.Image | Animation, text: str, file: IO[bytes]) -> None:
    """A picture as PNG; an animation as WebP with the text in EXIF, as A1111 has it, or GIF with a comment."""
    if not isinstance(picture, Animation):
        chunks = PngInfo()
        chunks.add_text("parameters", text)  # Latin-1, or iTXt in UTF-8 for what does not fit
        picture.save(file, "PNG", pnginfo=chunks, compress_level=4)
        return
    first, *rest = picture.frames
    how: dict[str, Any] = {
        "save_all": True,
        "append_images": rest,
        "duration": picture.frame_ms,
    }
    if picture.format == "gif":
        again = {"loop": 0} if picture.loop else {}  # GIF says "once" by saying nothing
        first.save(file, "GIF", comment=text.encode("utf-8"), **how, **again)
    else:
        exif = Image.Exif()
        exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
        again = {"loop": 0 if picture.loop else 1}
        first.save(file, "WEBP", quality=WEBP_QUALITY, method=4, exif=exif, **how, **again)


def _reserve(folder: Path) -> tuple[int, Path, int]:
    """The next free number, the temporary file that holds it for us, and its open descriptor.

    A number belongs to whoever creates `.NNNNN.part`. It may have been published between our look and
    that, so we look again; while we hold it, nobody else can publish it.
    """
    number = max(_numbers(folder), default=-1) + 1
    while True:
        part = folder / f".{number:05d}.part"
        try:
            descriptor = os.open(part, FLAGS | os.O_EXCL, 0o666)
        except FileExistsError:
            number += 1
            continue
        if not any(folder.glob(f"{number:05d}-*")):
            return number, part, descriptor
        os.close(descriptor)
        part.unlink()
        number += 1


def _numbers(folder: Path) -> list[int]:
    """The numbers taken in a folder, by pictures and by reservations."""
    heads = (name.lstrip(".").split("-")[0].split(".")[0] for name in os.listdir(folder))
    return [int(head) for head in heads if head.isascii() and head.isdigit()]


def _sync_folder(folder: Path) -> None:
    """Makes the new name last through a power failure, where a folder can be opened (POSIX)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
