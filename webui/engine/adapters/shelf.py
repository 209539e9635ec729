"""The adapter files in the models folders, by the names that prompts use. Knows folders; opens no file.

`models/Lora` (and `LyCORIS`) hold adapters, `models/embeddings` textual inversions, `models/VAE` VAEs. A folder is
looked at again when somebody asks and a second has passed, so new files need no restart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from threading import Lock

from webui.errors import RequestError

__all__ = ["Shelf"]

LORAS = ("Lora", "LyCORIS")
EMBEDDINGS = ("embeddings",)
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

    def lora(self, name: str) -> Path:
        """The adapter that `<lora:name>` means: by its whole name, else by the file's name alone, in any case.
        `RequestError` names those that are close."""
        known = self.loras()
        if name in known:
            return known[name]
        wanted = name.lower().removesuffix(SAFE)
        for full, path in known.items():
            if wanted in (full.lower(), full.lower().rpartition("/")[2]):
                return path
        near = get_close_matches(wanted, [full.lower() for full in known], 1, 0.5)
        own = next((full for full in known if near and full.lower() == near[0]), None)
        hint = f"; did you mean {own!r}?" if own else ""
        raise RequestError(f"<lora:{name}>: there is no such file in models/Lora{hint}", "prompt")

    def _listed(self, folders: Sequence[str], suffixes: Sequence[str]) -> dict[str, Path]:
        key = tuple(folders)
        with self._lock:
            at, found = self._seen.get(key, (0.0, {}))
            if time.monotonic() - at > FRESH_S or key not in self._seen:
                found = {}
                for models_dir in self._dirs:
                    for folder in folders:
                        top = models_dir / folder
                        for path in _files(top, suffixes, 0):
                            found.setdefault(path.relative_to(top).with_suffix("").as_posix(), path)
                self._seen[key] = time.monotonic(), found
        return found


def _files(folder: Path, suffixes: Sequence[str], depth: int) -> Iterator[Path]:
    """Regular files below a folder, in order of their names; what cannot be read is passed over."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name.lower())
    except OSError:
        return
    for entry in ordered:
        try:
            if entry.name.startswith("."):
                continue
            if entry.is_dir() and depth < DEEPEST:
                yield from _files(Path(entry.path), suffixes, depth + 1)
            elif entry.is_file() and Path(entry.name).suffix.lower() in suffixes:
                yield Path(entry.path)
        except OSError:
            continue
