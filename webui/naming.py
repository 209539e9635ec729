"""What a saved picture is called: patterns such as `[date]/[number]-[seed]`, checked and filled in.

A pattern gives a path below the outputs folder, without the ending. Whatever a prompt or a model's name holds, the
path stays below that folder, and every file system takes it. Knows no pictures and writes nothing.
"""

from __future__ import annotations

import re
import time
import unicodedata
from dataclasses import dataclass

from webui.errors import RequestError

__all__ = ["PATTERN", "TOKENS", "Facts", "Pattern", "Saving"]

PATTERN = "[date]/[number]-[seed]"
PATTERN_MAX = 200  # characters
PART_BYTES = 200  # of a folder's or a file's name; file systems take 255, and we add to it
PARTS_MAX = 8  # folders and the name
WORDS = 8  # of [prompt_words]

# What may stand in brackets, and what it means.
TOKENS = {
    "date": "the day, as 2026-11-20",
    "datetime": "the moment; [datetime<%Y-%m-%d>] writes it in a way of your own",
    "number": "a number that goes up in its folder: 00000, 00001",
    "seed": "the picture's seed",
    "task": "txt2img, img2img …",
    "model": "the model's name",
    "sampler": "the sampler's name",
    "scheduler": "the schedule's name",
    "steps": "the steps",
    "cfg": "the CFG scale",
    "width": "the width in pixels",
    "height": "the height in pixels",
    "prompt": "the prompt, cut where it is long",
    "prompt_words": f"the prompt's first {WORDS} words",
    "job": "the job's id",
    "index": "the picture's place in its batch, from 1",
}
TOKEN = re.compile(r"\[([A-Za-z_]+)(?:<([^<>\[\]]*)>)?\]")
DIRECTIVE = re.compile(r"%(.?)")
DIRECTIVES = "YymdBbHIMSpjAaUW%"
# What some file system does not take; what would make folders of words; invisible marks.
FORBIDDEN = re.compile(
    r'[\\/:*?"<>|\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]'
)
RESERVED = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)", re.IGNORECASE
)  # Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """How a picture is written: its name, its format ("png", "jpeg" or "webp"), and how hard it is packed.

    `png_level` is zlib's, 0 to 9; `quality` is that of JPEG and WebP, 1 to 100; with `lossless` WebP loses nothing.
    """

    pattern: str = PATTERN
    format: str = "png"
    png_level: int = 4
    quality: int = 90
    lossless: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a name may tell of a picture. `made` is the local time. `index` counts from 0."""

    made: time.struct_time
    seed: int
    task: str
    model: str
    sampler: str
    scheduler: str
    steps: int
    cfg: float
    width: int
    height: int
    prompt: str
    job: str
    index: int


@dataclass(frozen=True, slots=True)
class Token:
    name: str
    format: str = ""


class Pattern:
    """A pattern that was checked. Raises `RequestError`, with the field `file_pattern`, for one that says nothing
    usable."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parsed(text)
        self.numbered = any(part == Token("number") for part in self._parts[-1])

    def folders(self, facts: Facts) -> tuple[str, ...]:
        """The folders' names below the outputs folder, the outermost first."""
        return tuple(_joined(part, facts, None) for part in self._parts[:-1])

    def stem(self, facts: Facts, number: int = 0) -> str:
        """The file's name without its ending."""
        return _joined(self._parts[-1], facts, number)

    def number_of(self, name: str) -> int | None:
        """The number in a file's name, where this pattern could have given it; None in any other."""
        pieces = []
        for part in self._parts[-1]:
            if part == Token("number"):
                pieces.append(r"(\d+)" if r"(\d+)" not in pieces else r"\d+")
            else:
                pieces.append(".*" if isinstance(part, Token) else re.escape(part))
        found = re.match("".join(pieces) + r"(?:\.|$)", name) if self.numbered else None
        return int(found[1]) if found else None


