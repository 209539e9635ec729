"""The text inside a picture that says how it was made ("infotext"), in AUTOMATIC1111's format.

The prompt, a line "Negative prompt: ...", and a last line of "Key: value" pairs. Knows the text and where
picture files carry it; makes no files.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui import __version__
from webui.texts import BLANKS, is_json, is_settings, parse
from webui.texts.lines import MORE, NEGATIVE
from webui.types import FIELDS, TOLD_BY_KEYS, Animation, File, Finished

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "COMMENT",
    "GRAPHS",
    "MEDIA_TYPE",
    "MORE",
    "NOTES",
    "PICTURE_SUFFIXES",
    "as_settings",
    "beside",
    "infotext",
    "is_settings",
    "keys_of",
    "notes_in",
    "parse",
    "read",
    "settings_of",
    "texts_of",
    "written",
]

NOTES = "Notes"  # the key of the sentences that are told on a picture, one a line
NO_KEY = re.compile(r"[^\w \-/]+")  # what a key cannot hold
MEDIA_TYPE = "Media type"  # of a file that is no picture
PICTURE_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"))
# A1111's order of its keys; what else a field's declaration names stands behind them.
ORDER = (
    *(
        "Steps",
        "Sampler",
        "Schedule type",
        "CFG scale",
        "Seed",
        "Size",
        MEDIA_TYPE,
        "Model hash",
        "Model",
    ),
    *("Variation seed", "Variation seed strength", "Denoising strength", "Clip skip", "RNG"),
    *("Mask mode", "Mask blur", "Masked content", "Inpaint area", "Masked area padding"),
)
NOTED = ("VAE",)  # told by the engine, which knows what was used
# Keys with a meaning of their own, which no extension's value may take.
OWN_KEYS = frozenset(
    (
        *(one.infotext for one in FIELDS.values() if one.infotext not in NOTED),
        *(
            "Prompt",
            "Negative prompt",
            "Task",
            "Model hash",
            "RNG",
            "Version",
            MEDIA_TYPE,
            NOTES,
            MORE,
        ),
    )
)

# A1111's labels; any other schedule is written by its name.
SCHEDULE_LABELS: Mapping[str, str] = {
    "automatic": "Automatic",
    "uniform": "Uniform",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
}

PARAMETERS, EXTRAS, COMMENT = "parameters", "extras", "comment"  # names of texts in files
NO_TEXTS = ("compression",)  # further words of Pillow's own about a file
TEXTS_MAX = 16_000_000  # characters of all texts that a picture takes along
GRAPHS, GRAPH_TAGS = (
    ("prompt", "workflow"),
    (0x010F, 0x0110),
)  # ComfyUI's, "workflow:{...}" in Make and Model
EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
XP_COMMENT, DESCRIPTION = 0x9C9C, 0x010E
# Pillow names no exceptions for damaged metadata; these are what its parsers raise.
DAMAGED = (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, struct.error)


# --- Writing ------------------------------------------------------------------------------------


def infotext(finished: Finished) -> str:
    """How a finished picture was made. `parse` gives back what went in, whatever the prompts hold.

    A picture that no sampler made has its task's name instead of sampler, steps and seed; where it was made of a
    picture with settings it keeps those, with its own notes.
    """
    request = finished.request
    prompt, negative, pairs = request.prompt, request.negative_prompt, _pairs(finished)
    source = _source(finished)
    if source is not None:
        prompt, negative = (
            source.pop("Prompt"),
            source.pop("Negative prompt"),
        )  # ours had no part in it
        older = source.get(NOTES, "").split("\n")
        told = ("Task", "Size", "Version") if "Steps" in source else ()
        pairs = {**source, **{key: value for key, value in pairs.items() if key not in told}}
        if notes := _lines((*older, *finished.warnings)):
            pairs[NOTES] = "\n".join(notes)
    text = _compose(prompt, negative, pairs)
    found = parse(text)
    if (found["Prompt"], found["Negative prompt"]) != (prompt, negative):
        # The format has no escapes: a prompt with a line like "Negative prompt: ..." would be read
        # wrongly. Keys of those names override the lines, in A1111's reader too.
        pairs["Prompt"], pairs["Negative prompt"] = prompt, negative
        text = _compose(prompt, negative, pairs)
    return text


def _source(finished: Finished) -> dict[str, str] | None:
    """The settings of the picture that a picture was made of without sampling, None where it has none in our form."""
    if finished.sampled or finished.request.image is None:
        return None
    text = settings_of(finished.request.image)
    return None if text is None or is_json(text) else parse(text)


def written(finished: Finished) -> dict[str, str]:
    """The texts of a finished picture's file by their names, the infotext as `parameters`.

    A picture that was made of another without sampling takes that one's texts along. What stood in its `parameters`
    and is of another form stays there as it was, and ours becomes `extras`, as A1111's Extras tab has it.
    """
    text = _sound(infotext(finished))
    if finished.sampled or finished.request.image is None:
        return {PARAMETERS: text}
    texts = texts_of(finished.request.image)
    own = texts.pop(PARAMETERS, None)
    if own is None or _source(finished) is not None:
        return {**texts, PARAMETERS: text}
    return {**texts, PARAMETERS: own, EXTRAS: text}


def _pairs(finished: Finished) -> dict[str, Any]:
    """The last line's keys in A1111's order, then `finished.notes`; None is left out."""
    pairs: dict[str, Any] = {"Task": finished.request.task}
    if finished.sampled:
        pairs = finished.request.told(finished.index, finished.controls) | {
            "Schedule type": _schedule(finished),
            "RNG": "CPU",  # readers take a missing one for the GPU's
        }
    width, height = _size(finished)
    pairs["Size"] = f"{width}x{height}"
    if isinstance(finished.picture, File):
        pairs[MEDIA_TYPE] = finished.picture.media_type
    model = finished.model
    pairs |= {"Model hash": model and (model.hash or None), "Model": model and model.name}
    for key in NOTED:
        pairs.pop(key, None)
    places = {key: place for place, key in enumerate(("Task", *ORDER))}
    pairs = dict(sorted(pairs.items(), key=lambda pair: places.get(pair[0], len(places))))
    notes = {label: value for label, value in finished.notes.items() if value is not None}
    pairs.update(zip(keys_of(notes), notes.values(), strict=True))
    pairs[NOTES] = "\n".join(_lines(finished.warnings)) or None
    if finished.request.task not in TOLD_BY_KEYS:
        pairs["Task"] = finished.request.task
    pairs["Version"] = f"Easel {__version__}"
    return {key: value for key, value in pairs.items() if value is not None}


def _size(finished: Finished) -> tuple[int, int]:
    """That which was asked for, from which the picture comes again; of a picture made of another without sampling its
    own."""
    request, picture = finished.request, finished.picture
    if finished.sampled or request.image is None or isinstance(picture, File):
        return request.width, request.height
    return picture.frames[0].size if isinstance(picture, Animation) else picture.size


def _schedule(finished: Finished) -> str:
    automatic = finished.request.scheduler == "automatic" and finished.scheduler == "uniform"
    # as A1111 writes it for samplers without a schedule of their own
    used = "automatic" if automatic else finished.scheduler
    return SCHEDULE_LABELS.get(used, used)


def _lines(sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences of one line each, every one once."""
    lines = (" ".join(sentence.split()) for sentence in sentences)
    return tuple(dict.fromkeys(line for line in lines if line))


