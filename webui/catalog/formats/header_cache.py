"""What is known of single files without reading them again: their headers' facts by path and stamp."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from webui.catalog.formats.header import read_header
from webui.catalog.formats.layout import Layouts
from webui.catalog.formats.recognition import Recognised, recognise
from webui.errors import ModelFileError
from webui.types import ModelMemory

__all__ = ["Facts", "FactsCache"]

FORM = 4  # of the JSON below and of what `recognise` finds: a higher one has every file read anew


@dataclass(frozen=True, slots=True)
class Facts:
    """What a header says: `recognised`, or the `problem` that it has."""

    recognised: Recognised | None = None
    fingerprint: str = ""
    problem: str | None = None


class FactsCache:
    """Facts by path, in memory and in `memory` if there is one. Any thread may ask."""

    def __init__(self, memory: ModelMemory | None) -> None:
        self._memory = memory
        self._kept = (
            dict(memory.headers()) if memory else {}
        )  # of earlier starts, not yet asked for
        self._known: dict[str, tuple[str, Facts]] = {}
        self._new: dict[str, tuple[str, str]] = {}
        self._layouts = Layouts()
        self._lock = Lock()

    def get(self, path: str, stamp: str) -> Facts | None:
        found = self._known.get(path)
        if found is None and (kept := self._kept.pop(path, None)) is not None:
            facts = _from_json(kept[1])
            if facts is not None:
                found = self._known[path] = (kept[0], facts)
        return found[1] if found and found[0] == stamp else None

    def read(self, path: str, stamp: str) -> Facts:
        """What the file says now. What the system refused is asked again the next time."""
        try:
            header = read_header(Path(path), self._layouts)
            facts = Facts(recognise(header, without_vae=True), header.fingerprint)
        except ModelFileError as fault:
            facts = Facts(problem=str(fault))
            if isinstance(fault.__cause__, OSError):
                return facts
        with self._lock:
            self._known[path] = (stamp, facts)
            self._new[path] = (stamp, _as_json(facts))
        return facts

    def keep(self) -> None:
        """Hands what is new to the memory, in one go."""
        with self._lock:
            new, self._new = self._new, {}
        if new and self._memory is not None:
            self._memory.keep_headers(new)
        self._layouts = Layouts()  # they are large, and of use in one go of reading only


def _as_json(facts: Facts) -> str:
    told = facts.recognised.as_json() if facts.recognised else None
    return json.dumps([FORM, told, facts.fingerprint, facts.problem])


def _from_json(text: str) -> Facts | None:
    """The facts in `text`, None where another version wrote it."""
    try:
        form, told, fingerprint, problem = json.loads(text)
        if form != FORM:
            return None
        return Facts(told and Recognised.from_json(told), fingerprint, problem)
    except (ValueError, TypeError, KeyError):
        return None
