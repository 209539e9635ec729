"""Tokens of a prompt of any length, cut into pieces that a text encoder takes. Plain lists of numbers."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BACKTRACK", "cut", "framed"]

BACKTRACK = 20  # tokens looked back for a comma before a phrase is cut in two (A1111's default)


def cut(tokens: Sequence[int], size: int, comma: int | None = None) -> list[list[int]]:
    """Pieces of at most `size` tokens, at least one piece (an empty prompt is one empty piece).

    Where a piece would end inside a phrase that began after a comma among its last `BACKTRACK` tokens, the phrase
    moves to the next piece whole.
    """
    pieces: list[list[int]] = []
    rest = list(tokens)
    while len(rest) > size:
        end = size
        if comma is not None and rest[size] != comma:
            near = range(size - 1, max(0, size - BACKTRACK) - 1, -1)
            end = next((i + 1 for i in near if rest[i] == comma), size)
        pieces.append(rest[:end])
        rest = rest[end:]
    return [*pieces, rest] if rest or not pieces else pieces


def framed(piece: Sequence[int], size: int, start: int, end: int, pad: int) -> list[int]:
    """`size + 2` tokens: the start token, the piece, the end token, padding."""
    return [start, *piece, end, *[pad] * (size - len(piece))]
