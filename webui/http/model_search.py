"""Looking for files of the models folders: by words, by kind, in an order; and a number for each state of the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from webui.types.library import FOLDERS, ModelFile

__all__ = ["Search", "Sort"]

Sort = Literal["name", "newest", "size"]
SORTS: dict[str, Callable[[ModelFile], Any]] = {
    "name": lambda one: (one.name.lower(), one.kind),
    "newest": lambda one: -one.modified,
    "size": lambda one: -one.size,
}


class Search:
    """Remembers in what words are looked for, and which state of the list was told last."""

    def __init__(self) -> None:
        self._files: Sequence[ModelFile] = ()
        self._version = 0
        self._words: dict[str, tuple[ModelFile, str]] = {}

    def version(self, files: Sequence[ModelFile]) -> int:
        """A number that grows whenever `files` are others than those before."""
        if files is not self._files and files != self._files:
            self._version += 1
        self._files = files
        return self._version

    def found(
        self, files: Sequence[ModelFile], kind: str, words: str, sort: Sort
    ) -> tuple[list[ModelFile], dict[str, int]]:
        """The files of a kind ("" for all) that have all `words`, in order, and how many of each kind have them."""
        wanted = words.lower().split()
        fit = files
        if wanted:
            fit = [one for one in files if all(word in self._text(one) for word in wanted)]
        counts = dict.fromkeys(FOLDERS, 0)
        for one in fit:
            counts[one.kind] += 1
        return sorted((one for one in fit if kind in ("", one.kind)), key=SORTS[sort]), counts

    def _text(self, file: ModelFile) -> str:
        known = self._words.get(file.id)
        if known is None or known[0] is not file:
            notes = file.notes
            said = (notes.description, notes.activation_text, notes.notes, file.family, file.sha256)
            text = "\n".join((file.name, file.path.name, *said)).lower()
            known = self._words[file.id] = (file, text)
        return known[1]
