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
                found += self._in_run(run)
                run = []
            found.append(node)
        return [*found, *self._in_run(run)]

    def _in_run(self, run: list[Text | Tag]) -> list[Node]:
        value = "".join([node.value for node in run if _is_text(node)])
        spans = [
            (*match.span(), name)
            for match in self._pattern.finditer(value)
            if (name := match[0].lower()) in self._lower  # "ſ" is an "s" of another word
        ]
        if not spans:
            return list(run)
        found: list[Node] = []
        ahead = iter((*spans, (len(value) + 1, len(value) + 1, "")))
        start, end, name = next(ahead)
        at = 0  # in the value
        for node in run:
            if not _is_text(node):
                found.append(node)
                continue
            rest = node
            while at + len(rest.value) > start:  # something of it is an inversion's
                if at < start:
                    before, rest = _cut(rest, start - at)
                    found.append(before)
                    at = start
                if at + len(rest.value) < end:  # the word goes on behind a tag
                    found.append(Sign(rest.source))
                    at += len(rest.value)
                    rest = Text("", "")
                    break
                last, rest = _cut(rest, end - at)
                found.append(Inversion(last.source, name))
                at = end
                start, end, name = next(ahead)
            at += len(rest.value)
            if rest.source:
                found.append(rest)
        return found


def _is_text(node: Text | Tag) -> TypeGuard[Text]:
    return isinstance(node, Text)


def _cut(text: Text, length: int) -> tuple[Text, Text]:
    """The first characters of a text and the others; an escape is never cut."""
    if length >= len(text.value):
        return text, Text("", "")
    return (
        Text(text.source[:length], text.value[:length]),
        Text(text.source[length:], text.value[length:]),
    )
