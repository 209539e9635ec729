"""What is remembered of model files (`webui.types.ModelMemory`): headers, hashes, probed predictions, users' notes.

Headers and hashes belong to a path and a stamp (size, time), so that a changed file is read again. Predictions and
notes belong to a file's fingerprint, so that they stay when it is renamed. Nothing is forgotten of a file that is gone:
it may be on a disk that comes back, and its hash took a while. Everything is kept in memory too: a list of ten thousand
models asks often.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from webui.errors import EaselError, Sentence
from webui.store.database import Database
from webui.types import ModelCard, ModelNotes

__all__ = ["FILE", "ModelIndex"]

FILE = "models.db"
MIGRATIONS = (
    """
    CREATE TABLE files (
        path TEXT PRIMARY KEY,
        stamp TEXT NOT NULL,                        -- of the version that the rest of the row is about
        header TEXT,                                -- JSON (webui.catalog.formats.header_cache)
        sha256 TEXT
    ) STRICT;
    CREATE TABLE models (
        fingerprint TEXT PRIMARY KEY,
        probed TEXT,                                -- the prediction that a call of the network showed
        notes TEXT,                                 -- JSON: what the user said on the page
        used_s REAL                                 -- when it was loaded last
    ) STRICT;
    """,
)
PREDICTIONS = ("epsilon", "v_prediction", "sample")
log = logging.getLogger(__name__)


class ModelIndex:
    """The index of one data folder. Any thread may use it. Raises as `Database` does."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder / FILE, MIGRATIONS)
        self._lock = threading.Lock()
        self._version = 0
        self._closed = False
        self._headers: dict[str, tuple[str, str]] = {}
        self._hashes: dict[str, tuple[str, str]] = {}
        self._probed: dict[str, str] = {}
        self._notes: dict[str, ModelNotes] = {}
        self._used: dict[str, float] = {}
        for row in self._database.rows("SELECT * FROM files"):
            if row["header"] is not None:
                self._headers[row["path"]] = (row["stamp"], row["header"])
            if row["sha256"] is not None:
                self._hashes[row["path"]] = (row["stamp"], row["sha256"])
        for row in self._database.rows("SELECT * FROM models"):
            fingerprint = row["fingerprint"]
            if row["probed"] is not None:
                self._probed[fingerprint] = row["probed"]
            if row["notes"] is not None:
                self._notes[fingerprint] = _notes(row["notes"])
            if row["used_s"] is not None:
                self._used[fingerprint] = row["used_s"]

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged database went, if it was."""
        return self._database.set_aside

    @property
    def version(self) -> int:
        return self._version

    def close(self) -> None:
        self._closed = True  # a thread that reads files may hold something still
        self._database.close()

    # --- files ------------------------------------------------------------------------------------

    def headers(self) -> Mapping[str, tuple[str, str]]:
        return dict(self._headers)

    def keep_headers(self, rows: Mapping[str, tuple[str, str]]) -> None:
        """Keeps headers by path; the hash of an older version of a file goes."""
        with self._minded(), self._change(grows=False) as connection:
            connection.executemany(
                "INSERT INTO files (path, stamp, header) VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
                "sha256 = iif(stamp = excluded.stamp, sha256, NULL), stamp = excluded.stamp, header = excluded.header",
                [(path, stamp, header) for path, (stamp, header) in rows.items()],
            )
        self._headers.update(rows)

    def sha256(self, path: str, stamp: str) -> str:
        found = self._hashes.get(path)
        return found[1] if found and found[0] == stamp else ""

    def keep_sha256(self, path: str, stamp: str, sha256: str) -> None:
        self._hashes[path] = (stamp, sha256)
        with self._minded(), self._change() as connection:
            connection.execute(
                "INSERT INTO files (path, stamp, sha256) VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
                "header = iif(stamp = excluded.stamp, header, NULL), stamp = excluded.stamp, sha256 = excluded.sha256",
                (path, stamp, sha256),
            )

    # --- models -----------------------------------------------------------------------------------

    def prediction(self, card: ModelCard) -> str | None:
        """What the user said, else what a probe showed."""
        notes = self._notes.get(card.fingerprint)
        return (notes.prediction if notes else None) or self._probed.get(card.fingerprint)

    def remember_prediction(self, card: ModelCard, prediction: str) -> None:
        if prediction not in PREDICTIONS:
            raise ValueError(f"{prediction!r} is none of {PREDICTIONS}")
        if card.fingerprint:
            self._probed[card.fingerprint] = prediction
            with self._minded():
                self._set(card.fingerprint, "probed", prediction)

    def notes(self, fingerprint: str) -> ModelNotes | None:
        return self._notes.get(fingerprint)

    def keep_notes(self, fingerprint: str, notes: ModelNotes) -> None:
        """Replaces what the user said about a model."""
        if notes.prediction not in (None, *PREDICTIONS):
            raise EaselError(
                Sentence(
                    "prediction {prediction}: use {predictions}",
                    prediction=repr(notes.prediction),
                    predictions=", ".join(PREDICTIONS),
                )
            )
        told = {**asdict(_plain(notes)), "defaults": dict(notes.defaults)}
        self._set(fingerprint, "notes", json.dumps(told))
        self._notes[fingerprint] = notes

    def used(self, card: ModelCard) -> None:
        if card.fingerprint:
            now = self._used[card.fingerprint] = time.time()
            with self._minded():
                self._set(card.fingerprint, "used_s", now, grows=False)

    def last_used(self, fingerprint: str) -> float:
        """When the model was loaded last, in seconds since 1970; 0 for never."""
        return self._used.get(fingerprint, 0.0)

    def _set(self, fingerprint: str, column: str, value: object, grows: bool = True) -> None:
        with self._change(grows) as connection:
            connection.execute(
                f"INSERT INTO models (fingerprint, {column}) VALUES (?, ?) "
                f"ON CONFLICT (fingerprint) DO UPDATE SET {column} = excluded.{column}",
                (fingerprint, value),
            )

    @contextmanager
    def _change(self, grows: bool = True) -> Iterator[Any]:
        """A transaction, after which the version has grown if it `grows`. `EaselError` where the disk says no."""
        try:
            with self._lock, self._database.changing() as connection:
                yield connection
        except sqlite3.Error as fault:
            raise EaselError(
                Sentence("{path} cannot be written: {why}", path=self._database.path, why=fault)
            ) from fault
        finally:
            self._version += grows

    @contextmanager
    def _minded(self) -> Iterator[None]:
        """Work goes on where what was found out cannot be kept: it holds until the program ends."""
        try:
            yield
        except EaselError as fault:
            if not self._closed:
                log.warning("what is known of model files is not kept: %s", fault)


def _plain(notes: ModelNotes) -> ModelNotes:
    """`notes` without the read-only mapping, which `asdict` cannot copy."""
    values = {name: getattr(notes, name) for name in ModelNotes.__slots__}
    return ModelNotes(**{**values, "defaults": dict(notes.defaults)})


def _notes(text: str) -> ModelNotes:
    told = json.loads(text)
    known = {name: told[name] for name in ModelNotes.__slots__ if name in told}
    return ModelNotes(**{**known, "prompts": tuple(known.get("prompts", ()))})
