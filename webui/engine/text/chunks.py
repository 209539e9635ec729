"""A prompt of any length as chunks that a text encoder takes: tokens, each with its weight. Plain lists of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from webui.prompt import Piece

if TYPE_CHECKING:
    from webui.engine.text.tokenizer import Tokenizer
    from webui.engine.text.words import Words

__all__ = ["BACKTRACK", "BEYOND", "Chunk", "count", "cut", "weighted", "with_special_tokens"]

BEYOND = (
    1 << 24
)  # token numbers from here on are vectors of textual inversions, in the vocabulary of no model
BACKTRACK = 20  # tokens looked back for a comma before a phrase is cut in two (A1111's default)


@dataclass(slots=True)
class Chunk:
    """At most as many tokens as one chunk holds, without start, end and padding, and the weight of each."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    @property
    def plain(self) -> bool:
        """Whether every token has its ordinary weight."""
        return all(weight == 1 for weight in self.weights)


def weighted(tokenizer: Tokenizer | Words, pieces: Iterable[Piece], size: int) -> list[Chunk]:
    """The chunks of a prompt's pieces (`Prompt.pieces`), at least one. A name is for `Words` that know it."""
    sections = [Chunk()]
    for piece in pieces:
        if piece.text is None:
            sections.append(Chunk())
            continue
        ids = tokenizer.tokens(piece.text, piece.name)
        sections[-1].ids += ids
        sections[-1].weights += [piece.weight] * len(ids)
    return [chunk for section in sections for chunk in _cut(section, size, tokenizer.comma)]


def count(tokenizer: Tokenizer | Words, pieces: Iterable[Piece], size: int) -> int:
    """How many places a prompt takes, those that a `BREAK` leaves empty included."""
    chunks = weighted(tokenizer, pieces, size)
    return size * (len(chunks) - 1) + len(chunks[-1].ids)


def _cut(section: Chunk, size: int, comma: int | None) -> list[Chunk]:
    chunks, first = [], 0
    for ids in cut(section.ids, size, comma):
        chunks.append(Chunk(ids, section.weights[first : first + len(ids)]))
        first += len(ids)
    return chunks


def cut(tokens: Sequence[int], size: int, comma: int | None = None) -> list[list[int]]:
    """Pieces of at most `size` tokens, at least one piece (an empty prompt is one empty piece).

    Where a piece would end inside a phrase that began after a comma among its last `BACKTRACK` tokens, the phrase
    moves to the next piece whole, and so does the word of a textual inversion, where it fits into one.
    """
    pieces: list[list[int]] = []
    at = 0
    while len(tokens) - at > size:
        end = at + size
        if comma is not None and tokens[end] != comma:
            near = range(end - 1, max(at, end - BACKTRACK) - 1, -1)
            end = next((i + 1 for i in near if tokens[i] == comma), end)
        first = end
        while first > at and tokens[first] == tokens[first - 1] + 1 > BEYOND:
            first -= 1
        end = first if first > at else end
        pieces.append(list(tokens[at:end]))
        at = end
    return [*pieces, list(tokens[at:])] if at < len(tokens) or not pieces else pieces


def with_special_tokens(
    piece: Sequence[int], size: int, start: int, end: int, pad: int
) -> list[int]:
    """`size + 2` tokens: the start token, the piece, the end token, padding."""
    return [start, *piece, end, *[pad] * (size - len(piece))]
