"""The models folders as one list: checkpoints, LoRAs, embeddings, VAEs, ControlNets and upscalers, with what people
say of them. Implements `webui.types.library.LibraryFace`; opens no weights."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from webui.catalog.formats.header import read_header
from webui.catalog.formats.sidecars import JSON_NOTES, PREVIEWS, read_notes
from webui.catalog.formats.walking import Found
from webui.catalog.library.family_detection import tags_of
from webui.catalog.library.file_index import FileIndex, found_files
from webui.catalog.library.model_card import noted
from webui.catalog.library.model_notes import changed, written
from webui.errors import EaselError, ModelFileError, RequestError, Sentence
from webui.types import ModelCard, ModelMemory, ModelNotes
from webui.types.library import FOLDERS, ModelDetails, ModelFile

__all__ = ["Library", "LibraryMemory"]

QUICK_S = (
    0.05  # a look that takes longer is left to a thread, and what was seen before is told meanwhile
)
REST, REST_MIN_S, REST_MAX_S = 10, 1.0, 10.0  # between two looks, in times of what one takes
PATIENCE_S = 0.5  # what one look may spend on new files' headers
LONGEST = 2000  # characters of a value of the metadata
NOT_KEPT = Sentence("It cannot be used, so nothing is kept about it.")


class LibraryMemory(ModelMemory, Protocol):
    """What is kept between starts (`webui.store.models.ModelIndex`)."""

    def keep_notes(self, fingerprint: str, notes: ModelNotes) -> None: ...


class CardList(Protocol):
    """The checkpoints (`webui.catalog.checkpoints.ModelList`)."""

    def __call__(self) -> Sequence[ModelCard]: ...

    def anew(self) -> Sequence[ModelCard]: ...


class Library:
    """Everything below the models folders `dirs`. Any thread may ask; without a `memory` no notes are kept."""

    def __init__(
        self, dirs: Sequence[Path], list_models: CardList, memory: LibraryMemory | None = None
    ) -> None:
        self._dirs = tuple(dirs)
        self._list_models = list_models
        self._memory = memory
        self._headers = FileIndex(memory)
        self._lock = threading.Lock()  # one look at a time
        self._changing = threading.Lock()  # one change: each adds to what the one before kept
        self._made: dict[str, tuple[tuple[Any, ...], ModelFile]] = {}
        self._files: tuple[ModelFile, ...] = ()
        self._by_id: dict[str, ModelFile] = {}
        self._rest_until, self._took, self._seen = 0.0, 0.0, -1
        self._looked = self._unread = False
        self._looker: threading.Thread | None = None

    def files(self) -> Sequence[ModelFile]:
        if not self._looked:
            return self._look(self._list_models)
        now = self._memory.version if self._memory else 0
        quick = self._took < QUICK_S
        rests = time.monotonic() < self._rest_until
        if rests and (now == self._seen or not quick) and not self._unread:
            return self._files
        if quick and not self._unread:
            return self._look(self._list_models)
        looker = self._looker
        if looker is None or not looker.is_alive():
            self._looker = threading.Thread(target=self._look_on, name="library", daemon=True)
            self._looker.start()
        return self._files

    def rescan(self) -> Sequence[ModelFile]:
        return self._look(self._list_models.anew)

    def get(self, file: str) -> ModelFile:
        found = self._by_id.get(file)
        if found is None:
            self.files()
            found = self._by_id.get(file)
        if found is None:
            raise RequestError(Sentence("this model is no longer there; look again"), "id")
        return found

    def details(self, file: str) -> ModelDetails:
        found = self.get(file)
        metadata, tensors = _metadata(found)
        told = {
            key: value if len(value) <= LONGEST else value[:LONGEST] + "…"
            for key, value in metadata.items()
        }
        writable = os.access(found.path.parent, os.W_OK)
        return ModelDetails(
            metadata=told,
            tags=tags_of(metadata),
            tensors=tensors,
            can_note="" if found.fingerprint and self._memory is not None else NOT_KEPT,
            can_preview=""
            if writable
            else Sentence("{parent}/ cannot be written.", parent=found.path.parent.name),
        )

    def change(self, file: str, values: Mapping[str, Any]) -> ModelFile:
        with self._changing:
            return self._changed(file, values)

    def _changed(self, file: str, values: Mapping[str, Any]) -> ModelFile:
        found = self.get(file)
        if self._memory is None or not found.fingerprint:
            raise RequestError(Sentence("{found}: {not_kept}", found=found.name, not_kept=NOT_KEPT))
        notes = changed(found.notes, values, found.kind)
        sidecar = found.path.with_name(found.path.stem + JSON_NOTES)
        own = self._memory.notes(found.fingerprint) or ModelNotes()
        if found.path.is_file() and sidecar.is_file() and written(sidecar, values, notes):
            kept = replace(own, **{name: getattr(ModelNotes(), name) for name in values})
        else:
            kept = replace(own, **{name: getattr(notes, name) for name in values})
        self._memory.keep_notes(found.fingerprint, kept)
        self.rescan()
        return self.get(file)

    def set_preview(self, file: str, png: bytes) -> ModelFile:
        found = self.get(file)
        folder = found.path.is_dir()
        path = (
            found.path / "preview.png"
            if folder
            else found.path.with_name(f"{found.path.stem}{PREVIEWS[0]}")
        )
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(png)
            if path.exists() and not (first := path.with_name(f"{path.name}.bak")).exists():
                shutil.copyfile(path, first)  # it may be somebody's own
            os.replace(part, path)
        except OSError as fault:
            with suppress(OSError):
                part.unlink()
            raise EaselError(
                Sentence("{path} cannot be written: {why}", path=path, why=fault.strerror)
            ) from fault
        self.rescan()
        return self.get(file)

    def to_hash(self) -> list[ModelCard]:
        """Everything as the thread that hashes wants it."""
        cards = list(self._list_models())
        for one in self.files():
            if one.kind != "checkpoint":
                cards.append(
                    ModelCard(
                        one.name,
                        one.path,
                        weights=one.path,
                        modified=one.modified,
                        fingerprint=one.fingerprint,
                        sha256=one.sha256,
                        problem=one.problem,
                    )
                )
        return cards

    # --- Looking ------------------------------------------------------------------------------------

    def _look_on(self) -> None:
        self._look(self._list_models)
        while self._unread:
            self._look(self._list_models)

    def _look(self, list_models: Callable[[], Sequence[ModelCard]]) -> Sequence[ModelFile]:
        with self._lock:
            begun = time.monotonic()
            self._seen = self._memory.version if self._memory else 0
            self._unread = False
            files = [self._checkpoint(card) for card in list_models()]
            files += [self._other(kind, found, begun) for kind, found in found_files(self._dirs)]
            self._headers.keep()
            order = {kind: number for number, kind in enumerate(FOLDERS)}
            files.sort(key=lambda one: order[one.kind])  # stable: each kind is in order already
            self._files = tuple(files)
            self._by_id = {one.id: one for one in files}
            there = {str(one.path) for one in files}
            self._made = {path: made for path, made in self._made.items() if path in there}
            self._took = time.monotonic() - begun
            rest = min(max(REST * self._took, REST_MIN_S), REST_MAX_S)
            self._rest_until = time.monotonic() + (rest if self._took >= QUICK_S else 0.2)
            self._looked = True
            return self._files

    def _checkpoint(self, card: ModelCard) -> ModelFile:
        examples = (one.picture for one in card.examples.values())
        preview = card.preview or next((one for one in examples if one.is_file()), None)
        stamp = _stamp(preview)
        key = (card, stamp)
        known = self._made.get(str(card.path))
        if known is not None and known[0][0] is card and known[0][1] == stamp:
            return known[1]
        made = ModelFile(
            id=_id(str(card.path)),
            kind="checkpoint",
            name=card.name,
            path=card.path,
            family=card.family,
            inpainting=card.inpainting,
            size=card.size,
            modified=card.modified,
            sha256=card.sha256,
            fingerprint=card.fingerprint,
            preview=preview if stamp else None,
            stamp=stamp,
            prediction=card.prediction,
            problem=card.problem,
            notes=card.notes,
        )
        self._made[str(card.path)] = (key, made)
        return made

    def _other(self, kind: str, found: Found, begun: float) -> ModelFile:
        told = None if found.problem else self._headers.get(found)
        if told is None and not found.problem:
            if time.monotonic() - begun < PATIENCE_S:
                told = self._headers.read(kind, found)
            else:
                self._unread = True
        path = Path(found.path)
        beside = {ending: mark for ending, mark in found.beside}
        ending = next((one for one in PREVIEWS if one in beside), None)
        fingerprint = told.fingerprint if told else ""
        above = self._memory.notes(fingerprint) if self._memory and fingerprint else None
        sha256 = (
            self._memory.sha256(found.path, found.stamp) if self._memory and found.stamp else ""
        )
        key = (kind, found, told, sha256, above)
        known = self._made.get(found.path)
        if known is not None and known[0] == key:
            return known[1]
        notes = ModelNotes()
        if JSON_NOTES in beside:
            try:
                notes = read_notes(path.with_name(path.stem + JSON_NOTES))
            except ModelFileError as fault:  # notes are not needed to use the file
                notes = ModelNotes(notes=str(fault))
        preview = path.with_name(path.stem + ending) if ending else None
        stamp = _stamp(preview)
        made = ModelFile(
            id=_id(found.path),
            kind=kind,
            name=found.name,
            path=path,
            family=told.family if told else notes.sd_version,
            size=found.size,
            modified=found.modified,
            sha256=sha256,
            fingerprint=fingerprint,
            preview=preview if stamp else None,
            stamp=stamp,
            problem=found.problem or (told.problem if told else None),
            notes=noted(notes, above),
        )
        self._made[found.path] = (key, made)
        return made


def _id(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _stamp(picture: Path | None) -> str:
    """What tells versions of a picture apart: 32 hex digits, "" where there is none."""
    if picture is None:
        return ""
    try:
        about = picture.stat()
    except OSError:
        return ""
    told = f"{picture}-{about.st_size}-{about.st_mtime_ns}"
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _metadata(found: ModelFile) -> tuple[Mapping[str, str], int]:
    """The header's own words and the number of tensors, nothing where it cannot be read."""
    if found.path.suffix.lower() != ".safetensors":
        return {}, 0
    try:
        header = read_header(found.path)
    except ModelFileError:
        return {}, 0
    return header.metadata, len(header.tensors)
