"""The words of textual inversions among those of a prompt. No vectors here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeGuard

from webui.prompt.tags import Tag
from webui.prompt.tree import Inversion, Node, Sign, Text

__all__ = ["Names", "pattern"]


def pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds whole words that are one of `names`, the longest first, in any case."""
    longest = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)


class Names:
    """The names that a text may hold."""

    def __init__(self, names: Iterable[str]) -> None:
        known = list(names)
        self._lower = frozenset(name.lower() for name in known)
        self._pattern = pattern(known)
        self._read: dict[Text, list[Node]] = {}  # texts that stand alone

    @classmethod
    def near(cls, names: Iterable[str], text: str) -> Names | None:
        """Those of `names` that are somewhere in `text`; None where none is."""
        lower = text.lower()
        near = [name for name in names if name and name.lower() in lower]
        return cls(near) if near else None

    def found_in(self, nodes: list[Node]) -> list[Node]:
        """The nodes with the words of inversions as nodes of their own. Text with a tag in its middle is one text."""
        found: list[Node] = []
        run: list[Text | Tag] = []
        for node in nodes:
            if isinstance(node, Text | Tag):
                run.append(node)
                continue
            if run:
                found += self._in(run)
                run = []
            found.append(node)
        return [*found, *self._in(run)]

    def _in(self, run: list[Text | Tag]) -> list[Node]:
        if len(run) != 1 or not _is_text(run[0]):
            return self._in_run(run)
        known = self._read.get(run[0])
        if known is None:
            known = self._read[run[0]] = self._in_run(run)
        return known

    def _in_run(self, run: list[Text | Tag]) -> list[Node]:
        value = "".join([node.value for node in run if _is_text(node)])
        spans = [
            match.span()
            for match in self._pattern.finditer(value)
            if match[0].lower() in self._lower  # "ſ" is an "s" of another word
        ]
        if not spans:
            return list(run)
        found: list[Node] = []
        ahead = iter((*spans, (len(value) + 1, len(value) + 1)))
        start, end = next(ahead)
        last = 0  # where in the value this node ends
        for node in run:
            if not _is_text(node):
                found.append(node)
                continue
            first = at = last
            last += len(node.value)
            while start < last:  # something of it is an inversion's; an escape is that as a whole
                if at < start:
                    found.append(_part(node, at - first, start - first))
                    at = start
                if end > last:  # the word goes on behind a tag
                    found.append(Sign(node.source[at - first :]))
                    at = last
                    break
                source = node.source[at - first : end - first if end < last else None]
                found.append(Inversion(source, value[start:end]))
                at = end
                start, end = next(ahead)
            if at < last:
                found.append(_part(node, at - first, None))
        return found


def _is_text(node: Text | Tag) -> TypeGuard[Text]:
    return isinstance(node, Text)


def _part(text: Text, start: int, end: int | None) -> Text:
    if not start and end is None:
        return text
    return Text(text.source[start:end], text.value[start:end])
