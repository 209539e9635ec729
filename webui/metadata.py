"""The text inside a picture that says how it was made ("infotext"), in AUTOMATIC1111's format.

The prompt, a line "Negative prompt: ...", and a last line of "Key: value" pairs. Knows the text and where
picture files carry it; makes no files.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from webui import __version__
from webui.types import FILLS, Finished, GenerationRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NOTES", "infotext", "keys_of", "notes_in", "parse", "read"]

NEGATIVE = "Negative prompt:"
NOTES = "Notes"  # the key of the sentences that are told on a picture, one a line
KEY = re.compile(r"\s*(\w[\w \-/]*):\s*")
VALUE = re.compile(r'("(?:\\.|[^\\"])*")\s*(?:,|$)|([^,]*)(?:,|$)')
PAIRS_MIN = 3  # fewer on the last line, and it belongs to the prompt
NO_KEY = re.compile(r"[^\w \-/]+")  # what a key cannot hold
# Keys with a meaning of their own, which no extension's value may take.
OWN_KEYS = frozenset(
    (
        *("Prompt", "Negative prompt", "Steps", "Sampler", "Schedule type", "CFG scale", "Seed"),
        *("Size", "Task", "Model hash", "Model", "Denoising strength", "RNG", "Mask mode"),
        *("Mask blur", "Masked content", "Inpaint area", "Masked area padding", "Eta", "Version"),
        *("Variation seed", "Variation seed strength", "Clip skip", NOTES),
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

EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
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
        old_prompt, old_negative = source.pop("Prompt"), source.pop("Negative prompt")
        prompt, negative = prompt or old_prompt, negative or old_negative
        told = ("Task", "Size", "Version")
        older = source.get(NOTES, "").split("\n")
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
    """The settings of the picture that a picture was made of without sampling, None where it has none."""
    if finished.sampled or finished.request.image is None:
        return None
    found = parse(read(finished.request.image) or "")
    return found if "Steps" in found else None


def _pairs(finished: Finished) -> dict[str, Any]:
    """The last line's keys in A1111's order, then `finished.notes`; None is left out."""
    pairs: dict[str, Any] = {"Task": finished.request.task}
    if finished.sampled:
        pairs = _sampling(finished)
    pairs["Size"] = f"{finished.request.width}x{finished.request.height}"
    if finished.model is not None:
        pairs["Model hash"] = finished.model.hash or None
        pairs["Model"] = finished.model.name
    if finished.sampled:
        pairs |= _start(finished.request, finished.index)
    notes = {label: value for label, value in finished.notes.items() if value is not None}
    pairs.update(zip(keys_of(notes), notes.values(), strict=True))
    pairs[NOTES] = "\n".join(_lines(finished.warnings)) or None
    pairs["Version"] = f"Easel {__version__}"
    return {key: value for key, value in pairs.items() if value is not None}


def _sampling(finished: Finished) -> dict[str, Any]:
    request, scheduler = finished.request, finished.scheduler
    if request.scheduler == "automatic" and scheduler == "uniform":
        scheduler = "automatic"  # as A1111 writes it for samplers without a schedule of their own
    return {
        "Steps": request.steps,
        "Sampler": request.sampler_name,
        "Schedule type": SCHEDULE_LABELS.get(scheduler, scheduler),
        "CFG scale": request.cfg_scale,
        "Seed": finished.seed,
    }


def _start(request: GenerationRequest, index: int) -> dict[str, Any]:
    """What sampling started from: a picture, a mask, whose random numbers."""
    pairs: dict[str, Any] = {}
    if request.subseed_strength:
        pairs["Variation seed"] = request.subseed_of(index)
        pairs["Variation seed strength"] = request.subseed_strength
    if request.image is not None:
        pairs["Denoising strength"] = request.denoising_strength
    if request.clip_skip > 1:
        pairs["Clip skip"] = request.clip_skip
    pairs["RNG"] = "CPU"  # readers take a missing one for the GPU's
    if request.mask is not None:
        pairs["Mask mode"] = "Inpaint not masked" if request.inpainting_mask_invert else None
        pairs["Mask blur"] = request.mask_blur
        pairs["Masked content"] = FILLS[request.inpainting_fill]
        pairs["Inpaint area"] = "Only masked" if request.inpaint_full_res else "Whole picture"
        if request.inpaint_full_res:
            pairs["Masked area padding"] = request.inpaint_full_res_padding
    pairs["Eta"] = request.eta
    return pairs


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
    lines.append(", ".join(f"{key}: {_quote(str(value))}" for key, value in pairs.items()))
    return "\n".join(lines)


def _quote(value: str) -> str:
    """A value that would be read wrongly is written as a JSON string."""
    plain = value == value.strip() and not any(mark in value for mark in ',:"\n\r')
    return value if plain and value else json.dumps(value, ensure_ascii=False)


# --- Reading ------------------------------------------------------------------------------------


def parse(text: str) -> dict[str, str]:
    """`Prompt`, `Negative prompt` and every key of the last line, as written; values stay text.

    Any text will do: where the last line has fewer than three pairs, all of it is prompt.
    """
    *lines, last = text.rstrip("\n").split("\n")
    pairs = _pairs_of(last)
    if len(pairs) < PAIRS_MIN:
        lines, pairs = text.split("\n"), {}
    starts = [i for i, line in enumerate(lines) if line.startswith(NEGATIVE)]
    border = starts[0] if starts else len(lines)
    negative = "\n".join(lines[border:])[len(NEGATIVE) :].removeprefix(" ")
    return {"Prompt": "\n".join(lines[:border]), "Negative prompt": negative, **pairs}


def notes_in(text: str) -> tuple[str, ...]:
    """The sentences that an infotext tells on its picture, as `Finished.warnings` had them."""
    return _lines(parse(text).get(NOTES, "").split("\n"))


def _pairs_of(line: str) -> dict[str, str]:
    """The "Key: value" pairs of a line, in one pass; what lies between two commas and is none is skipped."""
    pairs: dict[str, str] = {}
    at = 0
    while 0 <= at < len(line):
        key = KEY.match(line, at)
        value = VALUE.match(line, key.end()) if key else None
        if key and value:
            pairs[key[1]] = _unquote(value[1]) if value[1] else value[2].strip()
            at = value.end()
        else:
            at = line.find(",", at) + 1 or len(line)
    return pairs


def _unquote(value: str) -> str:
    try:
        return str(json.loads(value))
    except json.JSONDecodeError:
        return value


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
    return text.strip("\0") or None if text else None


def _user_comment(image: Image) -> str | None:
    comment = image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT) or image.info.get("comment")
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes):
        return None
    code, body = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        # The standard leaves the byte order open, and writers differ. The side of the high bytes has
        # more zeros, or, in text far from Latin, fewer different values.
        even, odd = body[::2], body[1::2]
        little = (odd.count(0), -len(set(odd))) > (even.count(0), -len(set(even)))
        return body.decode("utf-16-le" if little else "utf-16-be", errors="replace")
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        comment = body
    return comment.decode("utf-8", errors="replace")
