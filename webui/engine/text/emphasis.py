"""A prompt's brackets to weights: `(x)` counts 1.1 times, `[x]` 1/1.1, `(x:1.3)` 1.3 times, nested ones multiply.

The rules are those that AUTOMATIC1111's users know. `\\(` and the like are the characters themselves; a bracket that is
never closed reaches to the end, one that was never opened is a character; `BREAK` begins a new chunk. Nothing that
somebody may write is an error. Brackets inside of `DEEPEST` others change no weight, so that a prompt takes a time that
grows with its length alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["DEEPEST", "Piece", "parse"]

STRONGER, WEAKER = 1.1, 1 / 1.1
DEEPEST = 64  # 1.1 to that power is 446
MARK = re.compile(
    r"\\(?P<escaped>[()\[\]\\])"
    r"|:\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)"
    r"|(?P<bracket>[()\[\]])"
    r"|\s*\b(?P<break>BREAK)\b\s*"
)


@dataclass(slots=True)
class Piece:
    """Text of one weight, or (where `text` is None) the end of a chunk."""

    text: str | None
    weight: float = 1.0


def parse(prompt: str) -> list[Piece]:
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

    at = 0
    for mark in MARK.finditer(prompt):
        pieces.append(Piece(prompt[at : mark.start()]))
        at = mark.end()
        inner = opened[-1][0] if opened else ""
        match mark.lastgroup:
            case "escaped":
                pieces.append(Piece(mark["escaped"]))
            case "break":
                pieces.append(Piece(None))
            case "weight" if inner == "(":
                close(float(mark["weight"]))
            case "bracket" if mark[0] in "([":
                opened.append((mark[0], len(pieces)))
            case "bracket" if inner + mark[0] in ("()", "[]"):
                close(STRONGER if inner == "(" else WEAKER)
            case _:
                pieces.append(Piece(mark[0]))
    pieces.append(Piece(prompt[at:]))
    while opened:
        close(STRONGER if opened[-1][0] == "(" else WEAKER)
    return _merged(pieces)


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of equal weight as one piece, empty ones left out."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if piece.text == "":
            continue
        if (
            last
            and last.text is not None
            and piece.text is not None
            and last.weight == piece.weight
        ):
            last.text += piece.text
        else:
            merged.append(piece)
    return merged or [Piece("")]