def keys_of(labels: Iterable[str]) -> list[str]:
    """Labels as keys that the reader finds again, no two alike: "Strength (%)" is "Strength"."""
    keys: list[str] = []
    for label in labels:
        key = " ".join(NO_KEY.sub(" ", label).split()).lstrip("-/ ") or "Note"
        number, plain = 1, key
        while key in OWN_KEYS or key in keys:
            number += 1
            key = f"{plain} {number}"
        keys.append(key)
    return keys


def _compose(prompt: str, negative: str, pairs: Mapping[str, Any]) -> str:
    lines = [prompt] if prompt else []
    if negative:
        lines.append(f"{NEGATIVE} {negative}")
    lines.append(", ".join(f"{key}: {_quote(_said(value))}" for key, value in pairs.items()))
    return "\n".join(lines)


def _said(value: Any) -> str:
    """A value in words; lists and objects, which an extension's control may have, as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _quote(value: str) -> str:
    """A value that would be read wrongly is written as a JSON string."""
    plain = value == value.strip(BLANKS) and not any(mark in value for mark in ',:"\n\r')
    plain = plain and not value.startswith(
        ("[", "{")
    )  # other readers' brackets go on to their ends
    return value if plain and value else json.dumps(value, ensure_ascii=False)


# --- Reading ------------------------------------------------------------------------------------


def notes_in(text: str) -> tuple[str, ...]:
    """The sentences that an infotext tells on its picture, as `Finished.warnings` had them."""
    return _lines(parse(text).get(NOTES, "").split("\n"))


def read(image: Image) -> str | None:
    """The infotext that a picture carries, or None. `image` is as opened, from PNG, JPEG, WebP or GIF.

    PNG: the text chunk `parameters`, Latin-1 or UTF-8, before or behind the pixels; JPEG and WebP: EXIF
    UserComment; GIF: its comment. Damaged metadata counts as none.
    """
    try:
        text = getattr(image, "text", image.info).get("parameters")  # PNG's `text` reads to the end
        if not isinstance(text, str):
            text = _user_comment(image)
    except DAMAGED:
        return None
    return text.strip("\0").removeprefix("\ufeff") or None if text else None


def beside(path: Path) -> Path:
    """Where the infotext of a file stands that is no picture: in a text file of its whole name."""
    return path.with_name(f"{path.name}.txt")


def settings_of(image: Image) -> str | None:
    """The infotext of a picture, None where what it carries is a comment or JSON that says nothing of settings."""
    text = read(image)
    return text and as_settings(text, isinstance(image.info.get(PARAMETERS), str))


def as_settings(text: str, chunk: bool) -> str | None:
    """A text that `read` found where it is an infotext, else None. In a comment or EXIF it counts where there are
    settings in it; in `parameters`, which is for nothing else (`chunk`), as a prompt alone too."""
    found = parse(text)
    return text if is_settings(found) or (chunk and found["Prompt"].strip(BLANKS)) else None


def texts_of(image: Image) -> dict[str, str]:
    """Every text of a picture as it stands there, by its name: `parameters` for the infotext wherever it stands,
    `comment` for another one in EXIF, JPEG or GIF, ComfyUI's graphs from EXIF too. Damaged ones are left out, and all
    but the infotext where they are too long."""
    text = settings_of(image)
    try:
        found = {**image.info, **getattr(image, "text", {})}
    except DAMAGED:
        found = dict(image.info)
    texts = {
        name: _sound(value)
        for name, value in found.items()
        if isinstance(value, str) and name not in NO_TEXTS and not name.startswith("Raw profile ")
    }
    if text is not None:
        texts.setdefault(PARAMETERS, text)
        comment = image.info.get("comment")  # of a JPEG, beside settings in EXIF
        if isinstance(comment, bytes) and (told := comment.decode("utf-8", "replace")) != text:
            texts[COMMENT] = told
    elif PARAMETERS not in texts and (comment := read(image)):
        texts[COMMENT] = comment
    for name, value in _graphs(image).items():
        texts.setdefault(name, value)
    texts = {name: value for name, value in texts.items() if value.strip(BLANKS)}
    if sum(map(len, texts.values())) > TEXTS_MAX:
        return {} if text is None else {PARAMETERS: text}
    return texts


def _graphs(image: Image) -> dict[str, str]:
    """What ComfyUI writes into the EXIF of files that have no text chunks, by its names."""
    graphs: dict[str, str] = {}
    try:
        exif = image.getexif()
        for tag in GRAPH_TAGS:
            name, _, body = str(exif.get(tag, "")).partition(":")
            if name in GRAPHS and body.lstrip().startswith("{"):
                graphs[name] = body
    except DAMAGED:
        pass
    return graphs


def _sound(text: str) -> str:
    """A text as a file can hold it: no half characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _user_comment(image: Image) -> str | None:
    """EXIF's UserComment, in its own directory or by mistake in the first one; else what other programs of Windows
    and cameras show as a comment, where it is settings; else the comment of a JPEG or GIF."""
    exif = image.getexif()
    for comment in (exif.get_ifd(EXIF_IFD).get(USER_COMMENT), exif.get(USER_COMMENT)):
        text = _comment(comment)
        if text.strip("\0 "):
            return text
    for tag in (XP_COMMENT, DESCRIPTION):
        said = exif.get(tag, "")
        if isinstance(said, tuple):  # as numbers, which they are
            said = bytes(one & 255 for one in said if isinstance(one, int))
        text = _utf16(said, "utf-16-le") if isinstance(said, bytes) else _comment(said)
        if "Steps" in parse(text.rstrip("\0")):
            return text
    text = _comment(image.info.get("comment"))
    return text or None


