"""Which version of its files a model was read from, told from sizes, times and inodes. Opens no file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from webui.catalog.formats.folders import TOKENIZERS, WEIGHTS
from webui.catalog.formats.hashing import stamp_of
from webui.types import ModelCard

__all__ = ["Version", "is_as_listed"]

DECIDING = (".json", ".safetensors", ".txt")  # endings of a folder's files that make its networks


@dataclass(frozen=True, slots=True)
class Version:
    """The files of a model as they were at one moment. `holds` costs one question to the disk for a single file, some
    for a folder."""

    path: Path
    folder: bool
    stamp: str

    @property
    def parts(self) -> str:
        """16 hex digits for the files of a folder, whose hash is of its U-Net alone; "" for a single file."""
        return hashlib.sha256(os.fsencode(self.stamp)).hexdigest()[:16] if self.folder else ""

    @classmethod
    def of(cls, card: ModelCard) -> Version:
        folder = card.layout == "folder"
        return cls(card.path, folder, _stamp(card.path, folder))

    @classmethod
    def of_file(cls, path: Path) -> Version:
        """That of a file that is no model by itself."""
        return cls(path, False, _stamp(path, False))

    def holds(self) -> bool:
        """Whether the files are still the same. Those that are gone are no reason to let go of what is in memory."""
        return _stamp(self.path, self.folder) in ("", self.stamp)


def is_as_listed(card: ModelCard) -> bool:
    """Whether a card is about the file that is there now: the list may be some seconds old."""
    if card.weights is None:
        return True
    try:
        about = card.weights.stat()
    except OSError:
        return True  # reading it says what is wrong
    sizes = (
        card.layout == "folder" or about.st_size == card.size
    )  # a folder's is that of all its files
    return sizes and about.st_mtime == card.modified


def _stamp(path: Path, folder: bool) -> str:
    try:
        if not folder:
            return stamp_of(path)
        marks = []
        for part in ("scheduler", *WEIGHTS, *TOKENIZERS.values()):
            place = path / part
            if place.is_dir():
                with os.scandir(place) as entries:
                    marks += [
                        f"{part}/{entry.name}-{stamp_of(Path(entry.path))}"
                        for entry in entries
                        if entry.name.endswith(DECIDING)
                    ]
        return "/".join(sorted(marks))
    except OSError:
        return ""
