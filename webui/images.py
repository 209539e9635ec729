"""Picture files: opening what people send, saving what the engine makes. The only place that decodes.

Knows Pillow, the infotext and folders; it knows no tensors.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from PIL import Image, ImageChops, ImageOps
from PIL.PngImagePlugin import PngInfo

from webui.errors import EaselError, RequestError, Sentence
from webui.metadata import (
    COMMENT,
    EXIF_IFD,
    EXTRAS,
    PARAMETERS,
    USER_COMMENT,
    beside,
    notes_in,
    settings_of,
    texts_of,
    written,
)
from webui.naming import Facts, Pattern, Saving
from webui.opening import LEFT_OUT, open_file
from webui.reserving import FLAGS, part_of, publish, taken
from webui.types import Animation, Artifact, File, Finished, SavedPicture
from webui.types.masks import REPAINTED

__all__ = [
    "FORMATS_OUT",
    "LEFT_OUT",
    "PIXELS_MAX",
    "TOO_LONG",
    "converted",
    "open_mask",
    "open_picture",
    "save",
    "texts_in",
    "thumbnail",
]

PIXELS_MAX = 64_000_000
TOO_LARGE = Sentence(
    "use a picture of at most {millions} megapixels", millions=PIXELS_MAX // 1_000_000
)
WEBP_QUALITY = 90  # of an animation's frames
WEBP_SIDE_MAX = 16383  # pixels; more the format cannot hold
NAMES_TRIED = 100  # of a picture, where others' files appear under each
SAVING = Saving()  # what is chosen where nobody has
FORMATS_OUT = ("png", "jpeg", "webp")  # what a saved picture can be had as
THUMBNAIL = 384  # pixels, the longer side
THUMBNAIL_PIXELS_MAX = 178_000_000  # of a saved picture: our own may be large
EXIF_BYTES_MAX = 65_000  # what fits into a JPEG
PROFILE_MAX = 2**20 - 1  # bytes; for Pillow, and so for most programs, a PNG with more is broken
TOO_LONG = Sentence("{name}: its text is too long: at most 16 MB are read", name="image")
LIGHTS = 16  # up to here floats are from 0 to 1, with lights that are brighter than white
HARDLY = 200  # one in so many pixels says nothing of a mask


# --- Opening ------------------------------------------------------------------------------------


def open_picture(source: Path | bytes | Image.Image, field: str) -> Image.Image:
    """An RGB picture, upright by its EXIF orientation, transparency laid on white, first frame only, with its texts.

    `source` is a file, its bytes or a picture. Anything that is no whole picture of at most 64
    megapixels raises `RequestError` with `field`.
    """
    picture = _decoded(source, field)
    if picture.mode == "RGBA":
        white, info = Image.new("RGBA", picture.size, "white"), picture.info
        picture = Image.alpha_composite(white, picture).convert("RGB")
        picture.info = {name: value for name, value in info.items() if name != "transparency"}
    return picture


def open_mask(source: Path | bytes | Image.Image, field: str) -> Image.Image:
    """A mask as an L picture, white = repaint.

    What is painted on an empty canvas counts, of any colour: there it is the transparency that says where. Where what
    is visible is light and dark itself, or nearly all of the picture, it is the brightness, and what cannot be seen is
    not repainted.
    Raises `RequestError` as `open_picture` does.
    """
    picture = _decoded(source, field)
    light = picture.convert("RGB").convert("L")
    if picture.mode != "RGBA":
        return light
    alpha = picture.getchannel("A")
    if len(set(alpha.getextrema())) == 1:  # it says nothing
        return light
    shown = alpha.point(lambda level: 255 * (level >= REPAINTED))
    count, levels = shown.histogram()[255], light.histogram(shown)
    bright = sum(levels[REPAINTED:])
    dark, share = count - bright, count / (picture.width * picture.height)
    few = 1 if share >= 0.5 else count / HARDLY
    if share > 0.5 and not bright and _mean(light.histogram(ImageChops.invert(shown))) >= REPAINTED:
        return light  # black, with a hole where it would be white
    if share >= 0.9 or (min(bright, dark) >= few and count and _is_grey(picture, shown)):
        return ImageChops.multiply(light, alpha)
    return alpha


def _is_grey(picture: Image.Image, shown: Image.Image) -> bool:
    """Whether the shown part of an RGBA picture has next to no colour."""
    red, green, blue, _ = picture.split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    least = ImageChops.darker(ImageChops.darker(red, green), blue)
    levels = ImageChops.subtract(most, least).histogram(shown)
    return sum(levels[32:]) * HARDLY <= sum(levels)


def _mean(levels: list[int]) -> float:
    return sum(level * count for level, count in enumerate(levels)) / max(sum(levels), 1)


def texts_in(source: Path | bytes, field: str) -> tuple[Image.Image, tuple[int, int]]:
    """A picture file as it stands, with all that it carries beside its pixels, and its size as it is shown. Raises
    `RequestError` as `open_picture` does: also where the file is not whole."""
    size = _decoded(source, field).size
    return open_file(source), size


def _decoded(source: object, field: str) -> Image.Image:
    """The first frame, upright: RGBA where it may be transparent, else RGB."""
    if not isinstance(source, Image.Image | Path | bytes):
        raise RequestError(Sentence("{field}: give a picture", field=field), field)
    try:
        picture = source if isinstance(source, Image.Image) else open_file(source)
        width, height = picture.size
        if width * height <= PIXELS_MAX:
            tiff = (
                picture.format == "TIFF"
            )  # its texts are none of a picture's `info`, which is copied
            text = settings_of(picture) if tiff else None
            picture = _eight_bit(_upright(picture))
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            if text is not None:
                picture.info[PARAMETERS] = text
            return picture
        what: str = Sentence(
            "{width} x {height} pixels; {too_large}",
            width=width,
            height=height,
            too_large=TOO_LARGE,
        )
    except RequestError as fault:
        what = str(fault)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        what = TOO_LARGE
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        what = Sentence("this file is not there or may not be read")
    except Exception:
        # Pillow's decoders document no set of exceptions, and these are a stranger's bytes.
        what = Sentence("this is not a whole picture; use PNG, JPEG or WebP")
    raise RequestError(Sentence("{field}: {what}", field=field, what=what), field)


def _upright(picture: Image.Image) -> Image.Image:
    """A picture turned as its EXIF says; as it lies where that is damaged."""
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # Pillow's readers of EXIF document no set of exceptions
        text, turned = settings_of(picture), picture.copy()
        turned.info.pop("exif", None)
        if text is not None:
            turned.info[PARAMETERS] = text
        return turned


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Greys of more than 8 bits scaled to 8 (Pillow would clip them); other modes as they are."""
    if picture.mode == "F":
        import numpy as np  # nobody else here counts

        least, most = cast("tuple[float, float]", picture.getextrema())
        numbers = bool(np.isfinite(np.asarray(picture)).all())
        if not numbers or not -most / 100 <= least <= most:
            what = Sentence("values below 0") if numbers else Sentence("values without sense")
            raise RequestError(
                Sentence("this picture has {what}; use PNG, JPEG or WebP", what=what)
            )
        # From 0 to 1 with lights above that, else as wide as the camera's numbers.
        scale = 255.0 if most <= LIGHTS else 255 / _top(most)
        return picture.point(lambda value: value * scale + 0.5).convert("L")
    if picture.mode == "I":
        _, most = cast("tuple[int, int]", picture.getextrema())
        scale = 256 / (_top(most) + 1)
        return picture.point(lambda value: value * scale).convert("L")
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    return picture


