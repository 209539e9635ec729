"""Gradio's inside is touched in one place: nothing else of ours knows what Gradio does not document."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import gradio as gr
import pytest

from tests.ui import test_gradio_adapter, test_gradio_js
from webui.ui import gradio_adapter
from webui.ui.theme import ASSETS

ROOT = Path(__file__).parent.parent.parent
OURS = [path for folder in ("ui", "http") for path in (ROOT / "webui" / folder).glob("*.py")]
# of `gr.Blocks`: what is documented, and is used
DOCUMENTED = {"close", "launch", "load", "local_url", "queue"}
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


# --- JavaScript and styles ------------------------------------------------------------------------

SELECTING = re.compile(
    r"""(?:querySelector(?:All)?|closest\??\.?|matches\??\.?)\(\s*(["`'])(.*?)\1"""
)
NOT_GRADIOS = re.compile(
    r"ext|dark|gradio-container|(easel|canvas|group)-.*"
)  # ours, or documented
CLASS = re.compile(r"\.([a-zA-Z_][\w-]*)")


@cache
def gradios_classes() -> set[str]:
    """The classes that Gradio gives to what its components are drawn as."""
    texts = [path.read_text(encoding="utf-8") for path in gradio_adapter.BUILT.glob("*.css")]
    scoped = [one for text in texts for one in re.findall(r"[\w.-]*\.svelte-[\w.-]*", text)]
    known = (ASSETS / "gradio.css").read_text(encoding="utf-8")  # some have no rules of Gradio's
    named = [*scoped, *re.findall(r"([^{}]+)\{", re.sub(r"/\*.*?\*/", "", known, flags=re.DOTALL))]
    found = {name for one in named for name in CLASS.findall(one)}
    assert {"slider_input_container", "tab-wrapper", "form", "wrap"} <= found
    return {name for name in found if not NOT_GRADIOS.fullmatch(name)}


def of_gradios_page(name: str, text: str) -> set[str]:
    """What a script or a style sheet names of Gradio's inside."""
    if name.endswith(".css"):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        selectors = re.findall(r"([^{}]+)\{", text)
    else:
        text = re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE)
        selectors = [found[1] for found in SELECTING.findall(text)]
    classes = {one for text in selectors for one in CLASS.findall(text)}
    return (classes & gradios_classes()) | set(re.findall(r"data-testid|show-api", text)) | {
        found[0] for found in INSIDE.finditer(text)
    }  # fmt: skip


def test_scripts_and_styles_know_gradios_inside_in_one_file_each() -> None:
    files = [path for path in ASSETS.iterdir() if path.suffix in (".css", ".js")]
    found = {one.name: of_gradios_page(one.name, one.read_text(encoding="utf-8")) for one in files}
    assert found.pop("gradio.js") and found.pop("gradio.css")
    wrong = {name: known for name, known in found.items() if known}
    assert not wrong, "make it a function of gradio.js, with a test; or a rule of gradio.css"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("one.js", 'place.querySelector(".easel-tabs > .tab-wrapper")'),
        ("one.js", "window.gradio_config.components"),
        ("one.js", 'return { __type__: "update" };'),
        ("one.js", "document.querySelector(`[data-testid=accordion-content]`)"),
        ("one.css", ".easel-head > .form { flex: none; }"),
    ],
)
def test_the_check_finds_what_is_of_gradios_page(name: str, text: str) -> None:
    assert of_gradios_page(name, text)


# --- Tests ----------------------------------------------------------------------------------------


def found_in(module: object) -> dict[str, object]:
    return {name: one for name, one in vars(module).items() if name.startswith("test_")}


def test_each_coupling_has_a_test_that_says_what_breaks() -> None:
    script = (ASSETS / "gradio.js").read_text(encoding="utf-8")
    exported = re.findall(r"^export (?:async )?(?:function|const) (\w+)", script, re.MULTILINE)
    names = [re.sub("([A-Z])", lambda one: f"_{one[1].lower()}", name) for name in exported]
    wanted = [(name, test_gradio_js) for name in names]
    wanted += [(name.lower(), test_gradio_adapter) for name in gradio_adapter.__all__]
    for name, module in wanted:
        mine = [one for test, one in found_in(module).items() if f"_{name}_" in test]
        assert mine, f"{name} has no test in {module.__name__}"
        assert all(one.__doc__ for one in mine), f"the test of {name} does not say what breaks"
