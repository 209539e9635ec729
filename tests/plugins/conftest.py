"""Folders of extensions on disk, and what loads them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from webui import api, builtin, plugins
from webui.plugins import Extensions, Limits
from webui.types import ExtensionStatus, Places

QUICK = Limits(
    import_s=0.5, hook_s=0.5, change_s=0.5, saved_s=0.5, drain_s=5, hanging_s=0.2, look_s=0.05
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "extensions"
    path.mkdir()
    return path


@pytest.fixture
def write(folder: Path) -> Callable[..., Path]:
    """Writes an extension's source: `write("name", source)` a file, `write("name/__init__", source)` a package."""

    def make(name: str, source: str, into: Path = folder) -> Path:
        file = into / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source), encoding="utf-8")
        return file

    return make


@pytest.fixture
def load(folder: Path, tmp_path: Path) -> Callable[..., Extensions]:
    """Loads what lies in `folder` with our own parts."""
    places = Places(tmp_path, (tmp_path / "models",), tmp_path / "outputs")

    def make(*folders: Path, builtin: ModuleType = builtin, **options: object) -> Extensions:
        given = {"api_version": api.VERSION, "entries": (), "limits": QUICK, **options}
        return plugins.load(builtin, folders or (folder,), places, **given)

    return make


def status(extensions: Extensions, name: str) -> ExtensionStatus:
    (found,) = [one for one in extensions.statuses() if one.name == name]
    return found
