"""The models in the models folders, told from headers and small JSON files without loading a weight.

A bad entry becomes a card whose `problem` names the file and its fault; it never breaks the list.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from types import MappingProxyType
from typing import Any

from webui.engine.examples import read_prompts
from webui.engine.formats.facts import Facts, FactsCache
from webui.engine.formats.folders import read_folder, weight_files
from webui.engine.formats.hashing import stamp_of
from webui.engine.formats.header import read_header
from webui.engine.formats.sidecars import (
    CONFIGURATION,
    JSON_NOTES,
    PREVIEWS,
    read_configuration,
    read_json,
    read_notes,
)
from webui.engine.formats.walking import Found, found_folder, walk
from webui.errors import ModelFileError
from webui.types import ModelCard, ModelMemory, ModelNotes

__all__ = ["ModelList", "list_models", "read_json", "weight_files"]

STARTER, CHECKPOINTS, BESIDE = "starter", "Stable-diffusion", "easel.json"
LONG_WALK_S = (
    0.02  # a walk that takes longer is not repeated within REST times its time, at most REST_S
)
REST, REST_S = 10, 2.0
UNREAD = "is still being read; it can be used in a moment"


def list_models(dirs: Sequence[Path]) -> list[ModelCard]:
    """Every model below `dirs`, all read now: the starter first, then by folder and name."""
    return ModelList(dirs)()


class ModelList:
    """The models below `dirs` whenever it is called: the starter first, then by folder and name.

    Of two models with one name the first keeps it; the other is listed with a problem that says so. Files are read
    once and then known by size and time, over starts with a `memory`. A call spends `patience_s` at most on reading
    new files (None: as long as it takes); what is left is read by a thread, and listed as not yet usable till then.
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
        self._cards: dict[str, tuple[tuple[Any, ...], ModelCard]] = {}
        self._listed: list[ModelCard] = []
        self._rest_until, self._seen = 0.0, -1
        self._lock = Lock()
        self._reader: Thread | None = None

    def __call__(self) -> list[ModelCard]:
        with self._lock:
            begun = time.monotonic()
            if begun < self._rest_until and self._version() == self._seen:
                return list(self._listed)
            self._seen = self._version()
            self._listed = self._walked(begun)
            took = time.monotonic() - begun
            rest = min(REST * took, REST_S) if took > LONG_WALK_S else 0.0
            self._rest_until = time.monotonic() + rest
            return list(self._listed)

    def anew(self) -> list[ModelCard]:
        """The same, looked at anew even if that was done a moment ago."""
        self._rest_until = 0.0
        return self()

    def _version(self) -> int:
        return self._memory.version if self._memory else 0

    def _walked(self, begun: float) -> list[ModelCard]:
        cards: dict[str, ModelCard] = {}
        unread: list[Found] = []
        seen: set[str] = set()
        reading = self._reader is not None and self._reader.is_alive()
        patience_s = 0.0 if reading and self._patience_s is not None else self._patience_s
        for found in self._found():
            seen.add(found.path)
            if found.problem:
                _add(cards, ModelCard(found.name, Path(found.path), problem=found.problem))
                continue
            facts = None if found.folder else self._facts.get(found.path, found.stamp)
            if facts is None and not found.folder:
                if patience_s is not None and time.monotonic() - begun >= patience_s:
                    unread.append(found)
                    problem = f"{found.name}: {UNREAD}"
                    _add(cards, ModelCard(found.name, Path(found.path), problem=problem))
                    continue
                facts = self._facts.read(found.path, found.stamp)
            _add(cards, self._card(found, facts))
        self._cards = {path: card for path, card in self._cards.items() if path in seen}
        if unread and not reading:
            self._reader = Thread(target=self._read, args=(unread,), name="headers", daemon=True)
            self._reader.start()
        self._facts.keep()
        return list(cards.values())

    def _found(self) -> Sequence[Found]:
        folders = (path for top in self._dirs if (path := top / STARTER).is_dir())
        found = [found_folder(path, STARTER) for path in folders]
        return [*found, *(one for top in self._dirs for one in walk(top / CHECKPOINTS))]

    def _read(self, unread: Sequence[Found]) -> None:
        """Reads what a call had no patience for, and rests as long as it works: the page comes first."""
        for found in unread:
            begun = time.monotonic()
            if self._facts.get(found.path, found.stamp) is None:
                self._facts.read(found.path, found.stamp)
            time.sleep(time.monotonic() - begun)
        self._facts.keep()
        self._rest_until = 0.0

    def _card(self, found: Found, facts: Facts | None) -> ModelCard:
        """The card of a file or folder; the one made before where nothing has changed."""
        key = (found.name, found.stamp, found.beside, facts, self._seen)
        known = self._cards.get(found.path)
        if known is not None and known[0] == key:
            return known[1]
        path = Path(found.path)
        try:
            card = _folder_card(path, found.name) if facts is None else _file_card(found, facts)
        except ModelFileError as fault:
            card = ModelCard(found.name, path, problem=str(fault))
        card = self._remembered(card)
        self._cards[found.path] = (key, card)
        return card

    def _remembered(self, card: ModelCard) -> ModelCard:
        """The card with what was found or said about it since."""
        memory = self._memory
        if memory is None or card.problem is not None or card.weights is None:
            return card
        told = memory.notes(card.fingerprint)
        notes = _over(card.notes, told) if told else card.notes
        zero_snr = card.zero_snr if notes.zero_snr is None else notes.zero_snr
        return replace(
            card,
            sha256=memory.sha256(str(card.weights), stamp_of(card.weights)),
            prediction=notes.prediction or card.prediction or memory.prediction(card),
            zero_snr=zero_snr,
            notes=notes,
        )


