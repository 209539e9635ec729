"""The models in the models folders, told from headers and small JSON files without loading a weight.

A bad entry becomes a card whose `problem` names the file and its fault; it never breaks the list.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from webui.catalog.formats.folders import weight_files
from webui.catalog.formats.header_cache import Facts, FactsCache
from webui.catalog.formats.sidecars import read_json
from webui.catalog.formats.walking import Found, found_folder, walk
from webui.catalog.library.model_card import (
    RememberedFacts,
    file_card,
    folder_card,
    remembered,
    remembered_facts,
)
from webui.errors import ModelFileError, Sentence, lacking
from webui.types import ModelCard, ModelMemory

__all__ = ["ModelList", "list_models", "read_json", "weight_files"]

STARTER, CHECKPOINTS = "starter", "Stable-diffusion"
LONG_LOOK_S = 0.02  # a look that takes longer is made beside those who ask
REST, REST_S = 10, 4.0  # between two of those: in times of what one takes, and at most
SLICE_S, KEEP_S = 0.01, 2.0  # of reading without a rest, and between what is handed to the memory
UNREAD = Sentence("is still being read; it can be used in a moment")


@dataclass(slots=True)
class Made:
    """A card, with what it was made of, and as it is once it is told what the memory `said`. `stamp` is its file's,
    "" for a folder."""

    of: tuple[Any, ...]
    card: ModelCard
    stamp: str
    said: RememberedFacts | None = None
    told: ModelCard | None = None


def list_models(dirs: Sequence[Path]) -> list[ModelCard]:
    """Every model below `dirs`, all read now: the starter first, then by folder and name."""
    return ModelList(dirs)()


class ModelList:
    """The models below `dirs` whenever it is called: the starter first, then by folder and name.

    Of two models with one name the first keeps it; the other is listed with a problem that says so. Files are read
    once and then known by size and time, over starts with a `memory`. A call spends `patience_s` at most on reading
    new files (None: as long as it takes); what is left is read by a thread, the newest first, and listed as not yet
    usable till then. Where many files make a look long, a thread looks, and calls tell what was seen last. Any thread
    may call.
    """

    def __init__(
        self,
        dirs: Sequence[Path],
        memory: ModelMemory | None = None,
        patience_s: float | None = None,
    ) -> None:
        self._dirs = tuple(dirs)
        self._memory = memory
        self._patience_s = patience_s
        self._facts = FactsCache(memory)
        self._made: dict[str, Made] = {}
        self._listed: tuple[ModelCard, ...] = ()
        self._rest_until, self._took, self._seen = 0.0, 0.0, -1
        self._looked = False
        self._lock = Lock()  # one look at a time
        self._starting = Lock()  # of the threads below
        self._looker: Thread | None = None
        self._reader: Thread | None = None

    def __call__(self) -> list[ModelCard]:
        if self._looked and self._rests():
            return list(self._listed)
        if self._looked and self._took > LONG_LOOK_S and self._patience_s is not None:
            with self._starting:
                if self._looker is None or not self._looker.is_alive():
                    self._looker = Thread(target=self._look, name="models", daemon=True)
                    self._looker.start()
            return list(self._listed)
        return list(self._look())

    def anew(self) -> list[ModelCard]:
        """The same, looked at anew even if that was done a moment ago."""
        return list(self._look(even_now=True))

    def _version(self) -> int:
        return self._memory.version if self._memory else 0

    def _rests(self) -> bool:
        """Whether it is too early for another look. What is remembered of files changes with each that is hashed, which
        is no reason to hurry where a look is long."""
        long = self._took > LONG_LOOK_S and self._patience_s is not None
        return time.monotonic() < self._rest_until and (long or self._version() == self._seen)

    def _look(self, even_now: bool = False) -> Sequence[ModelCard]:
        with self._lock:
            begun = time.monotonic()
            seen = self._version()
            if self._looked and not even_now and self._rests():
                return self._listed  # somebody else has looked while this waited
            self._listed, patience_s = self._walked(begun)
            self._seen, self._looked = seen, True
            self._took = time.monotonic() - begun - patience_s
            rest_s = min(REST * self._took, REST_S) if self._took > LONG_LOOK_S else 0.0
            self._rest_until = time.monotonic() + rest_s
            return self._listed

    def _walked(self, begun: float) -> tuple[tuple[ModelCard, ...], float]:
        """The list as it is now, and the seconds of it that went into reading."""
        cards: dict[str, ModelCard] = {}
        unread: list[Found] = []
        seen: set[str] = set()
        reading = self._reader is not None and self._reader.is_alive()
        patience_s, spent_s = self._patience_s, 0.0
        for found in self._found():
            seen.add(found.path)
            card = self._known(found)
            if card is None and patience_s is not None and (reading or spent_s >= patience_s):
                unread.append(found)
                problem = Sentence("{found}: {unread}", found=found.name, unread=UNREAD)
                card = ModelCard(found.name, Path(found.path), problem=problem)
            elif card is None:
                before = time.monotonic()
                card = self._read(found)
                spent_s += time.monotonic() - before
            _add(cards, card)
        for path in [path for path in list(self._made) if path not in seen]:
            self._made.pop(path, None)
        if unread and not reading:
            self._reader = Thread(
                target=self._read_all, args=(unread,), name="headers", daemon=True
            )
            self._reader.start()
        self._facts.keep()
        return tuple(cards.values()), spent_s

    def _found(self) -> Sequence[Found]:
        folders = (path for top in self._dirs if (path := top / STARTER).is_dir())
        found = [found_folder(path, STARTER) for path in folders]
        return [*found, *(one for top in self._dirs for one in walk(top / CHECKPOINTS))]

    def _read_all(self, unread: Sequence[Found]) -> None:
        """Reads what a call had no patience for, the newest first, and rests as long as it works: the page comes
        first. What others work meanwhile, while this waits, does not count."""
        begun, kept = time.thread_time(), time.monotonic()
        for found in sorted(unread, key=lambda one: -one.modified):
            if self._known(found) is None:
                self._read(found)
            if (worked := time.thread_time() - begun) > SLICE_S:
                time.sleep(worked)
                begun = time.thread_time()
            if time.monotonic() - kept > KEEP_S:
                self._facts.keep()
                kept = time.monotonic()
        self._facts.keep()
        self._rest_until = 0.0

    def _known(self, found: Found) -> ModelCard | None:
        """The card of what was read before; None where it must be read."""
        if found.problem:
            return ModelCard(found.name, Path(found.path), problem=found.problem)
        facts = None if found.folder else self._facts.get(found.path, found.stamp)
        made = self._made.get(found.path)
        if made is not None and made.of == (found.name, found.stamp, found.beside, facts):
            return self._with_memory(made)
        return None if facts is None else self._new(found, facts)

    def _read(self, found: Found) -> ModelCard:
        return self._new(found, None if found.folder else self._facts.read(found.path, found.stamp))

    def _new(self, found: Found, facts: Facts | None) -> ModelCard:
        """The card of a file, or of a folder, which has no `facts`."""
        path = Path(found.path)
        try:
            card = folder_card(path, found.name) if facts is None else file_card(found, facts)
        except ModelFileError as fault:
            card = ModelCard(found.name, path, problem=str(fault))
            if lacking(fault):  # it is asked again the next time
                return card
        of = (found.name, found.stamp, found.beside, facts)
        made = Made(of, card, "" if found.folder else found.stamp)
        self._made[found.path] = made
        return self._with_memory(made)

    def _with_memory(self, made: Made) -> ModelCard:
        """The card with what is remembered; the same value as long as that is the same."""
        if self._memory is None or made.card.problem is not None:
            return made.card
        said = remembered_facts(made.card, self._memory, made.stamp)
        if made.told is None or said != made.said:
            made.said, made.told = said, remembered(made.card, said)
        return made.told


def _add(cards: dict[str, ModelCard], card: ModelCard) -> None:
    if card.name not in cards:
        cards[card.name] = card
        return
    problem = Sentence(
        "{path}: another model is called {card} already; rename this one",
        path=card.path,
        card=repr(card.name),
    )
    name = next(n for i in range(2, 1_000_000) if (n := f"{card.name} ({i})") not in cards)
    cards[name] = replace(card, name=name, problem=problem)
