"""One extension, loaded as Easel loads it: found, imported, its hooks checked, its parts guarded. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from webui import api, builtin, plugins
from webui.catalog.library.family_detection import wrong_file
from webui.engine.calls import is_call
from webui.plugins import Extensions, Limits
from webui.plugins.finding import find
from webui.testing.examples import PARTS
from webui.types import PLACED, Control, ExtensionStatus, Parts, Places

__all__ = ["Loaded", "load_extension", "load_extensions"]

OFTEN = 1_000_000  # so many failures set an extension aside: a test wants to see each of them


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """An extension and nothing else beside what is built in. `extensions` is what the app has: `change`, `saved`,
    `start`, `stop`, `parts`."""

    name: str
    extensions: Extensions

    @property
    def status(self) -> ExtensionStatus:
        """As the Extensions tab and `ext list` show it."""
        return next(one for one in self.extensions.statuses() if one.name == self.name)

    @property
    def parts(self) -> Parts:
        """What the engine gets: the extension's parts among the built-in ones."""
        return self.extensions.parts

    def own(self, kind: str) -> list[Any]:
        """The extension's own of "tasks", "samplers", "schedules", "upscalers", "conditioners", "postprocessors"
        or "wrappers"."""
        values, known = getattr(self.parts, kind), getattr(PARTS, kind)
        if isinstance(values, Mapping):
            return [value for name, value in values.items() if name not in known]
        return list(values)

    def controls(self) -> list[Control]:
        """Every control that the extension adds, once."""
        found: dict[str, Control] = {}
        for task in self.parts.tasks.values():
            for control in task.flat_controls():
                if control.name not in PLACED:
                    found.setdefault(control.name, control)
        return list(found.values())

    def base(self) -> Parts:
        """The parts without what runs at every picture: conditioners, wrappers, post-processors."""
        return replace(self.parts, conditioners=(), wrappers=(), postprocessors=())

    def expect_no_problems(self) -> None:
        """Raises `AssertionError` with what is told of the extension."""
        status = self.status
        if status.state != "on" or status.problems:
            told = "; ".join(status.problems) or f"its state is {status.state!r}"
            raise AssertionError(f"extension {self.name!r}: {told}")


def load_extension(
    source: Path | str | ModuleType,
    data_dir: Path,
    models_dirs: Sequence[Path] = (),
    *,
    strict: bool = True,
) -> Loaded:
    """The extension at `source`: its folder, its file, or its module. Others beside it are left alone.

    `data_dir` is where it may write; `models_dirs` are searched for files. Raises `AssertionError` where anything
    is wrong with it, unless it is not to be `strict`.
    """
    path = Path(source.__file__ or "") if isinstance(source, ModuleType) else Path(source)
    path = path.parent if path.name == "__init__.py" else path
    loaded = Loaded(path.stem, load_extensions([path], data_dir, models_dirs))
    if strict:
        loaded.expect_no_problems()
    return loaded


def load_extensions(
    sources: Sequence[Path], data_dir: Path, models_dirs: Sequence[Path] = ()
) -> Extensions:
    """The extensions at `sources`, each a folder or file, and no others."""
    from webui.app import RESERVED

    folders = list(dict.fromkeys(path.resolve().parent for path in sources))
    wanted = [path.resolve() for path in sources]
    found, losers = find(folders, (), bundled=(), api_version=api.VERSION)
    there = [Path(one.source) for one in found]
    for path in wanted:
        if path not in there:
            known = path in [Path(source) for _, source in losers]
            what = (
                "another one has its name"
                if known
                else "name a .py file, or a folder with __init__.py in it"
            )
            raise AssertionError(f"{path} is no extension: {what}")
    return plugins.load(
        builtin,
        folders,
        Places(data_dir, tuple(models_dirs), data_dir / "outputs", wrong_file),
        api_version=api.VERSION,
        entries=(),
        without=[one.name for one in found if Path(one.source) not in wanted],
        reserved=RESERVED,
        limits=Limits(failures=OFTEN),
        is_call=is_call,
    )
