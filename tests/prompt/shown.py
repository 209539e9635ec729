"""Trees as nested lists, short enough to be written into tests and documents."""

from __future__ import annotations

from collections.abc import Iterable

from webui.prompt import (
    Alternation,
    Break,
    Edit,
    Emphasis,
    Inversion,
    Node,
    Sign,
    Tag,
    Text,
    Unclosed,
)


def shown(nodes: Iterable[Node] | None) -> list[object]:
    """Text as what it says, `@name` for inversions, `<name>` for tags, tuples for brackets."""
    return [one(node) for node in nodes or ()]


def one(node: Node) -> object:
    match node:
        case Text():
            return node.value
        case Sign():
            return repr(node.source)
        case Inversion():
            return f"@{node.name}"
        case Tag():
            return f"<{node.name}>"
        case Break():
            return "BREAK"
        case Unclosed():
            return f"open {node.source}"
        case Emphasis():
            weight = node.weight if node.opening == "(" else "/1.1"
            return (weight, *shown(node.nodes))
        case Edit():
            before = None if node.before is None else shown(node.before)
            kind = "part" if node.is_part else "step"
            return ("edit", before, shown(node.after), node.when, kind)
        case Alternation():
            return ("or", *map(shown, node.options))
    return node.source
