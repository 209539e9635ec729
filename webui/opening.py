"""Picture files of strangers, opened by Pillow: only kinds that people send, and whatever their texts are like.

A PNG's texts and colour profile are compressed, and Pillow refuses the whole picture where one of them is long. What
is of moderate length is handed to it as it reads it best, what is longer is left out: the pixels are whole. Knows
files and Pillow; decodes nothing itself.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

__all__ = ["FORMATS", "LEFT_OUT", "open_file"]

# Kinds that people send; the rest of what Pillow reads (EPS runs Ghostscript) is refused unopened.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
LEFT_OUT = "texts left out"  # the key in a picture's `info`: names of texts that are too long

PNG = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
KEPT = (b"tRNS", b"eXIf", b"iCCP", *TEXTS)  # of what a decoder may pass over: what is of use here
TEXT_MAX = 16 * 2**20  # bytes of a text or a profile, unpacked
COMMENTS_MAX = 2**19  # bytes of a GIF's comments, which Pillow reads in quadratic time
TEXTS_MAX = 48 * 2**20  # of all of them; Pillow takes 64


def open_file(source: Path | bytes) -> Image.Image:
    """A picture that is not decoded yet. Raises what Pillow raises, and `OSError` for a file that cannot be read."""
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    content = source if isinstance(source, bytes) else source.read_bytes()
    profile: bytes | None = None
    left_out: list[str] = []
    if content.startswith(PNG):
        content, profile, left_out = _plain(content)
    elif content[:6] in (b"GIF87a", b"GIF89a"):
        content, left_out = _short(content)
    picture = Image.open(io.BytesIO(content), formats=formats)
    if profile is not None:
        picture.info["icc_profile"] = profile
    if left_out:
        picture.info[LEFT_OUT] = tuple(left_out)
    return picture


def _plain(content: bytes) -> tuple[bytes, bytes | None, list[str]]:
    """A PNG with its texts as they are when nothing is compressed, its profile apart, and the names of the texts
    that are left out. What is damaged beside the pixels is left out too; what is wrong with those is as it was."""
    pieces, room = [PNG], TEXTS_MAX
    profile: bytes | None = None
    left_out: list[str] = []
    for kind, body, whole in _chunks(content):
        if not kind or kind[0] < 97:  # what no decoder may pass over, or the rest of a file
            pieces.append(whole)
            continue
        if kind not in KEPT or zlib.crc32(kind + body).to_bytes(4, "big") != whole[-4:]:
            continue
        if kind == b"iCCP":
            profile = _unpacked(body.partition(b"\0")[2][1:], TEXT_MAX) or profile
        elif kind in TEXTS:
            text = _text(kind, bytes(body), min(room, TEXT_MAX))
            if text is None:
                left_out.append(body.partition(b"\0")[0][:79].decode("latin-1"))
            else:
                room -= len(text)
                pieces.append(_chunk(kind if kind != b"zTXt" else b"tEXt", text))
        else:
            pieces.append(whole)
    return b"".join(pieces), profile, left_out


def _short(content: bytes) -> tuple[bytes, list[str]]:
    """A GIF without the comments before its first picture where they are too long; whether they were."""
    colours = 3 * 2 << (content[10] & 7) if len(content) > 12 and content[10] & 128 else 0
    at = start = 13 + colours
    pieces, comments = [content[:start]], 0
    while content[at : at + 1] == b"!":
        comment, begin = content[at + 1 : at + 2] == b"\xfe", at
        at += 2
        while at < len(content) and content[at]:
            at += content[at] + 1
        at += 1
        comments += (at - begin) * comment
        if not comment or comments <= COMMENTS_MAX:
            pieces.append(content[begin:at])
    if comments <= COMMENTS_MAX:
        return content, []
    return b"".join([*pieces, content[at:]]), ["comment"]


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """The chunks of a PNG: kind, body, and all of it; what is no chunk any more comes last, without a kind."""
    at = len(PNG)
    while at < len(content):
        head = content[at : at + 8]
        length = int.from_bytes(head[:4], "big")
        end = at + 12 + length
        if len(head) < 8 or end > len(content):
            yield b"", b"", content[at:]
            return
        yield head[4:], content[at + 8 : end - 4], content[at:end]
        at = end if head[4:] != b"IEND" else len(content)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text(kind: bytes, body: bytes, limit: int) -> bytes | None:
    """The body of a text chunk with nothing compressed; None where it is longer than `limit`, or damaged."""
    if kind == b"tEXt":
        return body if len(body) <= limit else None
    name, _, rest = body.partition(b"\0")
    if kind == b"zTXt":
        text = _unpacked(rest[1:], limit - len(name)) if rest[:1] == b"\0" else None
        return None if text is None else name + b"\0" + text
    if len(body) > limit or rest[:1] != b"\1":  # not compressed, or not by what is known
        return body if len(body) <= limit and rest[:1] == b"\0" else None
    language, _, behind = rest[2:].partition(b"\0")
    translated, _, packed = behind.partition(b"\0")
    text = _unpacked(packed, limit - len(name) - len(rest) + len(packed))
    if text is None:
        return None
    return b"\0".join((name, b"\0\0" + language, translated, text))


def _unpacked(packed: bytes, limit: int) -> bytes | None:
    """What zlib packed, where that is at most `limit` bytes."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(packed, max(limit, 1))
        return None if unpacking.decompress(unpacking.unconsumed_tail, 1) else text
    except zlib.error:
        return None