def _top(most: float) -> float:
    """White, by the largest number of a picture: that of the next usual number of bits."""
    return next((top for bits in (8, 10, 12, 14, 16) if most <= (top := 2**bits - 1)), most)


# --- Saved pictures in other forms --------------------------------------------------------------


def thumbnail(source: Path) -> bytes:
    """A saved picture as WebP, at most 384 pixels wide and high, upright; an animation's first frame.

    Raises `RequestError` for what is no whole picture.
    """
    try:
        with open_file(source) as opened:
            if opened.width * opened.height > THUMBNAIL_PIXELS_MAX:
                raise RequestError(Sentence("the picture has too many pixels"))
            opened.draft("RGB", (THUMBNAIL, THUMBNAIL))  # a JPEG is decoded small at once
            picture = _eight_bit(opened)
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            picture.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=1.0)
            upright = _upright(picture)
            file = io.BytesIO()
            upright.save(file, "WEBP", quality=80, method=2)
            return file.getvalue()
    except RequestError:
        raise
    except Exception:  # as in `_decoded`
        raise RequestError(Sentence("the picture is damaged")) from None


def converted(source: Path, suffix: str, quality: int, text: str) -> bytes:
    """A saved picture as "png", "jpeg" or "webp" of a quality from 1 to 100 (PNG has none), with its infotext
    `text`, a PNG with its other texts too; an animation's first frame. Raises `RequestError` for what is no
    whole picture."""
    opened = _decoded(source, "picture")
    texts = texts_of(opened) | ({PARAMETERS: text} if text else {})
    text = texts.get(PARAMETERS) or texts.get(COMMENT, "")
    profile = opened.info.get("icc_profile")
    more: dict[str, Any] = {"icc_profile": profile} if profile else {}
    file = io.BytesIO()
    if suffix == "png":
        opened.save(file, "PNG", pnginfo=_chunks(texts), icc_profile=_profile(opened))
        return file.getvalue()
    if text:
        exif = _exif(text).tobytes()
        if suffix == "jpeg" and len(exif) > EXIF_BYTES_MAX:
            raise RequestError(
                Sentence("the settings do not fit into a JPEG: take PNG or WebP"), "format"
            )
        more["exif"] = exif
    if suffix == "jpeg":
        open_picture(opened, "picture").save(file, "JPEG", quality=quality, optimize=True, **more)
    else:
        opened.save(file, "WEBP", quality=quality, method=4, **more)
    return file.getvalue()


