"""Lists of options: text files in the folders for wildcards. Knows nothing of templates.

A list's name is its file's path below the folder, without `.txt`, in any case: `animals/dog`. A line is an
option; empty lines and those that begin with `#` are none.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .template import TemplateError

__all__ = ["Lists"]


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists in `folders`; of two with one name the first. Files are looked for anew each time.

    Names are looked up among the files that were found, never made into paths, so none leads elsewhere.
    """

    folders: tuple[Path, ...]

    def files(self) -> dict[str, Path]:
        """Every list's file by its name in lower case."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in sorted(folder.rglob("*.txt")):
                name = path.relative_to(folder).with_suffix("").as_posix()
                found.setdefault(name.lower(), path)
        return found

    def options(self, name: str) -> list[str]:
        """The options of a list; `*` in the name stands for anything, and takes those of all that it means."""
        files, wanted = self.files(), name.strip().lower()
        meant = [known for known in sorted(files) if fnmatchcase(known, wanted.replace("[", "[[]"))]
        if not meant:
            raise TemplateError(f"wildcard {name!r} is not known{self._instead(wanted, files)}")
        options = [line for known in meant for line in lines(files[known])]
        if not options:
            raise TemplateError(f"wildcard {name!r}: {files[meant[0]]} has no line to draw")
        return options

    def _instead(self, wanted: str, files: dict[str, Path]) -> str:
        if not files:
            return f"; put lists, one option a line, into {self.folders[0]}"
        close = difflib.get_close_matches(wanted, files, n=1, cutoff=0.4)
        if close:
            return f"; did you mean {close[0]!r}?"
        return "; there are " + ", ".join(repr(known) for known in sorted(files)[:12])


def lines(path: Path) -> list[str]:
    """A file's options. One that is no UTF-8 text raises `TemplateError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} cannot be read: {error}") from None
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
