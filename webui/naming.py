"""What a saved picture is called: patterns such as `[date]/[number]-[seed]`, checked and filled in.

A pattern gives a path below the outputs folder, without the ending. Whatever a prompt or a model's name holds, the
path stays below that folder, and every file system takes it. Knows no pictures and writes nothing.
"""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from webui.errors import RequestError, Sentence

__all__ = ["PATTERN", "TOKENS", "Facts", "Pattern", "Saving"]

PATTERN = "[date]/[number]-[seed]"
PATTERN_MAX = 200  # characters
PART_BYTES = 200  # of a folder's or a file's name; file systems take 255, and we add to it
CUT_BYTES = 8  # what is left of letters and values at least, while others can be cut
PARTS_MAX = 8  # folders and the name
WORDS = 8  # of [prompt_words]

# What may stand in brackets, and what it means.
TOKENS = {
    "date": Sentence("the day, as 2026-11-20"),
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
MOMENT = "%Y%m%d%H%M%S"
MODEL_FILE = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf)$", re.IGNORECASE)
# How a number is written, and the values that are nothing but digits; no folder has ten million pictures.
DIGITS = "[0-9]{5}|[1-9][0-9]{5,6}"
DIGITS_ONLY = ("seed", "steps", "width", "height", "index")
WIDTHS = {"Y": 4, "j": 3, **dict.fromkeys("ymdHIMSUW", 2)}
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


NUMBER = Token("number")
VARIABLE = (NUMBER, *map(Token, DIGITS_ONLY))  # as many digits as it takes


class Pattern:
    """A pattern that was checked. Raises `RequestError`, with the field `file_pattern`, for one that says nothing
    usable."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parsed(text)
        self._readers: dict[bool, Callable[[str], int | None]] = {}
        self.numbered = NUMBER in self._parts[-1]

    def folders(self, facts: Facts) -> tuple[str, ...]:
        """The folders' names below the outputs folder, the outermost first."""
        return tuple(_joined(part, facts, None) for part in self._parts[:-1])

    def stem(self, facts: Facts, number: int = 0) -> str:
        """The file's name without its ending."""
        return _joined(self._parts[-1], facts, number)

    def number_of(self, name: str) -> int | None:
        """The number in a file's name, where this pattern could have given it; None in any other.

        It is found by what stands around it: by the pattern's letters and by how its values are written. Where
        digits of another value touch it, it has five of them.
        """
        if not self.numbered:
            return None
        if not name.isascii():
            name = unicodedata.normalize("NFC", name)
        cut = len(name.encode("utf-8", "ignore")) > PART_BYTES - 24  # then letters may be missing
        if cut not in self._readers:
            self._readers[cut] = _reader(self._parts[-1], cut)
        return self._readers[cut](name)

    def numbers_like(self, facts: Facts, names: Iterable[str]) -> list[int]:
        """The numbers in the names of files that were made with these very facts: those are read to the letter."""
        one, other = self.stem(facts, 0), self.stem(facts, 11111)
        before, after = _alike(one, other), _alike(one[::-1], other[::-1])
        first, last = one[:before], one[len(one) - after :]
        touched = first[-1:].isdigit() or last[:1].isdigit()
        shape = re.compile("[0-9]{5}" if touched else DIGITS)
        found = []
        for name in names:
            stem = os.path.splitext(name)[0]
            digits = stem[before : len(stem) - after]
            if stem == first + digits + last and shape.fullmatch(digits):
                found.append(int(digits))
        return found


def _parsed(text: str) -> tuple[tuple[str | Token, ...], ...]:
    """The path's parts, each of letters and tokens."""

    def wrong(what: str) -> RequestError:
        return RequestError(Sentence("file_pattern: {what}", what=what), "file_pattern")

    if not isinstance(text, str) or not text.strip() or len(text) > PATTERN_MAX:
        raise wrong(
            Sentence("give a pattern of 1 to {pattern_max} characters", pattern_max=PATTERN_MAX)
        )
    parts: list[list[str | Token]] = [[]]

    def letters(piece: str) -> None:
        if "[" in piece or "]" in piece:
            raise wrong(Sentence("a bracket stands alone; tokens look like [seed]"))
        first, *more = re.split(r"[/\\]", piece)
        parts[-1].append(first)
        parts.extend([one] for one in more)

    end = 0
    for found in TOKEN.finditer(text):
        name = found[1].lower()
        if name not in TOKENS:
            known = ", ".join(f"[{token}]" for token in TOKENS)
            raise wrong(
                Sentence("[{found}] is not known; there are {known}", found=found[1], known=known)
            )
        if found[2] is not None:
            if name != "datetime":
                raise wrong(Sentence("[{name}] takes nothing in <>", name=name))
            for directive in DIRECTIVE.findall(found[2]):
                if not directive or directive not in DIRECTIVES:
                    known = " ".join(f"%{one}" for one in DIRECTIVES)
                    raise wrong(
                        Sentence(
                            "%{directive} is not known in [datetime<…>]; there are {known}",
                            directive=directive,
                            known=known,
                        )
                    )
        letters(text[end : found.start()])
        parts[-1].append(Token(name, found[2] or ""))
        end = found.end()
    letters(text[end:])
    if len(parts) > PARTS_MAX:
        raise wrong(Sentence("use at most {parts_max} folders", parts_max=PARTS_MAX - 1))
    for number, part in enumerate(parts):
        bare = _clean("".join(piece for piece in part if isinstance(piece, str))).strip()
        tokens = any(isinstance(piece, Token) for piece in part)
        if not tokens and not bare.strip(". "):
            raise wrong(
                Sentence(
                    "a folder or the file has no name; between slashes must be letters or tokens"
                )
            )
        if number < len(parts) - 1 and NUMBER in part:
            raise wrong(Sentence("[number] belongs into the file's name, behind the last slash"))
        if number < len(parts) - 1 and bare.lower().startswith(".trash"):
            raise wrong(Sentence(".trash is the gallery's own folder"))
    return tuple(
        tuple(piece for piece in part if isinstance(piece, Token) or _clean(piece))
        for part in parts
    )


