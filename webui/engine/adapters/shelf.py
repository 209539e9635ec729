"""The adapter files in the models folders, by the names that prompts use. Knows folders; opens no file.

`models/Lora` (and `LyCORIS`) hold adapters, `models/hypernetworks` hypernetworks, `models/embeddings` textual
inversions, `models/VAE` VAEs. A folder is looked at again when somebody asks and a second has passed, so new files need
no restart.
"""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from threading import Lock

from webui.errors import RequestError

__all__ = ["Shelf"]

LORAS = ("Lora", "LyCORIS")
EMBEDDINGS = ("embeddings", "../embeddings")  # A1111 has them beside its models folder
HYPERNETWORKS = ("hypernetworks",)
VAES = ("VAE",)
SAFE, PICKLED = ".safetensors", (".pt", ".bin")
FRESH_S = 1.0
DEEPEST = 8


class Shelf:
    """What lies in the models folders `dirs`, the first of two equal names. Any thread may ask."""

    def __init__(self, dirs: Sequence[Path]) -> None:
        self._dirs = tuple(dirs)
        self._lock = Lock()
        self._seen: dict[tuple[str, ...], tuple[float, dict[str, Path]]] = {}

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
        """The adapter that `<lora:name>` means: by its whole name, else by the file's name alone, in any case.
        `RequestError` names those that are close."""
        return _meant(name, self.loras(), "lora", LORAS[0])

    def hypernetwork(self, name: str) -> Path:
        """The one that `<hypernet:name>` means, as `lora`."""
        return _meant(name, self.hypernetworks(), "hypernet", HYPERNETWORKS[0])

    def tagged(self, kind: str, name: str) -> Path:
        """The file that a tag in a prompt means; `kind` as of `tags.Tag`."""
        return self.hypernetwork(name) if kind == "hypernet" else self.lora(name)

    def _listed(self, folders: Sequence[str], suffixes: Sequence[str]) -> dict[str, Path]:
        key = tuple(folders)
        with self._lock:
            at, found = self._seen.get(key, (0.0, {}))
            if time.monotonic() - at > FRESH_S or key not in self._seen:
                found = {}
                for models_dir in self._dirs:
                    for folder in folders:
                        top = models_dir / folder
                        for path in _files(top, suffixes, 0, set()):
                            found.setdefault(path.relative_to(top).with_suffix("").as_posix(), path)
                self._seen[key] = time.monotonic(), found
        return found


def _meant(name: str, known: Mapping[str, Path], kind: str, folder: str) -> Path:
    if name in known:
        return known[name]
    wanted = _alike(name).removesuffix(SAFE)
    for full, path in known.items():
        if wanted in (_alike(full), _alike(full).rpartition("/")[2]):
            return path
    near = get_close_matches(wanted, [_alike(full) for full in known], 1, 0.5)
    own = next((full for full in known if near and _alike(full) == near[0]), None)
    hint = f"; did you mean {own!r}?" if own else ""
    raise RequestError(f"<{kind}:{name}>: there is no such file in models/{folder}{hint}", "prompt")


def _alike(name: str) -> str:
    """A name as it is compared: in any case, and with accents that are letters of their own (as on a Mac) or not."""
    return unicodedata.normalize("NFC", name).casefold()


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
