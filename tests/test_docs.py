"""The documents against the tree: links lead somewhere, options are described, quoted code is the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from webui.options import COMMANDS, flags
from webui.settings import BUNDLED, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    inside = [link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link)]
    assert not [link for link in inside if not (page.parent / link).exists()]


def test_the_index_leads_to_every_page():
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    missing = [p.name for p in (ROOT / "docs").glob("*.md") if f"({p.name})" not in index]
    assert missing in ([], ["index.md"])


def test_every_bundled_extension_has_its_page():
    index = (ROOT / "docs/extensions/index.md").read_text(encoding="utf-8")
    pages = {path.stem for path in (ROOT / "docs/extensions").glob("*.md")} - {"index"}
    assert pages == set(BUNDLED) == set(re.findall(r"\[(\w+)\]\(\1\.md\)", index))


def test_every_option_and_command_is_described():
    page = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    described = set(re.findall(r"--[a-z-]+|(?<=\| `)[a-z]+", page))
    assert set(flags()) <= described
    assert set(COMMANDS) <= described


def tree_of(page: Path) -> list[str]:
    """The paths in a page's file tree, by indentation; columns of several files are split."""
    text = page.read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\n(launch\.py.*?)^```$", text, re.DOTALL | re.MULTILINE)
    paths, folders = [], {0: ""}
    for line in block.splitlines():
        depth = len(line) - len(line.lstrip())
        for word in re.split(r"\s{2,}", line.strip())[0].split():
            paths.append(folders.get(depth, "") + word)
            if word.endswith("/"):
                folders[depth + 2] = folders.get(depth, "") + word
    return paths


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_file_tree_is_the_tree(page):
    paths = tree_of(ROOT / page)
    assert len(paths) > 15
    assert not [path for path in paths if not list(ROOT.glob(path.rstrip("/")))]
    shown = {path for path in paths if path.startswith("webui/")}
    there = {f"webui/{p.name}{'/' if p.is_dir() else ''}" for p in (ROOT / "webui").iterdir()}
    assert there - {"webui/__init__.py", "webui/__pycache__/"} <= shown


@pytest.mark.parametrize("layer", ["catalog", "diffusion", "engine"])
def test_the_map_has_every_part_of_a_layer(layer):
    """What is not on it is not found by who reads it first."""
    folder = ROOT / "webui" / layer
    parts = {
        path.name + "/" * path.is_dir() for path in folder.iterdir() if path.name[0] not in "_."
    }
    told = tree_of(ROOT / "docs/architecture.md")
    known = {path.removeprefix(f"webui/{layer}/") for path in told}
    assert parts <= known


def test_the_task_in_the_architecture_is_the_task():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    block = re.findall(r"```python\n(def txt2img.*?)```", page, re.DOTALL)[0]
    (quoted,) = ast.parse(block).body
    source = (ROOT / "webui/engine/tasks/txt2img.py").read_text(encoding="utf-8")
    real = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef))
    assert isinstance(quoted, ast.FunctionDef)
    body = [ast.dump(statement) for statement in real.body[1:]]  # without the docstring
    assert [ast.dump(statement) for statement in quoted.body] == body
