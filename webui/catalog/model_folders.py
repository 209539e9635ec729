"""The adapter files in the models folders, by the names that prompts use. Knows folders; of a file it reads the name
that its trainer gave it, and nothing else.

`models/Lora` (and `LyCORIS`) hold adapters, `models/hypernetworks` hypernetworks, `models/embeddings` textual
inversions, `models/VAE` VAEs. A folder is looked at again when somebody asks and a second has passed, so new files need
no restart.
"""

from __future__ import annotations

import json
import os
import re
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Lock

from webui.errors import RequestError, Sentence
from webui.types.library import FOLDERS

__all__ = ["KIND_FOLDERS", "AdapterFiles", "Meant"]

ALSO = {  # folders of other programs for the same kinds of files
    "lora": ("LyCORIS",),
    "embedding": ("../embeddings",),  # A1111 has them beside its models folder
    "upscaler": ("RealESRGAN", "SwinIR", "DAT", "HAT"),
}
KIND_FOLDERS: Mapping[str, tuple[str, ...]] = {  # kind of file -> folders below a models folder
    kind: (own, *ALSO.get(kind, ())) for kind, own in FOLDERS.items() if kind != "checkpoint"
}
LORAS, EMBEDDINGS = KIND_FOLDERS["lora"], KIND_FOLDERS["embedding"]
HYPERNETWORKS, VAES = KIND_FOLDERS["hypernetwork"], KIND_FOLDERS["vae"]
SAFE, PICKLED = ".safetensors", (".pt", ".bin")
FRESH_S = 1.0
DEEPEST = 8
SHOWN = 80  # characters of a name in a sentence
OUTPUT_NAME = re.compile(rb'"ss_output_name"\s*:\s*("(?:[^"\\]|\\.)*")')  # in a header
HEADER_MAX = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Meant:
    """The file that a tag means. `left` is what of its name belongs to no file's: an option of another program."""

    path: Path
    left: str = ""


class Listed(dict[str, Path]):
    """Files by their names, and by these as people write them: in any case, without folders."""

    def __init__(self) -> None:
        super().__init__()
        self.whole: dict[str, str] = {}
        self.bare: dict[str, str] = {}
        self.called: dict[str, list[str]] | None = (
            None  # by what their trainers called them, once asked for
        )

    def put(self, name: str, path: Path) -> None:
        """Adds a file, unless there is one of the same name."""
        if name not in self:
            self[name] = path
            self.whole.setdefault(_alike(name), name)
            self.bare.setdefault(_alike(name.rpartition("/")[2]), name)

    def find(self, name: str) -> Path | None:
        """The file of that name: as it is written, else in any case, else without its folder."""
        wanted = _alike(name).removesuffix(SAFE).rstrip()
        own = name if name in self else self.whole.get(wanted) or self.bare.get(wanted)
        return None if own is None else self[own]

    def nearest(self, name: str) -> str:
        """The end of a sentence: which name is close, or closest."""
        wanted = _alike(name)[: 2 * SHOWN].removesuffix(SAFE)
        names = {**self.bare, **self.whole}
        if near := get_close_matches(wanted, names, 1, 0.5):
            return Sentence("; did you mean {name}?", name=repr(names[near[0]]))
        if near := get_close_matches(wanted, names, 1, 0.0):
            return Sentence("; the nearest is {name}", name=repr(names[near[0]]))
        return Sentence("; that folder is empty")


