"""Lists of options: text files in the folders for wildcards. Knows nothing of templates.

A list's name is its file's path below the folder, without `.txt`, in any case: `animals/dog`. A line is an
option; empty lines and those that begin with `#` are none.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from webui.api import Sentence

from .template import TemplateError, Unknown

__all__ = ["Lists"]

BYTES_MAX = 16 << 20  # of one list
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists in `folders`; of two with one name the first. Each file is looked for and read once: make one for
    each request.

    Names are looked up among the files that were found, never made into paths, so none leads elsewhere.
    """

    folders: tuple[Path, ...]
    _found: dict[str, Path] = field(default_factory=dict)
    _read: dict[Path, list[str]] = field(default_factory=dict)

    def files(self) -> Mapping[str, Path]:
        """Every list's file by its name in lower case. What cannot be looked into has none."""
        if not self._found:
            for folder in self.folders:
                for top, below, names in os.walk(folder):
                    below.sort()
                    for name in sorted(names):
                        path = Path(top, name)
                        if path.suffix.lower() == ".txt" and path.is_file():
                            own = path.relative_to(folder).with_suffix("").as_posix()
                            self._found.setdefault(own.lower(), path)
        return self._found

    def options(self, name: str) -> list[str]:
        """The options of a list; `*` in the name stands for anything, and takes those of all that it means.

        `Unknown` where there is none of that name, `TemplateError` where it cannot be used; of several lists the
        others are, and the log tells.
        """
        files, wanted = self.files(), name.strip().replace("\\", "/").lower()
        meant = [known for known in sorted(files) if fnmatchcase(known, wanted.replace("[", "[[]"))]
        if not meant:
            raise Unknown(
                Sentence(
                    "wildcard {name} is not known{instead}",
                    name=repr(name),
                    instead=self._instead(wanted),
                )
            )
        options: list[str] = []
        faults: list[TemplateError] = []
        for known in meant:
            try:
                options += self._lines(files[known])
            except TemplateError as fault:
                faults.append(fault)
        if faults and not options:
            raise faults[0]
        for fault in faults:
            log.warning("wildcard %r: %s; the other lists are used", name, fault)
        if not options:
            raise TemplateError(
                Sentence(
                    "wildcard {name}: {files} has no line to draw",
                    name=repr(name),
                    files=files[meant[0]],
                )
            )
        return options

    def _lines(self, path: Path) -> list[str]:
        if path not in self._read:
            self._read[path] = lines(path)
        return self._read[path]

    def _instead(self, wanted: str) -> str:
        files = self.files()
        if not files:
            return Sentence(
                "; put lists, one option a line, into {folders}", folders=self.folders[0]
            )
        close = difflib.get_close_matches(wanted, files, n=1, cutoff=0.4)
        if close:
            return Sentence("; did you mean {close}?", close=repr(close[0]))
        return "; there are " + ", ".join(repr(known) for known in sorted(files)[:12])


def lines(path: Path) -> list[str]:
    """A file's options. One that is no UTF-8 text, or too large, raises `TemplateError`."""
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
        if len(raw) > BYTES_MAX:
            raise TemplateError(
                Sentence(
                    "{path} cannot be read: it is larger than {bytes_max} MB",
                    path=path,
                    bytes_max=BYTES_MAX >> 20,
                )
            )
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TemplateError(
            Sentence("{path} cannot be read: save it as UTF-8", path=path)
        ) from None
    except OSError as error:
        raise TemplateError(
            Sentence("{path} cannot be read: {value}", path=path, value=error.strerror or error)
        ) from None
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]
