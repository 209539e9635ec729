"""A tokenizer that counts the words of textual inversions as the tokens that they stand for. No vectors here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from webui.engine.text.chunks import BEYOND
from webui.engine.text.tokenizer import Tokenizer

__all__ = ["Word", "Words"]


class Word(Protocol):
    """A name, and how many vectors it stands for."""

    @property
    def name(self) -> str: ...

    @property
    def count(self) -> int: ...


class Words:
    """A tokenizer that knows inversions: it gives their numbers in the place of their words."""

    def __init__(self, tokenizer: Tokenizer, inversions: Sequence[Word]) -> None:
        self._theirs = tokenizer
        self.comma = tokenizer.comma
        self.start, self.end, self.pad = tokenizer.start, tokenizer.end, tokenizer.pad
        self._first: dict[str, tuple[int, int]] = {}
        first = BEYOND
        for inversion in inversions:
            self._first[inversion.name.lower()] = first, inversion.count
            first += inversion.count

    @property
    def known(self) -> Collection[str]:
        """The names of the inversions, in lower case."""
        return self._first.keys()

    def tokens(self, text: str, name: str = "") -> list[int]:
        """The tokens of `text`, or those of the inversion `name`."""
        if name:
            first, count = self._first[name]
            return list(range(first, first + count))
        return self._theirs.tokens(text) if text.strip() else []
