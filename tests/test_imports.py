"""The import directions drawn in docs/architecture.md, checked over the whole tree."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = ["webui.errors", "webui.sentences", "webui.types", "webui.prompt"]
FACES = [
    *BASE,
    "webui.settings",
    "webui.preferences",
    "webui.naming",
    "webui.languages",
    "webui.defaults",
    "webui.registry",
    "webui.metadata",
    "webui.images",
    "webui.store",
    "webui.descriptors",
    "webui.job_stream",
]

# our own packages: who may import what (a package may always import itself)
OURS = {
    "webui.sentences": [],
    "webui.errors": ["webui.sentences"],
    "webui.prompt": ["webui.errors", "webui.sentences"],
    "webui.types": ["webui.errors", "webui.sentences", "webui.prompt"],
    "webui.hookspecs": BASE,
    "webui.diffusion": BASE,
    "webui.api": [*BASE, "webui.diffusion", "webui.hookspecs"],
    "webui.registry": BASE,
    "webui.plugins": [*BASE, "webui.hookspecs", "webui.registry"],
    "webui.naming": ["webui.errors"],
    "webui.opening": [],
    "webui.languages": [],
    "webui.reserving": ["webui.naming"],
    "webui.settings": [*BASE, "webui.naming"],
    "webui.texts": [],
    "webui.metadata": [*BASE, "webui.texts"],
    "webui.images": [
        *BASE,
        *("webui.metadata", "webui.naming", "webui.opening", "webui.reserving"),
    ],
    "webui.defaults": [*BASE, "webui.settings", "webui.registry", "webui.metadata", "webui.images"],
    "webui.preferences": [*BASE, "webui.settings", "webui.naming", "webui.registry"],
    "webui.options": [
        *BASE,
        *("webui.settings", "webui.registry", "webui.logs", "webui.preferences"),
    ],
    "webui.logs": [],
    "webui.marks": [],
    "webui.crashes": ["webui.marks"],
    "webui.descriptors": [],
    "webui.job_stream": BASE,
    "webui.catalog": [*BASE, "webui.diffusion"],
    "webui.engine.samplers": BASE,
    "webui.engine.schedules": [*BASE, "webui.diffusion"],
    "webui.engine": [*BASE, "webui.catalog", "webui.diffusion"],
    "webui.store": [*BASE, "webui.metadata", "webui.opening", "webui.texts"],
    "webui.training": [*BASE, "webui.catalog", "webui.diffusion", "webui.engine"],
    "webui.ui": FACES,
    "webui.http": FACES,
    "webui.cli": ["webui"],
    "webui.builtin": ["webui"],
    "webui.testing": ["webui"],
    "webui.scaffold": ["webui.errors", "webui.settings"],
    "webui.listing": BASE,
    "webui.app": ["webui"],
    "extensions": ["webui.api"],
}
# what we build on: where each may be imported
NETWORKS = ["webui.engine", "webui.training", "webui.testing", "extensions"]
THEIRS = {
    "gradio": ["webui.ui"],
    "pluggy": ["webui.hookspecs", "webui.plugins"],
    "torch": NETWORKS,
    "diffusers": NETWORKS,
    "transformers": NETWORKS,
}
# what the page is built from: these reach torch inside functions only
BEFORE_TORCH = [
    "webui.engine.samplers",
    "webui.engine.schedules",
    "webui.engine.engine",
    "webui.engine.calls",
    "webui.engine.job",
    "webui.engine.scheduler",
    "webui.catalog.checkpoints",
    "webui.catalog.formats",
    "webui.engine.tasks",
    "extensions",
]
HEAVY = ("torch", "diffusers", "transformers")


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def for_annotations(node: ast.AST) -> bool:
    """Whether this is an `if TYPE_CHECKING:` block, which nothing runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(tree: ast.AST, module: str, package: bool, top_only: bool = False) -> Iterator[str]:
    """Every name that `module` imports when it runs; with `top_only` when it is imported."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    for node in ast.iter_child_nodes(tree):
        if for_annotations(node) or (top_only and isinstance(node, functions)):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".") if package else module.split(".")[:-1]
            base = parts[: len(parts) + 1 - node.level] if node.level else []
            for alias in node.names:
                yield ".".join([*base, *filter(None, [node.module]), alias.name])
        else:
            yield from imports(node, module, package, top_only)


def allowed(module: str, name: str) -> bool:
    for package, where in THEIRS.items():
        if inside(name, package):
            return any(inside(module, place) for place in where)
    if not inside(name, "webui") or name == "webui.__version__":
        return True
    home = max((key for key in OURS if inside(module, key)), key=len, default=None)
    if home is None:
        return False
    return any(inside(name, key) for key in [home, *OURS[home]])


def imported_by(path: Path, top_only: bool = False) -> tuple[str, list[str]]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return module, sorted(imports(tree, module, path.name == "__init__.py", top_only))


FILES = sorted(p for top in ("webui", "extensions") for p in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_import_direction(path):
    module, names = imported_by(path)
    wrong = [name for name in names if not allowed(module, name)]
    assert not wrong, f"{module} imports {wrong}; see docs/architecture.md"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_page_needs_no_torch(path):
    module, names = imported_by(path, top_only=True)
    if any(inside(module, place) for place in BEFORE_TORCH) or not inside(module, "webui.engine"):
        heavy = [name for name in names if name.split(".")[0] in HEAVY]
        assert inside(module, "webui.training") or not heavy, f"{module} imports {heavy} at its top"


def test_what_the_page_is_made_of_loads_neither_torch_nor_its_friends():
    """By the interpreter itself: static reading misses what comes through others."""
    code = (
        "import sys, webui.app, webui.ui;"
        f"print([m for m in {HEAVY} if m in sys.modules]);"
        "assert 'gradio' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_command_line_loads_no_gradio():
    code = "import sys, webui.app; print([m for m in ('gradio', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("webui.ui.page", "import torch"),
        ("webui.ui.page", "def f():\n    from webui.engine import engine"),
        ("webui.engine.samplers.euler", "from webui.engine import noise"),
        ("webui.engine.samplers.euler", "from ..noise import draw"),
        ("webui.engine.engine", "import gradio as gr"),
        ("webui.catalog.checkpoints", "from webui.engine import loading"),
        ("webui.catalog.formats.header", "def f():\n    import torch"),
        ("webui.types", "from webui.registry import Registry"),
        ("webui.newcomer", "from webui.types import Control"),
        ("webui.cli", "try:\n    import torch\nexcept ImportError:\n    torch = None"),
    ],
)
def test_the_check_finds_what_is_not_allowed(module, source):
    names = list(imports(ast.parse(source), module, package=False))
    assert names and not all(allowed(module, name) for name in names)


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "shared"}
    assert not [path for path in FILES if path.stem in drawers]
