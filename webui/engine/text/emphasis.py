"""A prompt's brackets to weights: `(x)` counts 1.1 times, `[x]` 1/1.1, `(x:1.3)` 1.3 times, nested ones multiply.

The rules are those that AUTOMATIC1111's users know. `\\(` and the like are the characters themselves, and so are `\\{`,
`\\|` and `\\__`, which extensions would read otherwise; a bracket that is never closed reaches to the end, one that was
never opened is a character; `BREAK` begins a new chunk. Nothing that somebody may write is an error. Brackets inside of
`DEEPEST` others change no weight, and no pattern looks at a sign more than a few times, so that a prompt takes a time
that grows with its length alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby

__all__ = ["DEEPEST", "WEIGHT_MAX", "Piece", "parse_attention"]

STRONGER, WEAKER = 1.1, 1 / 1.1
DEEPEST = 64  # 1.1 to that power is 446
WEIGHT_MAX = 1000  # either side of 0, of a piece as a whole; what is beyond it has no meaning, and no picture
MARK = re.compile(
    r"\\(?P<escaped>[()\[\]{}|\\]|__)"
    r"|:\s*(?P<weight>[+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*\)"
    r"|(?P<bracket>[()\[\]])"
    r"|\b(?P<break>BREAK)\b"
)
BLANKS = re.compile(r"\s*")


@dataclass(slots=True)
class Piece:
    """Text of one weight, or (where `text` is None) the end of a chunk."""

    text: str | None
    weight: float = 1.0


def parse_attention(prompt: str) -> list[Piece]:
    """The prompt in pieces of equal weight, in order; at least one."""
    pieces: list[Piece] = []
    opened: list[
        tuple[str, int]
    ] = []  # brackets that wait for their end, with the first piece inside

    def close(weight: float) -> None:
        _, first = opened.pop()
        if len(opened) < DEEPEST:
            for piece in pieces[first:]:
                piece.weight *= weight

    def add(text: str) -> None:
        if text:
            pieces.append(Piece(text))

    at = 0
    for mark in MARK.finditer(prompt):
        before = prompt[at : mark.start()]
        at = mark.end()
        inner = opened[-1][0] if opened else ""
        kind, sign = mark.lastgroup, mark[0]
        add(before.rstrip() if kind == "break" else before)
        if kind == "bracket" and sign in "([":
            opened.append((sign, len(pieces)))
        elif kind == "bracket" and inner + sign in ("()", "[]"):
            close(STRONGER if inner == "(" else WEAKER)
        elif kind == "weight" and inner == "(":
            close(float(mark["weight"]))
        elif kind == "escaped":
            add(mark["escaped"])
        elif kind == "break":
            pieces.append(Piece(None))
            if blanks := BLANKS.match(prompt, at):
                at = blanks.end()
        else:
            add(sign)
    add(prompt[at:])
    while opened:
        close(STRONGER if opened[-1][0] == "(" else WEAKER)
    return _merged(pieces)


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of equal weight as one piece."""
    merged: list[Piece] = []
    for (words, weight), same in groupby(pieces, lambda one: (one.text is not None, one.weight)):
        if words:
            merged.append(Piece("".join(piece.text or "" for piece in same), weight))
        else:
            merged += same
    return merged or [Piece("")]
