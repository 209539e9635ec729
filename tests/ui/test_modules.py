"""The page's JavaScript as a graph: what a module imports is there, nobody imports in a circle, nothing lies unused."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

from webui.ui.theme import ASSETS

ROOT = Path(__file__).parents[2]
IMPORT = re.compile(r'^import (?:[^;"]* from )?"([^"]+)";', re.MULTILINE)
LAZY = re.compile(r'\bimport\("([^"]+)"\)')


def imports() -> dict[str, list[str]]:
    """By each module's name the addresses that it imports."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.js")}
    return {name: [*IMPORT.findall(text), *LAZY.findall(text)] for name, text in texts.items()}


def test_every_import_is_a_module_beside_it() -> None:
    """So that its address holds the hash of all of them, and no other host is asked."""
    names = {f"./{name}" for name in imports()}
    assert not {name: set(found) - names for name, found in imports().items() if set(found) - names}


def test_no_module_waits_for_itself() -> None:
    """In a circle something would be used before it is there."""
    graph = {name: [one.removeprefix("./") for one in found] for name, found in imports().items()}
    assert [*TopologicalSorter(graph).static_order()][-1] == "main.js"


def test_every_module_is_reached_from_the_first() -> None:
    graph, reached = imports(), {"main.js"}
    while new := {one[2:] for name in reached for one in graph[name]} - reached:
        reached |= new
    assert reached == graph.keys()


def test_python_names_only_what_the_page_offers() -> None:
    """`js_on_load` and `js` are texts that no tool looks into."""
    offered = re.search(
        r"Object\.freeze\(\{(.*?)\}\)", (ASSETS / "main.js").read_text("utf-8"), re.DOTALL
    )
    assert offered
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "webui" / "ui").glob("*.py")]
    asked = {name for text in texts for name in re.findall(r"\bEasel\.(\w+)\(", text)}
    assert asked == {name.strip() for name in offered[1].split(",") if name.strip()}


def test_nothing_else_is_global() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.js")}
    globals_ = re.compile(r"\b(?:globalThis|window)\.(\w+) = ")
    assert {
        name: globals_.findall(text) for name, text in texts.items() if globals_.findall(text)
    } == {"main.js": ["Easel"]}
