"""Which extensions there are: folders, single files and entry points, and what their sources say before anything
of them is run."""

from __future__ import annotations

import ast
import importlib.util
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from webui.errors import Sentence

__all__ = ["GROUP", "Found", "find", "installed"]

GROUP = "easel.extensions"  # of entry points
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """An extension that was found, nothing of it imported.

    `guide` is a page that says how it is used, if there is one. `file` is what is imported (a package's
    `__init__.py`), None where an entry point says. `problem` is the sentence why it cannot be imported, "" while there
    is none known.
    """

    name: str
    source: str
    bundled: bool = False
    file: Path | None = None
    entry: EntryPoint | None = None
    version: str = ""
    about: str = ""
    title: str = ""
    guide: Path | None = None
    problem: str = ""


def find(
    folders: Sequence[Path],
    entries: Iterable[EntryPoint],
    *,
    bundled: Collection[str],
    api_version: str,
) -> tuple[list[Found], list[tuple[str, str]]]:
    """Every extension once, in a stable order: the folders' in the given order, each by name, then the entry
    points by name. Of the first folder those in `bundled` are our own.

    The second list tells the losers: (name, source) of each that came later with a name that was taken.
    """
    found: dict[str, Found] = {}
    losers: list[tuple[str, str]] = []
    everything: list[Found] = []
    for number, folder in enumerate(dict.fromkeys(folder.resolve() for folder in folders)):
        for file in in_folder(folder):
            source = file.parent if file.name == "__init__.py" else file
            ours = number == 0 and source.stem in bundled
            page = folder.parent / "docs" / "extensions" / f"{source.stem}.md"
            page = page if ours else source / "README.md"
            guide = page if page.is_file() else None
            one = Found(source.stem, str(source), bundled=ours, file=file, guide=guide)
            everything.append(read_source(one, file, api_version))
    everything += sorted((from_entry(e, api_version) for e in entries), key=lambda one: one.name)
    for one in everything:
        if one.name in found:
            losers.append((one.name, one.source))
        found.setdefault(one.name, one)
    return list(found.values()), losers


def installed() -> Iterable[EntryPoint]:
    """The entry points of installed distributions."""
    return entry_points(group=GROUP)


def in_folder(folder: Path) -> list[Path]:
    """The files to import of a folder's extensions, by name; a package before a file of its name.

    Names with a dot in them or with "_" in front are none ("film_grain.off" is a way to put one away). A folder
    that holds Python but no `__init__.py` is one that somebody meant: its file is named all the same.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: (path.stem, path.suffix))
    except FileNotFoundError:
        return []
    except OSError as error:
        log.error("no extensions from %s: %s", folder, error.strerror)
        return []
    files = []
    for path in entries:
        if path.name.startswith(("_", ".")) or "." in path.stem:
            continue
        if path.is_dir() and not path.suffix and next(path.glob("*.py"), None):
            files.append(path / "__init__.py")
        elif path.suffix == ".py" and path.is_file():
            files.append(path)
    return files


def from_entry(entry: EntryPoint, api_version: str) -> Found:
    """What an installed distribution offers, told by its metadata and its source."""
    one = Found(entry.name, f"entry point {entry.value}", entry=entry)
    if entry.dist is not None:
        summary = entry.dist.metadata["Summary"] if "Summary" in entry.dist.metadata else ""
        source = f"distribution {entry.dist.name}"
        one = replace(one, source=source, version=entry.dist.version, about=summary)
    file = source_of(entry.value.partition(":")[0].strip())
    if file is None:
        return one
    read = read_source(one, file, api_version)
    return replace(read, version=one.version or read.version, about=one.about or read.about)


def source_of(module: str) -> Path | None:
    """The source of a module, found without importing it or the packages that it is in."""
    first, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    tops = [Path(place) for place in places] or [Path(spec.origin or "")]
    for top in tops:
        path = top.joinpath(*rest)
        for file in (path, path / "__init__.py", path.with_name(path.name + ".py")):
            if file.suffix == ".py" and file.is_file():
                return file
    return None


# --- What a source says ---------------------------------------------------------------------------


def read_source(one: Found, file: Path, api_version: str) -> Found:
    """`one` with its version and title, its docstring's first line without backticks, and why it cannot be imported,
    if that is so."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except FileNotFoundError:
        return replace(one, problem=Sentence("there is no __init__.py in the folder"))
    except OSError as error:
        return replace(
            one,
            problem=Sentence("{file} cannot be read: {why}", file=file.name, why=error.strerror),
        )
    except (SyntaxError, ValueError) as error:  # ValueError: a zero byte
        line = getattr(error, "lineno", None)
        place = f"{file.name}, line {line}" if line else file.name
        return replace(one, problem=f"{place}: {getattr(error, 'msg', None) or error}")
    about = (ast.get_docstring(tree) or "").partition("\n")[0].strip().replace("`", "")
    needs = constant(tree, "NEEDS_API")
    return replace(
        one,
        version=constant(tree, "__version__"),
        about=about,
        title=constant(tree, "TITLE"),
        problem=unfit(needs, api_version) if needs else "",
    )


def constant(tree: ast.Module, name: str) -> str:
    """The text that a module gives to a name at its top, "" where it gives none or computes it."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=str(text))):
                if target == name:
                    return text
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.Constant(value=str(text))):
                if target == name:
                    return text
    return ""


def unfit(needs: str, version: str) -> str:
    """Why an extension that needs `needs` cannot be used with `version` of the API, "" where it can."""
    try:
        fits = SpecifierSet(needs).contains(version)
    except InvalidSpecifier:
        return Sentence(
            'NEEDS_API = {needs} is no version specifier; write it like ">=1.0,<2"',
            needs=repr(needs),
        )
    if fits:
        return ""
    return Sentence(
        "it needs version {needs} of Easel's API; this is {version}", needs=needs, version=version
    )