class AdapterFiles:
    """What lies in the models folders `dirs`, the first of two equal names. Any thread may ask."""

    def __init__(self, dirs: Sequence[Path]) -> None:
        self._dirs = tuple(dirs)
        self._lock = Lock()
        self._seen: dict[tuple[str, ...], tuple[float, Listed]] = {}
        self._called: dict[Path, tuple[tuple[int, int], str]] = {}  # by size and time of a file

    def loras(self) -> Mapping[str, Path]:
        """Adapters by their path below the folder, without the suffix and with "/" between."""
        return self._listed(LORAS, (SAFE,))

    def embeddings(self) -> Mapping[str, Path]:
        """Textual inversions by file name without the suffix: the word that stands for them in a prompt."""
        found = self._listed(EMBEDDINGS, (SAFE, *PICKLED))
        return {name.rpartition("/")[2]: path for name, path in reversed(found.items())}

    def vaes(self) -> Mapping[str, Path]:
        """VAEs by their path below the folder, with the suffix."""
        return {f"{name}{SAFE}": path for name, path in self._listed(VAES, (SAFE,)).items()}

    def hypernetworks(self) -> Mapping[str, Path]:
        """Hypernetworks, by names as those of adapters."""
        return self._listed(HYPERNETWORKS, (SAFE, ".pt"))

    def lora(self, name: str) -> Path:
        """The adapter that `<lora:name>` means: by its whole name, else by the file's name alone, in any case, else by
        the name that its trainer wrote into it. `RequestError` names the nearest, or several of that name."""
        return self.meant("lora", name).path

    def hypernetwork(self, name: str) -> Path:
        """The one that `<hypernet:name>` means, as `lora`."""
        return self.meant("hypernet", name).path

    def meant(self, kind: str, name: str, hint: bool = True) -> Meant:
        """What a tag in a prompt means, as `lora`; `kind` as a `Tag` has it. `hint`: the sentence names the nearest.

        Where no file has the whole name, what follows a colon may be no part of it.
        """
        hyper = kind == "hypernet"
        known = (
            self._listed(HYPERNETWORKS, (SAFE, ".pt")) if hyper else self._listed(LORAS, (SAFE,))
        )
        parts = name.split(":")
        shorter = range(min(len(parts) - 1, DEEPEST), 0, -1)
        for start in (name, *(":".join(parts[:count]) for count in shorter)):
            path = known.find(start) or (None if hyper else self._by_output_name(start, known))
            if path is not None:
                return Meant(path, name[len(start) :].lstrip(":"))
        folder = HYPERNETWORKS[0] if hyper else LORAS[0]
        end = known.nearest(name) if hint else ""
        says = Sentence(
            "<{kind}:{name}>: there is no such file in models/{folder}{end}",
            kind=kind,
            name=_shown(name),
            folder=folder,
            end=end,
        )
        raise RequestError(says, "prompt")

    def _by_output_name(self, name: str, known: Listed) -> Path | None:
        """The file whose trainer called it so; `RequestError` where there are several."""
        if known.called is None:
            called: dict[str, list[str]] = {}
            for own, path in known.items():
                called.setdefault(_alike(self._output_name(path)), []).append(own)
            known.called = called
        wanted = _alike(name)
        found = known.called.get(wanted, []) if wanted else []
        if len(found) > 1:
            files = ", ".join(map(repr, found[:4]))
            says = Sentence(
                "{number} files call themselves so ({files}); write the name of one",
                number=len(found),
                files=files,
            )
            raise RequestError(
                Sentence("<lora:{name}>: {says}", name=_shown(name), says=says), "prompt"
            )
        return known[found[0]] if found else None

    def _output_name(self, path: Path) -> str:
        """What kohya's trainer called a file ("ss_output_name"), "" where that is not known."""
        try:
            told = path.stat()
            stamp = told.st_size, told.st_mtime_ns
            if (kept := self._called.get(path)) is None or kept[0] != stamp:
                kept = self._called[path] = stamp, _output_name(path)
        except OSError:
            return ""
        return kept[1]

    def _listed(self, folders: Sequence[str], suffixes: Sequence[str]) -> Listed:
        key = tuple(folders)
        with self._lock:
            at, found = self._seen.get(key, (0.0, Listed()))
            if time.monotonic() - at > FRESH_S or key not in self._seen:
                found = Listed()
                for models_dir in self._dirs:
                    for folder in folders:
                        top = models_dir / folder
                        for path in _files(top, suffixes, 0, set()):
                            found.put(path.relative_to(top).with_suffix("").as_posix(), path)
                self._seen[key] = time.monotonic(), found
        return found


def _output_name(path: Path) -> str:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        found = OUTPUT_NAME.search(file.read(length)) if length <= HEADER_MAX else None
    try:
        name = json.loads(found[1]) if found else ""
    except ValueError:  # half a character, or no UTF-8
        return ""
    return str(name)


def _shown(name: str) -> str:
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}…"


def _alike(name: str) -> str:
    """A name as it is compared: in any case, with either slash, without blanks around, and with accents that are
    letters of their own (as on a Mac) or not."""
    plain = unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()
    return "/".join(part.strip() for part in plain.split("/"))


def _files(folder: Path, suffixes: Sequence[str], depth: int, seen: set[str]) -> Iterator[Path]:
    """Regular files below a folder, in order of their names; what cannot be read is passed over. Links may lead in a
    circle: what is in `seen` is not looked at again."""
    try:
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name.lower())
    except OSError:
        return
    for entry in ordered:
        try:
            if entry.name.startswith("."):
                continue
            if entry.is_dir() and depth < DEEPEST:
                yield from _files(Path(entry.path), suffixes, depth + 1, seen)
            elif entry.is_file() and Path(entry.name).suffix.lower() in suffixes:
                yield Path(entry.path)
        except OSError:
            continue
