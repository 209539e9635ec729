"""docs/hooks.md against the hooks themselves: headings, signatures, examples, users, and a test of each."""

from __future__ import annotations

import inspect
import re

import pytest

from tests.test_hookspecs import example, hooks
from webui.settings import BUNDLED, ROOT
from webui.testing import load_extension

PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
LABELS = ["Arguments", "Returns", "Runs", "An error", "Used by"]


def sections() -> dict[str, str]:
    """The page's sections by their headings."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    """For each hook the bundled extensions that implement it, by what was loaded of them."""
    found: dict[str, list[str]] = {name: [] for name in hooks()}
    for name in sorted(BUNDLED):
        path = ROOT / "extensions" / name
        path = path if path.is_dir() else path.with_suffix(".py")
        for hook in load_extension(path, tmp_path_factory.mktemp(name)).status.hooks:
            found[hook].append(name)
    return found


def test_every_hook_has_its_section_in_the_order_of_the_file():
    named = [heading for heading in sections() if heading in hooks()]
    assert named == list(hooks())
    assert len(named) == 12  # so that the walk over the hooks has found them


@pytest.mark.parametrize("name", hooks())
def test_the_signature_is_the_hooks(name):
    arguments = ", ".join(inspect.signature(hooks()[name]).parameters)
    assert f"\n\n`{name}({arguments})`\n\n" in sections()[name]


@pytest.mark.parametrize("name", hooks())
def test_the_example_is_the_docstrings(name):
    assert re.findall(r"```python\n(.*?)```", sections()[name], re.DOTALL) == [example(name)]


@pytest.mark.parametrize("name", hooks())
def test_everything_is_said_of_it(name):
    labels = re.findall(r"^- \*\*(.+?):\*\* \S", sections()[name], re.MULTILINE)
    assert labels == LABELS


@pytest.mark.parametrize("name", hooks())
def test_every_argument_is_named(name):
    said = re.search(r"\*\*Arguments:\*\*(.*?)\n- \*\*", sections()[name], re.DOTALL)
    assert said is not None
    for argument in inspect.signature(hooks()[name]).parameters:
        assert f"`{argument}`" in said[1]


@pytest.mark.parametrize("name", hooks())
def test_who_uses_it_is_true(name, users):
    (line,) = re.findall(r"^- \*\*Used by:\*\* (.*)$", sections()[name], re.MULTILINE)
    assert re.findall(r"\[(\w+)\]\(extensions/\1\.md\)", line) == users[name]


@pytest.mark.parametrize("name", hooks())
def test_every_hook_has_a_test(name):
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    assert any(re.search(rf"^def test_\w*{name}", text, re.MULTILINE) for text in tests)