def _profile(picture: Image.Image) -> bytes | None:
    """A picture's colour profile, unless a PNG with it could not be opened elsewhere."""
    profile = picture.info.get("icc_profile")
    return profile if profile and len(profile) <= PROFILE_MAX else None


# --- Saving -------------------------------------------------------------------------------------


def save(
    finished: Finished,
    outputs_dir: Path,
    reserved: Path | None = None,
    reserve: Callable[[Path], None] = lambda path: None,
    saving: Saving = SAVING,
    earlier: Callable[[Path], Iterable[str]] = lambda folder: (),
    sealed: Callable[[Path, str], None] = lambda path, digest: None,
) -> SavedPicture:
    """Writes a picture with its infotext below `outputs_dir`, as `saving` says: its name by the pattern, and its
    format (an animation has its own). The file appears whole or not at all, no name is used twice, by
    however many threads and processes, and no file that is there is replaced.

    `reserve` hears of the name before it is written; `reserved` is the name that this picture got earlier, which it
    has again unless another file has it by now. `earlier` gives names that files of a folder had once; `sealed` hears
    of the SHA-256 of what is about to appear under a name. Raises `EaselError` where the folder cannot be written.
    """
    texts, picture, pattern = written(finished), finished.picture, Pattern(saving.pattern)
    text = texts[PARAMETERS]
    facts = _facts(finished)
    folder = reserved.parent if reserved else outputs_dir.joinpath(*pattern.folders(facts))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if reserved is None:
            stem, part, descriptor = taken(folder, pattern, facts, earlier(folder))
            path = folder / f"{stem}.{_suffix(picture, text, saving)}"
        else:
            path, part = reserved, part_of(reserved, pattern)
            descriptor = os.open(part, FLAGS | os.O_TRUNC, 0o666)
        try:
            with open(descriptor, "wb") as file:
                if reserved is None:
                    reserve(path)
                if isinstance(picture, File):
                    _write_file(picture, file)
                elif isinstance(picture, Animation):
                    _write_animation(picture, text, file)
                else:
                    _write(picture, texts, file, path.suffix, saving)
                file.flush()
                os.fsync(file.fileno())
            digest = _digest(part)
            for _ in range(NAMES_TRIED):
                sealed(path, digest)
                told = _write_beside(path, text) if isinstance(picture, File) else None
                with contextlib.suppress(FileExistsError):
                    publish(part, path)
                    break
                if path == reserved and _holds(path, digest):  # an earlier try came so far
                    part.unlink()
                    break
                # Somebody put a file there who asks nobody: it stays, and ours gets the next name.
                if told is not None:
                    told.unlink(missing_ok=True)
                stem, other, descriptor = taken(folder, pattern, facts, earlier(folder))
                os.close(descriptor)
                os.replace(part, other)
                ending = picture.suffix if isinstance(picture, File) else path.suffix
                part, path = other, folder / f"{stem}{ending}"
                reserve(path)
            else:
                raise FileExistsError(errno.EEXIST, "every name was taken meanwhile")
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
            raise
        _sync_folder(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EaselError(
            Sentence(
                "the picture cannot be saved in {folder}: {reason}", folder=folder, reason=reason
            )
        ) from error
    size = (0, 0) if isinstance(picture, File) else (facts.width, facts.height)
    notes = notes_in(texts.get(EXTRAS, text))
    return SavedPicture(path, finished.seed, *size, text, finished.index, notes)


def _holds(path: Path, digest: str) -> bool:
    return _digest(path) == digest


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _write_file(made: File, file: IO[bytes]) -> None:
    if isinstance(made.content, Path):
        with open(made.content, "rb") as source:
            shutil.copyfileobj(source, file, 2**20)
    else:
        file.write(made.content)


def _write_beside(path: Path, text: str) -> Path | None:
    """The infotext beside a file that cannot hold it, written first: a file that is there is told of. None where
    somebody's file has that name already, which stays."""
    told, content = beside(path), f"{text}\n".encode()
    try:
        with open(told, "xb") as file:
            file.write(content)
    except FileExistsError:
        return told if told.read_bytes() == content else None
    return told


def _facts(finished: Finished) -> Facts:
    request, picture = finished.request, finished.picture
    if isinstance(picture, File):
        width, height = request.width, request.height
    else:
        width, height = picture.frames[0].size if isinstance(picture, Animation) else picture.size
    return Facts(
        made=time.localtime(),
        seed=finished.seed,
        task=request.task,
        model=request.model,
        sampler=request.sampler_name,
        scheduler=finished.scheduler,
        steps=request.steps,
        cfg=request.cfg_scale,
        width=width,
        height=height,
        prompt=request.prompt,
        job=finished.job,
        index=finished.index,
    )


def _suffix(picture: Artifact, text: str, saving: Saving) -> str:
    """A file's ending, without the dot. What the chosen format cannot hold (long settings in a JPEG, a huge WebP) is a
    PNG."""
    if isinstance(picture, File):
        return picture.suffix[1:]
    if isinstance(picture, Animation):
        return picture.format
    if saving.format == "jpeg" and len(_exif(text).tobytes()) <= EXIF_BYTES_MAX:
        return "jpg"
    if saving.format == "webp" and max(picture.size) <= WEBP_SIDE_MAX:
        return "webp"
    return "png"


def _write(
    picture: Image.Image, texts: Mapping[str, str], file: IO[bytes], suffix: str, saving: Saving
) -> None:
    """A picture with its texts: chunks of a PNG. JPEG and WebP hold the infotext, in EXIF as A1111 has it, and a JPEG a
    comment."""
    if suffix == ".jpg":
        rgb, exif = picture.convert("RGB"), _exif(texts[PARAMETERS])
        comment = texts.get(COMMENT, "").encode()[:EXIF_BYTES_MAX]
        how = {"quality": saving.quality, "optimize": True, "comment": comment}
        rgb.save(file, "JPEG", exif=exif, **how)
    elif suffix == ".webp":
        how = {"lossless": saving.lossless, "quality": saving.quality, "method": 4}
        picture.save(file, "WEBP", exif=_exif(texts[PARAMETERS]), **how)
    else:
        how = {"compress_level": saving.png_level, "icc_profile": _profile(picture)}
        picture.save(file, "PNG", pnginfo=_chunks(texts), **how)


def _chunks(texts: Mapping[str, str]) -> PngInfo:
    """Texts as a PNG carries them: in Latin-1, or as iTXt in UTF-8 what does not fit."""
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text)
    return chunks


def _write_animation(picture: Animation, text: str, file: IO[bytes]) -> None:
    """WebP with the text in EXIF, or GIF with a comment."""
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
        again = {"loop": 0 if picture.loop else 1}
        first.save(file, "WEBP", quality=WEBP_QUALITY, method=4, exif=_exif(text), **how, **again)


def _exif(text: str) -> Image.Exif:
    """EXIF with the infotext as A1111 has it."""
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
    return exif


def _sync_folder(folder: Path) -> None:
    """Makes the new name last through a power failure, where a folder can be opened (POSIX)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
