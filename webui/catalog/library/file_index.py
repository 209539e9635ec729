"""The files of the models folders that are no checkpoints: which there are, and what their headers say."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from webui.catalog.formats.file_signatures import pickled
from webui.catalog.formats.header import open_regular, read_header
from webui.catalog.formats.walking import Found, walk
from webui.catalog.library.family_detection import family_of, wrong_pickle, wrong_place
from webui.catalog.model_folders import KIND_FOLDERS
from webui.errors import ModelFileError
from webui.sentences import Sentence, kept, with_keys

__all__ = ["FileIndex", "HeaderSummary", "found_files"]

WITH_ENDING = ("vae",)  # kinds whose names end as their files do
READ_SAFELY = {"embedding": (".pt", ".bin"), "hypernetwork": (".pt",)}  # pickles that are never run
FORM = "shelf 4"  # of the JSON below; another one has every file read anew
SAMPLES, SAMPLE = 16, 4096


class HeaderMemory(Protocol):
    """What keeps headers over starts (`webui.types.ModelMemory`)."""

    def headers(self) -> Mapping[str, tuple[str, str]]: ...

    def keep_headers(self, rows: Mapping[str, tuple[str, str]]) -> None: ...


@dataclass(frozen=True, slots=True)
class HeaderSummary:
    """What a file says of itself: its `family` and `fingerprint`, or the `problem` that it has."""

    family: str = ""
    fingerprint: str = ""
    problem: str | None = None


def found_files(dirs: Sequence[Path]) -> Iterator[tuple[str, Found]]:
    """Kind and file of everything below `dirs` but checkpoints, by the names that menus and prompts use; of two with
    one name and kind the first."""
    for kind, folders in KIND_FOLDERS.items():
        seen: set[str] = set()
        for top in dirs:
            for folder in folders:
                for found in _below(top / folder, kind):
                    if found.name not in seen:
                        seen.add(found.name)
                        yield kind, found


def _below(folder: Path, kind: str) -> Iterator[Found]:
    for found in walk(folder):
        if found.folder:
            continue
        ending = os.path.splitext(found.path)[1].lower()
        if ending in READ_SAFELY.get(kind, ()):
            found = _as_it_is(found)
        elif found.problem and ending in (".ckpt", ".pt", ".pth"):
            found = replace(
                found, problem=Sentence("{path}: {why}", path=found.name, why=pickled(found.path))
            )
        yield found if found.problem and ending != ".safetensors" else _named(found, kind)
    if kind == "embedding" and folder.is_dir():
        for path in sorted(folder.rglob("*.bin")):
            if path.is_file():
                yield _named(_as_it_is(Found(str(path), path.relative_to(folder).as_posix())), kind)


def _named(found: Found, kind: str) -> Found:
    if kind in WITH_ENDING:
        return found
    name = os.path.splitext(found.name)[0]
    return replace(found, name=name.rpartition("/")[2] if kind == "embedding" else name)


def _as_it_is(found: Found) -> Found:
    try:
        about = os.stat(found.path)
    except OSError as fault:
        return replace(
            found,
            problem=Sentence("{path}: cannot be read ({why})", path=found.name, why=fault.strerror),
        )
    stamp = f"{about.st_size}-{about.st_mtime_ns}-{about.st_ino}"
    return replace(found, stamp=stamp, size=about.st_size, modified=about.st_mtime, problem=None)


class FileIndex:
    """What files' headers say, read once for each version of a file. Not for several threads at once."""

    def __init__(self, memory: HeaderMemory | None) -> None:
        self._memory = memory
        self._known: dict[str, tuple[str, HeaderSummary]] = {}
        self._new: dict[str, tuple[str, str]] = {}
        for path, (stamp, text) in (memory.headers() if memory else {}).items():
            if (told := _from_json(text)) is not None:
                self._known[path] = (stamp, told)

    def get(self, found: Found) -> HeaderSummary | None:
        known = self._known.get(found.path)
        return known[1] if known and known[0] == found.stamp else None

    def read(self, kind: str, found: Found) -> HeaderSummary:
        """What the file says now. What the system refused is asked again the next time."""
        path = Path(found.path)
        try:
            told = _told(kind, path)
        except ModelFileError as fault:
            told = HeaderSummary(problem=str(fault))
            if isinstance(fault.__cause__, OSError):
                return told
        self._known[found.path] = (found.stamp, told)
        said = json.dumps(with_keys(told.problem)) if isinstance(told.problem, Sentence) else None
        values = [FORM, told.family, told.fingerprint, told.problem, said]
        self._new[found.path] = (found.stamp, json.dumps(values))
        return told

    def keep(self) -> None:
        """Hands what is new to the memory, in one go."""
        new, self._new = self._new, {}
        if new and self._memory is not None:
            self._memory.keep_headers(new)


def _of(path: Path, problem: str | None) -> str | None:
    return problem and Sentence("{path}: {why}", path=path.name, why=problem)


def _told(kind: str, path: Path) -> HeaderSummary:
    if path.suffix.lower() != ".safetensors":
        problem = wrong_pickle(kind, path)
        return HeaderSummary("", _fingerprint(path), _of(path, problem))
    header = read_header(path)
    problem = wrong_place(kind, header)
    told = _of(path, problem)
    return HeaderSummary(family_of(kind, header), header.fingerprint, told)


def _fingerprint(path: Path) -> str:
    """Of the size and some stretches of a file that has no header to go by: 32 hex digits."""
    descriptor, size = open_regular(path)
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with open(descriptor, "rb", buffering=0) as file:
        try:
            for part in range(SAMPLES):
                file.seek(size * part // SAMPLES)
                digest.update(file.read(SAMPLE))
        except OSError as fault:
            raise ModelFileError(
                Sentence("{file}: cannot be read ({why})", file=path.name, why=fault.strerror)
            ) from fault
    return digest.hexdigest()[:32]


def _from_json(text: str) -> HeaderSummary | None:
    """What is kept in `text`, None where somebody else wrote it."""
    try:
        form, family, fingerprint, problem, said = json.loads(text)
    except (ValueError, TypeError):
        return None
    return HeaderSummary(family, fingerprint, kept(problem, said)) if form == FORM else None