def _add(cards: dict[str, ModelCard], card: ModelCard) -> None:
    if card.name not in cards:
        cards[card.name] = card
        return
    problem = f"{card.path}: another model is called {card.name!r} already; rename this one"
    name = next(n for i in range(2, 1_000_000) if (n := f"{card.name} ({i})") not in cards)
    cards[name] = replace(card, name=name, problem=problem)


def _over(below: ModelNotes, above: ModelNotes) -> ModelNotes:
    """`below` with what `above` says."""
    said = {
        n: v for n in ModelNotes.__slots__ if (v := getattr(above, n)) not in (None, "", {}, ())
    }
    return replace(below, **said)


# --- Cards ----------------------------------------------------------------------------------------


def _file_card(found: Found, facts: Facts) -> ModelCard:
    if facts.recognised is None:
        raise ModelFileError(facts.problem or "")
    path, told = Path(found.path), facts.recognised
    beside = {ending: path.with_name(path.stem + ending) for ending, _ in found.beside}
    prediction, zero_snr = told.prediction, told.zero_snr
    if CONFIGURATION in beside:
        configuration = read_configuration(beside[CONFIGURATION])
        prediction = configuration.prediction or prediction
        zero_snr = configuration.zero_snr or zero_snr
    notes = ModelNotes()
    if JSON_NOTES in beside:
        try:
            notes = read_notes(beside[JSON_NOTES])
        except ModelFileError as fault:  # notes are not needed to use the model
            notes = ModelNotes(notes=str(fault))
    return ModelCard(
        found.name,
        path,
        family=told.family,
        latent_channels=told.latent_channels,
        inpainting=told.inpainting,
        layout=told.layout,
        kind=told.kind,
        prediction=notes.prediction or prediction,
        zero_snr=zero_snr if notes.zero_snr is None else notes.zero_snr,
        defaults=notes.defaults,
        prompts=notes.prompts,
        context_dim=told.context_dim,
        parts=told.parts,
        weights=path,
        size=found.size,
        modified=found.modified,
        fingerprint=facts.fingerprint,
        preview=next((beside[ending] for ending in PREVIEWS if ending in beside), None),
        notes=notes,
    )


def _folder_card(folder: Path, name: str) -> ModelCard:
    found = read_folder(folder)
    beside = _beside(folder)
    prompts, examples = read_prompts(folder, beside.get("prompts", []), str(folder / BESIDE))
    try:
        told, header = found.recognised, read_header(found.weights)
    except ModelFileError as fault:  # which names the file; the same name is in every part
        raise ModelFileError(f"{found.weights.parent.as_posix()}/{fault}") from fault
    previews = (folder / f"preview{ending}" for ending in PREVIEWS if ending.count(".") == 1)
    return ModelCard(
        name,
        folder,
        family=told.family,
        latent_channels=told.latent_channels,
        inpainting=told.inpainting,
        kind=told.kind,
        prediction=told.prediction,
        zero_snr=told.zero_snr,
        defaults=MappingProxyType(dict(beside.get("defaults", {}))),
        prompts=prompts,
        examples=examples,
        context_dim=told.context_dim,
        parts=told.parts,
        weights=found.weights,
        size=header.size,
        modified=found.weights.stat().st_mtime,
        fingerprint=header.fingerprint,
        preview=next((path for path in previews if path.is_file()), None),
    )


def _beside(folder: Path) -> Mapping[str, Any]:
    """The model's easel.json, empty where there is none."""
    path = folder / BESIDE
    if not path.is_file():
        return {}
    beside = read_json(path)
    if not isinstance(beside.get("defaults", {}), dict):
        raise ModelFileError(f"{path}: 'defaults' is not an object of request fields")
    return beside
