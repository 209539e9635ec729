"""Importing an extension: from its file, under a name of its own, or by its entry point."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from webui.plugins.finding import Found

__all__ = ["PACKAGE", "forget", "import_extension"]

PACKAGE = "extensions"  # `extensions.NAME` is the module's name, wherever its file lies


def import_extension(found: Found) -> Any:
    """The module of an extension; raises whatever its code raises.

    Relative imports work in it. A module that was imported from the same file already is taken as it is.
    """
    if found.entry is not None:
        return found.entry.load()
    assert found.file is not None
    name = f"{PACKAGE}.{found.name}"
    known = sys.modules.get(name)
    if known is not None and same_file(getattr(known, "__file__", None), found.file):
        return known
    forget(found)
    is_package = found.file.name == "__init__.py"
    spec = importlib.util.spec_from_file_location(
        name,
        found.file,
        submodule_search_locations=[str(found.file.parent)] if is_package else None,
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its submodules look for it there
    try:
        spec.loader.exec_module(module)
    except BaseException:  # handed on: half a module must not be found by the next import
        forget(found)
        raise
    return module


def forget(found: Found) -> None:
    """Takes an extension's module and its submodules out of `sys.modules`."""
    name = f"{PACKAGE}.{found.name}"
    for known in [key for key in sys.modules if key == name or key.startswith(name + ".")]:
        sys.modules.pop(known, None)


def same_file(one: str | None, other: Path) -> bool:
    return one is not None and Path(one).resolve() == other.resolve()