def _comment(comment: object) -> str:
    """A comment in words; "" for what is none. EXIF says in eight letters how it is written, or nothing."""
    latin = isinstance(comment, str)
    if isinstance(comment, str):  # written as letters, which Pillow takes for Latin-1
        letters = comment.encode("latin-1", "ignore")
        coded = letters[:7].upper() in (b"UNICODE", b"ASCII\0\0")
        if not coded and (comment.isascii() or letters.decode("latin-1") != comment):
            return comment
        comment = letters
    if not isinstance(comment, bytes):
        return ""
    code, body = comment[:8].upper(), comment[8:]
    if code == b"UNICODE\0":
        return _unicode(body)
    if code == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", errors="replace")
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        comment = body
    try:
        return comment.decode("utf-8-sig")
    except UnicodeDecodeError:
        return comment.decode("latin-1" if latin else "utf-8", errors="replace")


def _unicode(body: bytes) -> str:
    """A text that is UTF-16 by the standard, which leaves the byte order open, and UTF-8 with some writers."""
    if body.startswith(b"\xef\xbb\xbf"):
        return body.decode("utf-8-sig", errors="replace")
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _utf16(body, "utf-16")
    plain = body.rstrip(b"\0")
    # UTF-16 has zeros in it, but for a text of nothing but signs far from Latin: that has no ", " and ": ".
    if b"\0" not in plain and (len(plain) % 2 or b": " in plain or b", " in plain):
        with suppress(UnicodeDecodeError):
            return plain.decode("utf-8")
    # The side of the high bytes has more zeros, or, in text far from Latin, fewer different values.
    even, odd = body[::2], body[1::2]
    little = (odd.count(0), -len(set(odd))) > (even.count(0), -len(set(even)))
    return _utf16(body, "utf-16-le" if little else "utf-16-be")


def _utf16(body: bytes, order: str) -> str:
    return body.decode(order, errors="replace").removeprefix("\ufeff")
