"""The words of textual inversions in a text: found, and counted as the tokens that they stand for. No vectors here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from webui.engine.text.chunks import BEYOND
from webui.engine.text.tokenizer import Tokenizer

__all__ = ["Word", "Words", "said"]


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
        self._pattern = pattern([inversion.name for inversion in inversions])

    def tokens(self, text: str) -> list[int]:
        found: list[int] = []
        for i, part in enumerate(self._pattern.split(text)):
            known = (
                self._first.get(part.lower()) if i % 2 else None
            )  # "ſ" is an "s" of another word
            if known is not None:
                first, count = known
                found += range(first, first + count)
            elif part.strip():
                found += self._theirs.tokens(part)
        return found


def pattern(names: Sequence[str]) -> re.Pattern[str]:
    """Finds whole words that are one of `names`, the longest first, in any case."""
    longest = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)


def said(names: Iterable[str], texts: Sequence[str]) -> list[str]:
    """Those of `names` that are words of one of `texts`, in their order."""
    lower = [text.lower() for text in texts]
    near = [name for name in names if any(name.lower() in text for text in lower)]
    if not near:
        return []
    finds = pattern(near)
    words = {word.lower() for text in texts for word in finds.findall(text)}
    return sorted(name for name in near if name.lower() in words)
