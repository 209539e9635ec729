"""Gradio's inside is touched in one place: nothing else of ours knows what Gradio does not document."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from tests.ui import test_gradio_adapter
from webui.ui import gradio_adapter

ROOT = Path(__file__).parent.parent.parent
OURS = [path for folder in ("ui", "http") for path in (ROOT / "webui" / folder).glob("*.py")]
# of `gr.Blocks`: what is documented, and is used
DOCUMENTED = {"close", "launch", "local_url", "queue"}
INSIDE = re.compile(
    r"gradio_(api|config)|templates/frontend|access-token|__type__|gradio\.FileData|auth_required|__theme|__i18n"
)


def inside(tree: ast.AST) -> Iterator[str]:
    """What a file's code takes of Gradio's inside: modules, attributes of a page, words of its protocol."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "gradio":
                yield module
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.startswith("gradio."))
            case ast.Attribute(value=ast.Name(id="gr"), attr=name):
                if name not in (*gr.__all__, "api", "themes"):
                    yield f"gr.{name}"
            case ast.Attribute(value=ast.Name(id="blocks") | ast.Attribute(attr="_blocks")):
                if node.attr not in DOCUMENTED:
                    yield f"blocks.{node.attr}"
            case ast.Attribute(value=ast.Attribute(attr="request"), attr="request" | "state"):
                yield "request.request"
            case ast.Constant(value=str(text)) if "\n" not in text and INSIDE.search(text):
                yield text
            case ast.keyword(arg="_frontend"):
                yield "_frontend"


def test_python_knows_gradios_inside_in_the_adapter_alone() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in OURS}
    found = {path.name: sorted(set(inside(tree))) for path, tree in trees.items()}
    assert found.pop("gradio_adapter.py")
    wrong = {name: known for name, known in found.items() if known}
    assert not wrong, "make it a function of gradio_adapter.py, with a test that says what breaks"


@pytest.mark.parametrize(
    "source",
    [
        "from gradio.queueing import Queue",
        "import gradio.utils",
        "import gradio as gr\ngr.__file__",
        "blocks.fns[3].validator = check",
        "self._blocks.server",
        "request.request.state.visitor",
        "url = f'gradio_api/file={path}'",
        "blocks.launch(_frontend=False)",
    ],
)
def test_the_check_finds_what_is_inside(source: str) -> None:
    assert list(inside(ast.parse(source)))


def test_each_coupling_has_a_test_that_says_what_breaks() -> None:
    tests = {name: one for name, one in vars(test_gradio_adapter).items() if name[:5] == "test_"}
    for name in gradio_adapter.__all__:
        mine = [one for test, one in tests.items() if test.startswith(f"test_{name.lower()}_")]
        assert mine, f"{name} has no test in test_gradio_adapter.py"
        assert all(one.__doc__ for one in mine), f"the test of {name} does not say what breaks"
