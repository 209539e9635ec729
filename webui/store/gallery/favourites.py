"""Favourites beside the index, so that one that is lost or damaged can be made again from the files alone.

`favourites.txt` has a line for each: the content's mark, a space, the path below the outputs folder.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

__all__ = ["Favourites"]

log = logging.getLogger(__name__)
FILE = "favourites.txt"


class Favourites:
    """The favourites in `folder` as they were written down last. `is_known` says whether the index has a picture with a
    mark: of such a picture the index says whether it is one."""

    def __init__(self, folder: Path, is_known: Callable[[str], bool]) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._waiting: dict[
            str, list[str]
        ] = {}  # by marks: names of favourites that no file was found for yet
        for mark, name in _read(self._path):
            if not is_known(mark):
                self._waiting.setdefault(mark, []).append(name)

    @property
    def is_kept(self) -> bool:
        """Whether they were ever written down."""
        return self._path.exists()

    def claim(self, mark: str, name: str, there: Callable[[str], bool]) -> bool:
        """Whether a file that is new to the index was a favourite. Of several with the same content it is the one of
        that name, or any where that name is no more."""
        with self._lock:
            names = self._waiting.get(mark, [])
            was = name if name in names else next((one for one in names if not there(one)), None)
            if was is None:
                return False
            names.remove(was)
            if not names:
                del self._waiting[mark]
            return True

    def keep(self, favourites: Iterable[tuple[str, str]]) -> None:
        """Writes down those of the index (marks and names), and those that wait for their files. What goes wrong is
        logged: the index knows them."""
        with self._lock:
            lines = {f"{mark} {name}" for mark, name in favourites if "\n" not in name}
            lines |= {f"{mark} {name}" for mark, names in self._waiting.items() for name in names}
            part = self._path.with_name(FILE + ".part")
            try:
                part.write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")
                os.replace(part, self._path)
            except OSError as fault:
                log.warning("%s cannot be written: %s", self._path, fault.strerror)


def _read(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as fault:
        log.warning("%s cannot be read: %s", path, fault.strerror)
        return []
    return [(mark, name) for mark, _, name in (line.partition(" ") for line in lines) if name]
