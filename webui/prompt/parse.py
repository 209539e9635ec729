"""A prompt's text to its tree. The rules are those that AUTOMATIC1111's users know; docs/prompt.md tells them.

Nothing that somebody may write is an error: a bracket that is never closed reaches to the end, one that was never
opened is a sign like others. Tags are found first and taken out, and brackets are read as if they had never been there.
No pattern looks at a sign more than a few times, so that a prompt takes a time that grows with its length alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from webui.prompt.inversions import Names
from webui.prompt.prompt import Prompt
from webui.prompt.tags import Tag, tags_in
from webui.prompt.tree import (
    STRONGER,
    WEAKER,
    Alternation,
    And,
    Break,
    Edit,
    Emphasis,
    Node,
    Part,
    Sign,
    Text,
    Unclosed,
)

__all__ = ["parse"]

NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
MARK = re.compile(
    r"\\(?P<escaped>[()\[\]{}|\\]|__)"
    rf"|:\s*(?P<weight>[+-]?{NUMBER})\s*\)"
    r"|(?P<bracket>[()\[\]])"
    r"|\b(?P<break>BREAK)\b"
    r"|\b(?P<and>AND)\b"
)
BLANKS = re.compile(r"\s*")
WHEN = re.compile(rf"\s*({NUMBER})\s*")
PART_WEIGHT = re.compile(rf":\s*([+-]?{NUMBER})\s*\Z")


def parse(text: str, inversions: Iterable[str] = ()) -> Prompt:
    """The tree of a prompt: any text is one. `inversions` are the names of textual inversions, words of their own."""
    tags: list[tuple[int, Tag]] = []  # with their places in the text without tags
    words: list[str] = []
    at = length = 0
    for start, end, tag in tags_in(text):
        words.append(text[at:start])
        length += start - at
        tags.append((length, tag))
        at = end
    plain = "".join([*words, text[at:]]) if tags else text
    parts = _Parser(plain, tags, Names.near(inversions, plain)).parts()
    return Prompt(text, plain, parts)


class _Parser:
    """Reads a text without its tags, and puts these back where they stood."""

    def __init__(self, words: str, tags: Sequence[tuple[int, Tag]], names: Names | None) -> None:
        self.words = words
        self.tags = tags
        self.names = names
        self.tag = 0  # how many of them have been put back
        self.opened: list[str] = []  # brackets that wait for their end
        self.outside: list[list[Node]] = []  # what stands around each
        self.nodes: list[Node] = []  # what stands in the innermost
        self.texts: dict[str, Text] = {}
        self.has_and = False

    def parts(self) -> tuple[Part, ...]:
        words, at = self.words, 0
        for mark in MARK.finditer(words):
            start, end = mark.span()
            kind = mark.lastgroup
            if kind == "break":
                start = at + len(words[at:start].rstrip())
            if at < start:
                self._text(at, start)
            at = end
            if self.tag < len(self.tags):
                self._put_tags(start)
            if kind == "bracket":
                sign = words[start]
                if sign in "([":
                    self.opened.append(sign)
                    self.outside.append(self.nodes)
                    self.nodes = []
                elif self.opened and self.opened[-1] + sign in ("()", "[]"):
                    self._close(sign, STRONGER)
                else:
                    self.nodes.append(self._words(sign))
            elif kind == "escaped":
                self.nodes.append(Text(self._rest(start, end), mark["escaped"]))
            elif kind == "weight" and self.opened and self.opened[-1] == "(":
                self._close(self._rest(start, end), float(mark["weight"]))
            elif kind == "break":
                blanks = BLANKS.match(words, end)
                at = blanks.end() if blanks else end
                self.nodes.append(Break(self._rest(start, at)))
            elif kind == "and":
                self.nodes.append(And(self._rest(start, end)))
                self.has_and = True
            else:
                self._text(start, end)
        self._text(at, len(words))
        self._put_tags(len(words))
        return self._root()

    # --- leaves -----------------------------------------------------------------------------------

    def _put_tags(self, start: int) -> None:
        """The tags that stand up to there."""
        while self.tag < len(self.tags) and self.tags[self.tag][0] <= start:
            self.nodes.append(self.tags[self.tag][1])
            self.tag += 1

    def _text(self, start: int, end: int) -> None:
        """Words, and the tags among them."""
        while self.tag < len(self.tags) and self.tags[self.tag][0] < end:
            place = self.tags[self.tag][0]
            if start < place:
                self.nodes.append(self._words(self.words[start:place]))
                start = place
            self._put_tags(place)
        if start < end:
            self.nodes.append(self._words(self.words[start:end]))

    def _words(self, text: str) -> Text:
        """Words without a backslash; equal ones are one value."""
        found = self.texts.get(text)
        if found is None:
            found = self.texts[text] = Text(text, text)
        return found

    def _rest(self, start: int, end: int) -> str:
        """The part of a mark behind the tags that somebody put into the middle of it."""
        while self.tag < len(self.tags) and self.tags[self.tag][0] < end:
            place = self.tags[self.tag][0]
            self.nodes.append(Sign(self.words[start:place]))
            start = place
            self._put_tags(place)
        return self.words[start:end]

    # --- branches ---------------------------------------------------------------------------------

    def _close(self, closing: str, weight: float) -> None:
        opening, nodes = self.opened.pop(), self.nodes
        if self.has_and:
            nodes = _without_and(nodes)
        self.nodes = self.outside.pop()
        if opening == "(":
            self.nodes.append(Emphasis(opening, self._named(nodes), closing, weight))
        else:
            self.nodes.append(self._square(nodes))

    def _square(self, nodes: list[Node]) -> Node:
        """What square brackets around `nodes` mean."""
        segments, signs = _split(nodes)
        bars = signs.count("|")
        if bars and bars == len(signs):
            return Alternation(tuple(map(self._named, segments)))
        if not bars and 1 <= len(signs) <= 2 and (when := _when(segments[-1])):
            before = self._named(segments[0]) if len(signs) == 2 else None
            return Edit(before, self._named(segments[-2]), float(when[1]), when[0])
        return Emphasis("[", self._named(nodes), "]", WEAKER)

    def _named(self, nodes: list[Node]) -> tuple[Node, ...]:
        return tuple(self.names.found_in(nodes) if self.names else nodes)

    def _root(self) -> tuple[Part, ...]:
        """The whole, whose brackets that are still open have no end."""
        nodes: list[Node] = []
        for sign, before in zip(self.opened, self.outside, strict=True):
            nodes += (*before, UNCLOSED[sign])
        nodes += self.nodes
        parts, first = [], 0
        ends = [place for place, node in enumerate(nodes) if isinstance(node, And)]
        for end in ends:
            parts.append(self._part(nodes[first:end]))
            first = end + 1
        if not ends:
            return (Part(self._named(nodes)),)
        return (*parts, self._part(nodes[first:]))

    def _part(self, nodes: list[Node]) -> Part:
        last = nodes[-1] if nodes else None
        if isinstance(last, Text) and last.source == last.value:
            found = PART_WEIGHT.search(last.value)
            if found:
                before = last.value[: found.start()]
                kept = [*nodes[:-1], Text(before, before)] if before else nodes[:-1]
                return Part(self._named(kept), float(found[1]), found[0])
        return Part(self._named(nodes))


UNCLOSED = {sign: Unclosed(sign) for sign in "(["}


def _without_and(nodes: list[Node]) -> list[Node]:
    """Inside of brackets `AND` is a word."""
    return [Text(one.source, one.source) if isinstance(one, And) else one for one in nodes]


def _split(nodes: list[Node]) -> tuple[list[list[Node]], list[str]]:
    """The nodes between the colons and bars that stand directly among them, and these signs."""
    segments: list[list[Node]] = [[]]
    signs: list[str] = []
    for node in nodes:
        if isinstance(node, Text) and node.source == node.value:
            at = 0
            for found in SEPARATOR.finditer(node.value):
                if text := node.value[at : found.start()]:
                    segments[-1].append(Text(text, text))
                segments.append([])
                signs.append(found[0])
                at = found.end()
            if not at:
                segments[-1].append(node)
            elif text := node.value[at:]:
                segments[-1].append(Text(text, text))
        else:
            segments[-1].append(node)
    return segments, signs


SEPARATOR = re.compile(r"[:|]")


def _when(nodes: list[Node]) -> re.Match[str] | None:
    """The number that a segment is, and nothing else."""
    (last,) = nodes if len(nodes) == 1 else (None,)
    plain = isinstance(last, Text) and last.source == last.value
    return WHEN.fullmatch(last.value) if isinstance(last, Text) and plain else None
