"""The page's languages: files `NAME.json` of translated words, ours and others'.

A file is {"name": "Deutsch", "words": {"English": "translated"}}; its name is the language's (BCP 47). English is
the key, so it needs no file. Knows files; what the words are for is the page's to know (assets/i18n.js).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OWN", "Language", "Languages"]

OWN = Path(__file__).parent
CODE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
SIZE_MAX = 5_000_000  # bytes of a file
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Language:
    """`code` as in `<html lang>`, `name` as its speakers call it; `content` is what the page fetches, JSON, and `stamp`
    changes with it."""

    code: str
    name: str
    content: bytes
    stamp: str


class Languages:
    """The languages of our own folder and of `folders()`. A later folder's words go over an earlier one's; a language
    may begin anywhere. Files are read again when they have changed. Any thread may ask."""

    def __init__(self, folders: Callable[[], Sequence[Path]] = tuple) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._found: dict[str, Language] = {}

    def all(self) -> list[Language]:
        """Every language but English, by its name."""
        with self._lock:
            files = self._files()
            seen = tuple((str(path), *_state(path)) for path in files)
            if seen != self._seen:
                self._found, self._seen = _read(files), seen
            return sorted(self._found.values(), key=lambda language: language.name.casefold())

    def get(self, code: str) -> Language | None:
        return next((found for found in self.all() if found.code == code), None)

    def _files(self) -> list[Path]:
        folders = [OWN, *self._folders()]
        found = [
            path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.json"))
        ]
        return [path for path in found if CODE.fullmatch(path.stem)]


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _read(files: Sequence[Path]) -> dict[str, Language]:
    names: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    for path in files:
        told = _told(path)
        if told is not None:
            name, more = told
            names[path.stem] = name or names.get(path.stem, path.stem)
            words.setdefault(path.stem, {}).update(more)
    found = {}
    for code, all_words in words.items():
        told_to_page = {"code": code, "name": names[code], "words": all_words}
        content = json.dumps(told_to_page, ensure_ascii=False, separators=(",", ":")).encode()
        found[code] = Language(code, names[code], content, hashlib.sha256(content).hexdigest()[:16])
    return found


def _told(path: Path) -> tuple[str, dict[str, str]] | None:
    """A file's name for its language and its words; None, and a message in the log, where it cannot be read."""
    try:
        if path.stat().st_size > SIZE_MAX:
            raise ValueError("it is larger than 5 MB")
        told: Any = json.loads(path.read_bytes())
        name, words = told.get("name", ""), told["words"]
        if not isinstance(name, str) or not isinstance(words, dict):
            raise ValueError('"name" is text and "words" an object')
        wrong = [key for key, value in words.items() if not isinstance(value, str)]
        if wrong:
            raise ValueError(f"the translation of {wrong[0]!r} is no text")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        log.error("%s is no language file (%s); it is left out", path, error)
        return None
    return name, words
