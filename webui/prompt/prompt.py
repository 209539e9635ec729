"""A parsed prompt, and what its readers ask of it: tags, names, the words by their weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from webui.prompt.tags import Tag
from webui.prompt.tree import (
    BRANCHES,
    STRONGER,
    WEAKER,
    And,
    Break,
    Inversion,
    Leave,
    Node,
    Part,
    Sign,
    Text,
    Unclosed,
    placed,
    source_of,
    walk,
)

__all__ = ["DEEPEST", "WEIGHT_MAX", "Piece", "Prompt"]

DEEPEST = 64  # brackets in one another that change weights; 1.1 to that power is 446
WEIGHT_MAX = 1000  # either side of 0, of a piece as a whole; what is beyond it has no meaning, and no picture
AND = And("AND")


@dataclass(slots=True)
class Piece:
    """Text of one weight; with a `name` that of a textual inversion; the end of a chunk where `text` is None."""

    text: str | None
    weight: float = 1.0
    name: str = ""


class Prompt:
    """A prompt as it was read once: `source` is its text, `words` that without tags, `parts` what stands between `AND`
    (one, where there is none). Equal to others of the same text and the same inversions."""

    def __init__(self, source: str, words: str, parts: tuple[Part, ...]) -> None:
        self.source = source
        self.words = words
        self.parts = parts

    def __str__(self) -> str:
        return self.source

    def __repr__(self) -> str:
        return f"Prompt({self.source!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prompt):
            return NotImplemented
        return (self.source, self.inversions) == (other.source, other.inversions)

    def __hash__(self) -> int:
        return hash(self.source)

    def nodes(self) -> Iterator[Node]:
        """What stands in it directly, in order."""
        for number, part in enumerate(self.parts):
            if number:
                yield AND
            yield from part.items()

    def walk(self) -> Iterator[Node | Leave]:
        """Every node, as `tree.walk`."""
        return walk(self.nodes())

    def printed(self) -> str:
        """The text that the tree was read from, put together again."""
        return source_of(self.nodes())

    def notes(self, negative: bool = False) -> list[str]:
        """Sentences about what in it does nothing; in a negative prompt no tag does."""
        if negative:
            unused = [
                f"<{tag.kind}:{tag.name}> in the negative prompt does nothing; write it into the prompt."
                for tag in self.tags
            ]
        else:
            unused = [note for tag in self.tags for note in tag.notes]
        return [*self.faults, *unused]

    def tag_spans(self) -> list[tuple[int, int]]:
        """Where its tags begin and end in its text."""
        return self._spans(Tag)

    def inversion_spans(self) -> list[tuple[int, int]]:
        """Where the words of its inversions begin and end in its text."""
        return self._spans(Inversion)

    def _spans(self, kind: type[Tag] | type[Inversion]) -> list[tuple[int, int]]:
        found = []
        for at, node in placed(self.nodes()):
            if isinstance(node, kind):
                found.append((at, at + len(node.source)))
        return found

    # --- what is asked of it ----------------------------------------------------------------------

    @cached_property
    def every_tag(self) -> tuple[Tag, ...]:
        """All tags as they were written, those that cannot be meant too."""
        if self.words == self.source:
            return ()
        return tuple(node for node in self.walk() if isinstance(node, Tag))

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The networks that are asked for, in order. A name that comes twice counts with its first strengths, as A1111
        has it."""
        found: dict[tuple[str, str], Tag] = {}
        for tag in self.every_tag:
            if not tag.fault:
                found.setdefault((tag.kind, tag.name), tag)
        return tuple(found.values())

    @property
    def faults(self) -> tuple[str, ...]:
        """Sentences about tags that cannot be meant."""
        return tuple(tag.fault for tag in self.every_tag if tag.fault)

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The textual inversions among its words, each as often as it comes, in lower case."""
        return tuple(node.name for node in self.walk() if isinstance(node, Inversion))

    @property
    def inversions(self) -> frozenset[str]:
        """The names of its textual inversions, in lower case."""
        return frozenset(self.named)

    @property
    def chunks_ended(self) -> int:
        """How many `BREAK` it has."""
        return sum(isinstance(node, Break) for node in self.walk())

    def pieces(self, known: Collection[str] = ()) -> list[Piece]:
        """Its words in pieces of equal weight, in order; at least one. `known` are the inversions that are there for
        its reader, in lower case; the others are words like any.

        Nested weights multiply. Brackets inside of `DEEPEST` others change none. What switches while a picture is made
        (`[a:b:0.5]`, `[a|b]`) is read as the words in square brackets that it is written with, and `AND` as a word.
        """
        return _merged(_pieces(self.walk(), known))


def _pieces(nodes: Iterator[Node | Leave], known: Collection[str]) -> Iterator[Piece]:
    factors: list[float] = []  # of the brackets around, the outermost first
    weight, changed = 1.0, False
    for node in nodes:
        name = ""
        if isinstance(node, Text):
            text = node.value
        elif isinstance(node, Leave):
            factors.pop()
            changed = True
            continue
        elif isinstance(node, BRANCHES):
            factors.append(node.weight)
            changed = True
            continue
        elif isinstance(node, Unclosed):
            factors.append(STRONGER if node.source == "(" else WEAKER)
            changed = True
            continue
        elif isinstance(node, Break):
            yield Piece(None)
            continue
        elif isinstance(node, Sign | Tag):
            continue
        elif isinstance(node, Inversion):
            text = node.value
            name = node.name if node.name in known else ""
        else:  # AND
            text = node.source
        if changed:  # the innermost first: products of floats depend on their order
            weight, changed = math.prod(factors[DEEPEST - 1 :: -1], start=1.0), False
        yield Piece(text, weight, name)


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbours of equal weight as one piece."""
    merged: list[Piece] = []
    for (is_break, weight), equal in groupby(pieces, lambda one: (one.text is None, one.weight)):
        run = list(equal)
        if is_break:
            merged += run
        elif any(piece.name for piece in run):
            merged += _with_names(run)
        else:
            merged.append(Piece("".join([piece.text or "" for piece in run]), weight))
    return merged or [Piece("")]


def _with_names(run: list[Piece]) -> Iterator[Piece]:
    """Texts of equal weight as one, and inversions apart. The word of one that meets a letter of its neighbours is part
    of a longer word: `(cat)(my)` says "catmy"."""
    texts = ["", *(piece.text or "" for piece in run), ""]
    waiting: list[str] = []
    for number, piece in enumerate(run, 1):
        met = texts[number - 1][-1:] + texts[number + 1][:1]
        if piece.name and not any(sign.isalnum() or sign == "_" for sign in met):
            if waiting:
                yield Piece("".join(waiting), piece.weight)
                waiting = []
            yield piece
        else:
            waiting.append(texts[number])
    if waiting:
        yield Piece("".join(waiting), run[0].weight)
