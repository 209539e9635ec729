"""The card of one checkpoint: what its header, the small files beside it and the user say, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from webui.catalog.example_prompts import read_prompts
from webui.catalog.families import family
from webui.catalog.formats.folders import read_folder
from webui.catalog.formats.hashing import stamp_of
from webui.catalog.formats.header import read_header
from webui.catalog.formats.header_cache import Facts
from webui.catalog.formats.recognition import Recognised
from webui.catalog.formats.sidecars import (
    CONFIGURATION,
    JSON_NOTES,
    PREVIEWS,
    read_configuration,
    read_json,
    read_notes,
)
from webui.catalog.formats.walking import Found
from webui.errors import ModelFileError, Sentence
from webui.types import ModelCard, ModelMemory, ModelNotes

__all__ = ["RememberedFacts", "file_card", "folder_card", "noted", "remembered", "remembered_facts"]

BESIDE = "easel.json"


class RememberedFacts(NamedTuple):
    """What is remembered of a file: its hash ("" while unknown), the user's notes, and what its U-Net predicts."""

    sha256: str = ""
    notes: ModelNotes | None = None
    prediction: str | None = None


def file_card(found: Found, facts: Facts) -> ModelCard:
    """The card of a single file. `ModelFileError` for one that cannot be used."""
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
        side=_side(told),
        refines=family(told.kind).refines,
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


def folder_card(folder: Path, name: str) -> ModelCard:
    """The card of a diffusers folder. `ModelFileError` for one that cannot be used."""
    found = read_folder(folder)
    beside = _beside(folder)
    prompts, examples = read_prompts(folder, beside.get("prompts", []), str(folder / BESIDE))
    try:
        told, header = found.recognised, read_header(found.weights)
    except ModelFileError as fault:  # which names the file; the same name is in every part
        raise ModelFileError(
            Sentence("{as_posix}/{why}", as_posix=found.weights.parent.as_posix(), why=fault)
        ) from fault
    previews = (folder / f"preview{ending}" for ending in PREVIEWS if ending.count(".") == 1)
    return ModelCard(
        name,
        folder,
        family=told.family,
        latent_channels=told.latent_channels,
        inpainting=told.inpainting,
        kind=told.kind,
        side=_side(told),
        refines=family(told.kind).refines,
        prediction=told.prediction,
        zero_snr=told.zero_snr,
        defaults=MappingProxyType(dict(beside.get("defaults", {}))),
        prompts=prompts,
        examples=examples,
        context_dim=told.context_dim,
        parts=told.parts,
        weights=found.weights,
        size=found.size,
        modified=found.weights.stat().st_mtime,
        fingerprint=header.fingerprint,
        preview=next((path for path in previews if path.is_file()), None),
        notes=ModelNotes(description=beside.get("description", "")),
    )


def remembered_facts(card: ModelCard, memory: ModelMemory, stamp: str) -> RememberedFacts:
    """What is remembered of a card's file. `stamp` is that file's, "" to look for it."""
    if card.weights is None:
        return RememberedFacts()
    return RememberedFacts(
        memory.sha256(str(card.weights), stamp or stamp_of(card.weights)),
        memory.notes(card.fingerprint),
        memory.prediction(card),
    )


def remembered(card: ModelCard, said: RememberedFacts) -> ModelCard:
    """The card with what was found or said about it since."""
    notes = noted(card.notes, said.notes)
    return replace(
        card,
        sha256=said.sha256,
        prediction=notes.prediction or card.prediction or said.prediction,
        zero_snr=card.zero_snr if notes.zero_snr is None else notes.zero_snr,
        notes=notes,
    )


def noted(below: ModelNotes, above: ModelNotes | None) -> ModelNotes:
    """`below` with what `above` says."""
    if above is None:
        return below
    told = {name: getattr(above, name) for name in ModelNotes.__slots__}
    return replace(
        below, **{name: value for name, value in told.items() if value not in (None, "", {}, ())}
    )


def _side(told: Recognised) -> int:
    """`ModelCard.side`."""
    published = family(told.kind)
    return published.side if told.family == published.name else 0


def _beside(folder: Path) -> Mapping[str, Any]:
    """The model's easel.json, empty where there is none."""
    path = folder / BESIDE
    if not path.is_file():
        return {}
    beside = read_json(path)
    if not isinstance(beside.get("defaults", {}), dict):
        raise ModelFileError(
            Sentence("{path}: 'defaults' is not an object of request fields", path=path)
        )
    if not isinstance(beside.get("description", ""), str):
        raise ModelFileError(Sentence("{path}: 'description' is no text", path=path))
    return beside
