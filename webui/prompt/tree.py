"""What a prompt is made of: words, signs, tags and brackets. Values alone; how they are found is in `parse.py`.

Leaves hold the `source` that they were read from, branches what stands in them, so that a tree gives its text back
letter for letter. Brackets may lie in one another as deep as a text is long: nothing here calls itself, and whoever
goes through a tree uses `walk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from webui.prompt.tags import Tag

__all__ = [
    "STRONGER",
    "WEAKER",
    "Alternation",
    "And",
    "Branch",
    "Break",
    "Edit",
    "Emphasis",
    "Inversion",
    "Leaf",
    "Leave",
    "Node",
    "Part",
    "Sign",
    "Text",
    "Unclosed",
    "placed",
    "source_of",
    "walk",
]

STRONGER, WEAKER = 1.1, 1 / 1.1


# --- Leaves ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `value` is what they say: without the backslash of an escape."""

    source: str
    value: str


@dataclass(frozen=True, slots=True)
class Sign:
    """What is written and says nothing by itself."""

    source: str


@dataclass(frozen=True, slots=True)
class Inversion:
    """The word of a textual inversion, `value` as it is read, `name` that in lower case. Where a tag or an escape
    stands in the middle of the word, `source` is the part behind it."""

    source: str
    value: str

    @property
    def name(self) -> str:
        return self.value.lower()


@dataclass(frozen=True, slots=True)
class Break:
    """`BREAK`, with the blanks around it: the next words begin a chunk."""

    source: str


@dataclass(frozen=True, slots=True)
class Unclosed:
    """A bracket that is never closed: all that follows is in it."""

    source: str


@dataclass(frozen=True, slots=True)
class And:
    """`AND` between two parts of a prompt."""

    source: str


# --- Branches -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Emphasis:
    """`(words)`, `(words:1.3)` or `[words]`: what is inside counts `weight` times. `closing` is what stands behind the
    words: ")", ":1.3)" or "]"."""

    opening: str
    nodes: tuple[Node, ...]
    closing: str
    weight: float

    def items(self) -> Iterable[Node]:
        return self.nodes


@dataclass(frozen=True, slots=True)
class Edit:
    """`[before:after:when]`: other words from a step on. `[after:when]` has a `before` of None, `[before::when]` an
    empty `after`. `when` is a step, or, where it is written with a point (`is_part`), a part of all steps; `ending`
    is how it was written."""

    before: tuple[Node, ...] | None
    after: tuple[Node, ...]
    when: float
    ending: str
    weight: float = WEAKER  # as the brackets that it is read as today
    opening: str = "["
    closing: str = "]"

    @property
    def is_part(self) -> bool:
        return "." in self.ending

    def items(self) -> Iterable[Node]:
        before = () if self.before is None else (*self.before, COLON)
        return (*before, *self.after, COLON, Text(self.ending, self.ending))


@dataclass(frozen=True, slots=True)
class Alternation:
    """`[a|b]`: another of the `options` at each step. Each may be empty; there are two at least."""

    options: tuple[tuple[Node, ...], ...]
    weight: float = WEAKER  # as the brackets that it is read as today
    opening: str = "["
    closing: str = "]"

    def items(self) -> Iterable[Node]:
        found: list[Node] = []
        for option in self.options:
            found += (*option, BAR)
        return found[:-1]


Leaf: TypeAlias = "Text | Sign | Inversion | Break | Unclosed | And | Tag"
Branch: TypeAlias = "Emphasis | Edit | Alternation"
Node: TypeAlias = "Leaf | Branch"

BRANCHES = Emphasis, Edit, Alternation
COLON, BAR = Text(":", ":"), Text("|", "|")


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two `AND`, with its weight. `ending` is how that was written (`:1.2`), "" without one."""

    nodes: tuple[Node, ...]
    weight: float = 1.0
    ending: str = ""

    def items(self) -> Iterable[Node]:
        return (*self.nodes, Text(self.ending, self.ending)) if self.ending else self.nodes


# --- Going through --------------------------------------------------------------------------------


class Leave:
    """The end of a branch, in a walk."""


LEAVE = Leave()


def walk(nodes: Iterable[Node]) -> Iterator[Node | Leave]:
    """Every node in the order of the text: a branch, then what is in it, then `LEAVE`."""
    inside: list[Iterator[Node]] = [iter(nodes)]
    while inside:
        for node in inside[-1]:
            yield node
            if isinstance(node, BRANCHES):
                inside.append(iter(node.items()))
                break
        else:
            inside.pop()
            if inside:
                yield LEAVE


def placed(nodes: Iterable[Node]) -> Iterator[tuple[int, Leaf | str]]:
    """Every leaf, and the brackets of branches as they were written, each with its place in the text."""
    at = 0
    closings: list[str] = []
    for node in walk(nodes):
        written: Leaf | str
        if isinstance(node, Leave):
            written = closings.pop()
        elif isinstance(node, BRANCHES):
            written = node.opening
            closings.append(node.closing)
        else:
            yield at, node
            at += len(node.source)
            continue
        yield at, written
        at += len(written)


def source_of(nodes: Iterable[Node]) -> str:
    """The text that nodes were read from."""
    written: list[str] = []
    closings: list[str] = []
    for node in walk(nodes):
        if isinstance(node, Leave):
            written.append(closings.pop())
        elif isinstance(node, BRANCHES):
            written.append(node.opening)
            closings.append(node.closing)
        else:
            written.append(node.source)
    return "".join(written)