def _joined(part: tuple[str | Token, ...], facts: Facts, number: int | None) -> str:
    """One name that every file system takes. What is too long is cut where it is longest, never in the number."""
    pieces = [
        (f"{number:05d}" if piece == NUMBER else _clean(_said(piece, facts)))
        if isinstance(piece, Token)
        else _clean(piece)
        for piece in part
    ]
    others = [i for i, piece in enumerate(part) if piece != NUMBER]
    for least in (CUT_BYTES, 0):
        for i in sorted(others, key=lambda i: len(pieces[i].encode()), reverse=True):
            excess = len("".join(pieces).encode()) - PART_BYTES
            if excess > 0:
                pieces[i] = _cut(pieces[i], max(len(pieces[i].encode()) - excess, least))
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
        return time.strftime(_clean(token.format) or MOMENT, facts.made)
    if name == "cfg":
        return f"{facts.cfg:g}"
    if name == "index":
        return str(facts.index + 1)
    if name == "model":
        return MODEL_FILE.sub("", re.split(r"[/\\]", facts.model.rstrip("/\\"))[-1])
    if name == "prompt_words":
        return " ".join(re.findall(r"[^\W_]+", facts.prompt)[:WORDS])
    return str(getattr(facts, name))


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode())
    return re.sub(r"\s+", " ", FORBIDDEN.sub("_", text))


def _alike(one: str, other: str) -> int:
    """How many characters of the two are the same, from the first on."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _cut(text: str, size: int) -> str:
    """`text` cut to at most `size` bytes in UTF-8, at a character."""
    return text.encode()[:size].decode("utf-8", "ignore").rstrip()


# --- Reading a number back ----------------------------------------------------------------------


def _reader(part: tuple[str | Token, ...], cut: bool) -> Callable[[str], int | None]:
    """What finds the number in a name that `part` gave; `cut` says that long letters may be missing in it.

    Only what stands next to the number is looked at, two pieces to the left and one to the right, so that no name
    takes long, whatever the pattern. Where several places fit, it is the last one that can be, or the largest.
    """
    at = part.index(NUMBER)
    shapes = [_shape(piece, cut) for piece in part]
    left, first = "", at
    while first and at - first < 2 and (shape := shapes[first - 1]) is not None:
        left, first = shape + left, first - 1
    if not first:
        left = f"^_?{left}" if at else "^"
    touched = False  # by digits of another value
    if at:
        exact = not first or part[at - 1] == Token("date") or isinstance(part[at - 1], str)
        touched = shapes[at - 1] is None or part[at - 1] in VARIABLE or not exact
        left += "" if touched or _digit(part[at - 1], -1) else "(?<![0-9])"
    right, end = "", at + 1
    while end < len(part) and part[end] == NUMBER:  # the same once more
        right, end = f"{right}(?:\\1)", end + 1
    if end == len(part):
        right += "(?![0-9])"
    else:
        touched = touched or shapes[end] is None or part[end] in VARIABLE
        right += "" if touched or _digit(part[end], 0) else "(?![0-9])"
        right += shapes[end] or ""
    pattern = re.compile(
        f"{left}(?=({'[0-9]{5}' if touched else DIGITS}){right})", re.IGNORECASE | re.DOTALL
    )
    several = None in shapes[end:]

    def read(name: str) -> int | None:
        numbers = [int(found[1]) for found in pattern.finditer(name)]
        return (max(numbers) if several else numbers[-1]) if numbers else None

    return read


def _shape(piece: str | Token, cut: bool) -> str | None:
    """What a piece of a name looks like, as a regular expression; None where it may be anything."""
    if isinstance(piece, str):
        letters = _clean(piece)
        return None if cut and len(letters.encode()) > CUT_BYTES else _loose(letters)
    if piece in VARIABLE:
        return "[0-9]{1,20}"
    if piece.name == "date":
        return "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    if piece.name != "datetime":
        return None
    shape, letters = "", _clean(piece.format) or MOMENT
    for found in re.finditer("%(.)|.", letters, re.DOTALL):
        if found[1] and found[1] != "%" and found[1] not in WIDTHS:
            return None
        shape += f"[0-9]{{{WIDTHS[found[1]]}}}" if found[1] in WIDTHS else _loose(found[0][-1])
    return shape


def _loose(letters: str) -> str:
    """Letters as they may come out: blanks and dots go at the ends of a name, and a dot there may be a mark."""
    return "".join("[ ._]?" if one in " ." else re.escape(one) for one in letters)


def _digit(piece: str | Token, end: int) -> bool:
    """Whether what a piece gives may have a digit at an end, 0 or -1."""
    return not isinstance(piece, str) or piece[end].isdigit()
