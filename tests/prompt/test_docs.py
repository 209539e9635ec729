"""Every example of docs/prompt.md means what stands beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pytest

from webui.prompt import Alternation, Edit, Emphasis, Node, parse
from webui.prompt.tree import source_of
from webui.settings import ROOT

PAGE = (ROOT / "docs" / "prompt.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (\w+) -->\n```\n(.*?)\n```", re.DOTALL)


def examples(kind: str) -> Iterator[tuple[str, str]]:
    """What is written, and what stands beside or below it."""
    for found, block in BLOCK.findall(PAGE):
        lines = re.sub(r"\n {8,}", "    ", block).split("\n")
        if found == kind:
            yield from (tuple(re.split(r" {3,}", line, maxsplit=1)) for line in lines)  # type: ignore[misc]


def number(value: float) -> str:
    return f"{round(value, 4):g}"


def weights(text: str) -> str:
    pieces = parse(text).pieces()
    return ", ".join(
        "BREAK" if one.text is None else f"'{one.text}' {number(one.weight)}" for one in pieces
    )


def tags(text: str) -> str:
    return ", ".join(
        f"{tag.name} {number(tag.text)} {number(tag.unet)}" for tag in parse(text).tags
    )


def told(text: str) -> str:
    prompt = parse(text)
    return ", ".join([*prompt.faults, *(note for tag in prompt.tags for note in tag.notes)])


def parts(text: str) -> str:
    found = [f"'{source_of(part.nodes)}' {number(part.weight)}" for part in parse(text).parts]
    return ", ".join(found)


def tree(text: str) -> str:
    return listed(parse(text).nodes())


def listed(nodes: Iterable[Node]) -> str:
    return ", ".join(map(one, nodes))


def one(node: Node) -> str:
    match node:
        case Edit():
            before = "none" if node.before is None else f"[{listed(node.before)}]"
            when = f"{'part' if node.is_part else 'step'} {node.when:g}"
            return f"edit({before}, [{listed(node.after)}], {when})"
        case Alternation():
            return f"or({', '.join(f'[{listed(option)}]' for option in node.options)})"
        case Emphasis():
            weight = number(node.weight) if node.opening == "(" else "1/1.1"
            return f"{weight}({listed(node.nodes)})"
    return repr(getattr(node, "value", ""))


READERS = {"weights": weights, "tags": tags, "told": told, "parts": parts, "tree": tree}


@pytest.mark.parametrize(
    ("kind", "text", "meaning"),
    [(kind, *example) for kind in READERS for example in examples(kind)],
)
def test_an_example_means_what_stands_beside_it(kind: str, text: str, meaning: str) -> None:
    assert READERS[kind](text) == meaning.strip()


def test_no_block_of_the_page_is_left_out() -> None:
    kinds = {kind for kind, _ in BLOCK.findall(PAGE)}
    assert kinds == set(READERS) and len(BLOCK.findall(PAGE)) == PAGE.count("```") / 2
