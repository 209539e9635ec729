"""What lies in the models folders: candidates with their stamps, found by one walk that opens no file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from webui.catalog.formats.file_signatures import pickled
from webui.catalog.formats.folders import TOKENIZERS, WEIGHTS, is_model
from webui.catalog.formats.header import said
from webui.catalog.formats.sidecars import CONFIGURATION, JSON_NOTES, PREVIEWS
from webui.errors import Sentence

__all__ = ["PICKLES", "Found", "found_folder", "walk"]

CHECKPOINT = ".safetensors"
PICKLES = (".ckpt", ".pt", ".pth")
VAE, WHOLE = ".vae", (CHECKPOINT, ".ckpt")  # NAME.vae.safetensors beside NAME.safetensors
SIDECARS = {CONFIGURATION, JSON_NOTES, *PREVIEWS}
DEEPEST = 8  # folders below the top one


@dataclass(frozen=True, slots=True)
class Found:
    """A file or folder that may be a model. `stamp` changes whenever its content may have changed.

    `beside` are the sidecars that are there, by the ending after the model's name, with their stamps. `problem` says
    why it is not even looked at.
    """

    path: str
    name: str
    stamp: str = ""
    size: int = 0
    modified: float = 0.0
    beside: tuple[tuple[str, str], ...] = ()
    folder: bool = False
    problem: str | None = None


def walk(top: Path) -> Iterator[Found]:
    """Everything below `top` that is or claims to be a model, by folder and name in any case."""
    if not top.is_dir():
        return
    for found in _folder(str(top), "", 0, set()):
        try:
            found.path.encode()
            yield found
        except UnicodeEncodeError:
            shown = os.fsencode(found.name).decode("utf-8", "replace")
            problem = Sentence(
                "{shown}: the name of a file or folder is not UTF-8; rename it", shown=shown
            )
            yield Found(found.path, shown, problem=problem)


def found_folder(path: Path, name: str) -> Found:
    """The candidate for a folder that is a model: stamped by all the files that decide what it is."""
    marks = []
    for place in (path, *(path / part for part in ("scheduler", *WEIGHTS, *TOKENIZERS.values()))):
        try:
            with os.scandir(place) as entries:
                marks += [f"{e.name}-{_stamp(e.stat())}" for e in entries if e.is_file()]
        except OSError:
            continue  # a part that is missing: `read_folder` says so
    return Found(str(path), name, stamp="/".join(sorted(marks)), folder=True)


def _folder(path: str, name: str, depth: int, seen: set[str]) -> Iterator[Found]:
    try:
        real = os.path.realpath(path)
        if real in seen or depth > DEEPEST:
            return
        seen.add(real)
        with os.scandir(path) as scanned:
            entries = {e.name: e for e in scanned if not e.name.startswith(".")}
    except OSError as fault:
        yield Found(
            path,
            name,
            problem=Sentence("{path}: cannot be read ({why})", path=path, why=said(fault)),
        )
        return
    for key in sorted(entries, key=str.lower):
        entry = entries[key]
        below = f"{name}/{key}" if name else key
        try:
            if entry.is_dir():
                folder = Path(entry.path)
                if is_model(folder):
                    yield found_folder(folder, below)
                else:
                    yield from _folder(entry.path, below, depth + 1, seen)
            else:
                yield from _file(entry, below, entries)
        except OSError as fault:
            yield Found(
                entry.path,
                below,
                problem=Sentence("{path}: cannot be read ({why})", path=below, why=said(fault)),
            )


def _file(
    entry: os.DirEntry[str], name: str, entries: dict[str, os.DirEntry[str]]
) -> Iterator[Found]:
    stem, ending = os.path.splitext(entry.name)
    ending = ending.lower()
    if ending in SIDECARS:
        return
    if entry.is_symlink() and (problem := _broken(entry.path)):
        yield Found(entry.path, name, problem=Sentence("{path}: {why}", path=name, why=problem))
    elif ending in (CHECKPOINT, *PICKLES) and not stat.S_ISREG(entry.stat().st_mode):
        yield Found(
            entry.path, name, problem=Sentence("{path}: not a file (a pipe or device)", path=name)
        )
    elif ending in PICKLES:
        yield Found(
            entry.path, name, problem=Sentence("{path}: {why}", path=name, why=pickled(entry.path))
        )
    elif ending == CHECKPOINT:
        if stem.endswith(VAE) and any(stem[: -len(VAE)] + e in entries for e in WHOLE):
            return  # the VAE of the checkpoint beside it
        about = entry.stat()
        endings = (CONFIGURATION, JSON_NOTES, *PREVIEWS)
        beside = tuple((e, _mark(entries[stem + e])) for e in endings if stem + e in entries)
        yield Found(entry.path, name, _stamp(about), about.st_size, about.st_mtime, beside)


def _broken(link: str) -> str | None:
    """Why a link leads to nothing, None where it leads somewhere."""
    try:
        os.stat(link)
    except FileNotFoundError:
        return Sentence("a link that leads nowhere")
    except OSError as fault:
        return Sentence("a link that cannot be followed ({why})", why=said(fault))
    return None


def _mark(entry: os.DirEntry[str]) -> str:
    """The stamp of a sidecar, "" of one that is a link to nowhere: reading it says so."""
    try:
        return _stamp(entry.stat())
    except OSError:
        return ""


def _stamp(about: os.stat_result) -> str:
    return f"{about.st_size}-{about.st_mtime_ns}-{about.st_ino}"