def _parsed(text: str) -> tuple[tuple[str | Token, ...], ...]:
    """The path's parts, each of letters and tokens."""

    def wrong(what: str) -> RequestError:
        return RequestError(f"file_pattern: {what}", "file_pattern")

    if not isinstance(text, str) or not text.strip() or len(text) > PATTERN_MAX:
        raise wrong(f"give a pattern of 1 to {PATTERN_MAX} characters")
    parts: list[list[str | Token]] = [[]]

    def letters(piece: str) -> None:
        if "[" in piece or "]" in piece:
            raise wrong("a bracket stands alone; tokens look like [seed]")
        first, *more = re.split(r"[/\\]", piece)
        parts[-1].append(first)
        parts.extend([one] for one in more)

    end = 0
    for found in TOKEN.finditer(text):
        name = found[1].lower()
        if name not in TOKENS:
            known = ", ".join(f"[{token}]" for token in TOKENS)
            raise wrong(f"[{found[1]}] is not known; there are {known}")
        if found[2] is not None:
            if name != "datetime":
                raise wrong(f"[{name}] takes nothing in <>")
            for directive in DIRECTIVE.findall(found[2]):
                if not directive or directive not in DIRECTIVES:
                    known = " ".join(f"%{one}" for one in DIRECTIVES)
                    raise wrong(f"%{directive} is not known in [datetime<…>]; there are {known}")
        letters(text[end : found.start()])
        parts[-1].append(Token(name, found[2] or ""))
        end = found.end()
    letters(text[end:])
    if len(parts) > PARTS_MAX:
        raise wrong(f"use at most {PARTS_MAX - 1} folders")
    for number, part in enumerate(parts):
        bare = "".join(piece for piece in part if isinstance(piece, str)).strip()
        tokens = any(isinstance(piece, Token) for piece in part)
        if not tokens and not bare.strip(". "):
            raise wrong(
                "a folder or the file has no name; between slashes must be letters or tokens"
            )
        if number < len(parts) - 1 and Token("number") in part:
            raise wrong("[number] belongs into the file's name, behind the last slash")
        if number < len(parts) - 1 and bare.lower().startswith(".trash"):
            raise wrong(".trash is the gallery's own folder")
    return tuple(tuple(piece for piece in part if piece != "") for part in parts)


def _joined(part: tuple[str | Token, ...], facts: Facts, number: int | None) -> str:
    """One name that every file system takes. What is too long is cut where it is longest, never in the number."""
    pieces = [
        (f"{number:05d}" if piece == Token("number") else _clean(_said(piece, facts)))
        if isinstance(piece, Token)
        else _clean(piece)
        for piece in part
    ]
    kept = {i for i, piece in enumerate(part) if piece == Token("number")}
    while (excess := len("".join(pieces).encode()) - PART_BYTES) > 0:
        longest = max(
            (i for i in range(len(pieces)) if i not in kept), key=lambda i: len(pieces[i])
        )
        pieces[longest] = _cut(pieces[longest], max(len(pieces[longest].encode()) - excess, 8))
        if all(len(pieces[i]) <= 8 for i in range(len(pieces)) if i not in kept):
            break  # PATTERN_MAX allows no more than what still fits
    name = "".join(pieces).strip().rstrip(". ")
    if name.startswith("."):
        name = "_" + name[1:]  # a hidden file is none of the gallery's
    return (
        RESERVED.sub(lambda found: f"_{found[0]}", name, count=1)
        if RESERVED.match(name)
        else name or "_"
    )


def _said(token: Token, facts: Facts) -> str:
    name = token.name
    if name == "date":
        return time.strftime("%Y-%m-%d", facts.made)
    if name == "datetime":
        return time.strftime(token.format or "%Y%m%d%H%M%S", facts.made)
    if name == "cfg":
        return f"{facts.cfg:g}"
    if name == "index":
        return str(facts.index + 1)
    if name == "prompt_words":
        return " ".join(re.findall(r"[^\W_]+", facts.prompt)[:WORDS])
    return str(getattr(facts, name))


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode())
    return re.sub(r"\s+", " ", FORBIDDEN.sub("_", text))


def _cut(text: str, size: int) -> str:
    """`text` cut to at most `size` bytes in UTF-8, at a character."""
    return text.encode()[:size].decode("utf-8", "ignore").rstrip()
