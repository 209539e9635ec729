"""The SQLite file under the data folder: opened, checked, brought to today's shape. Knows SQL; knows no request.

One process has it at a time, in WAL mode with `synchronous=FULL`: what is committed is on disk. `MIGRATIONS[n]`
takes a database of version n to n + 1; an older one is copied before it is changed, a newer one is refused.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from webui.errors import EaselError, Sentence

__all__ = ["MIGRATIONS", "Database", "InUse"]

log = logging.getLogger(__name__)

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,             -- the order in which they came
        owner TEXT NOT NULL DEFAULT '',
        key TEXT UNIQUE,                            -- the Idempotency-Key that it came with
        request TEXT NOT NULL,                      -- versioned JSON (webui.store.requests)
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'done', 'failed', 'cancelled')),
        priority INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        created_s REAL NOT NULL,
        ended_s REAL
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, number);
    CREATE TABLE pictures (
        job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        place INTEGER NOT NULL,                     -- which picture of its job, from 0
        path TEXT NOT NULL UNIQUE,
        seed INTEGER NOT NULL,
        width INTEGER,                              -- these four are NULL while the name is only reserved
        height INTEGER,
        hash TEXT,                                  -- SHA-256 of the file
        infotext TEXT,
        heard INTEGER NOT NULL DEFAULT 0,           -- whether extensions were told of it
        favourite INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, place)
    ) STRICT;
    """,
    "ALTER TABLE pictures DROP COLUMN favourite",  # the gallery's to know
    # SHA-256 of what is about to lie at the path, "" while that is being written; NULL in rows of before.
    "ALTER TABLE pictures ADD COLUMN sealed TEXT",
    # SHA-256 of what was sent with the key; NULL in rows of before, and without a key.
    "ALTER TABLE jobs ADD COLUMN body TEXT",
    # JSON of the error's keys, for pages in other languages; NULL in rows of before, and where it has none.
    "ALTER TABLE jobs ADD COLUMN said TEXT",
    # Whether a job ends with what there is, and the places of pictures that are given up, with commas between.
    """
    ALTER TABLE jobs ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN skipped TEXT NOT NULL DEFAULT '';
    """,
)


class InUse(EaselError):
    """Another process has the database."""


class Database:
    """An open database file. Every method may be called from any thread; one thread works at a time."""

    def __init__(self, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
        """Opens or makes the file. Raises `EaselError` for a newer version, another process's file, or a full
        or read-only disk; a damaged file is set aside and a new one begun, which `set_aside` then names."""
        self.path = path
        self.set_aside: Path | None = None
        self._migrations = migrations
        self._using = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(path)
        except OSError as fault:
            raise EaselError(
                Sentence("{path} cannot be used: {why}", path=path, why=fault)
            ) from fault
        try:
            self._connection = self._opened()
        except sqlite3.OperationalError as fault:
            os.close(self._lock)
            raise EaselError(
                Sentence("{path} cannot be used: {why}", path=path, why=fault)
            ) from fault
        except sqlite3.DatabaseError as fault:
            self.set_aside = _set_aside(path, fault)
            self._connection = self._opened()
        except BaseException:
            os.close(self._lock)
            raise

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        newest = len(self._migrations)
        if version > newest:
            raise EaselError(
                Sentence(
                    "{path} is of a newer Easel (version {version}, this one knows "
                    "{newest}): update Easel, or start with another --data-dir",
                    path=self.path,
                    version=version,
                    newest=newest,
                )
            )
        if 0 < version < newest:
            copy = self.path.with_name(f"{self.path.name}.version-{version}")
            if copy.exists():  # of another time, after which an older Easel ran
                copy = copy.with_name(f"{copy.name}-{time.time_ns()}")
            with sqlite3.connect(copy) as target:
                connection.backup(target)
            target.close()
            log.warning("%s is of version %d: a copy is kept as %s", self.path, version, copy.name)
        for number in range(version, newest):
            connection.executescript(
                f"BEGIN IMMEDIATE; {self._migrations[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
            )

    def close(self) -> None:
        """Writes everything into the one file and lets another process have it."""
        with self._using:
            self._connection.close()
            os.close(self._lock)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: on disk when the block ends, undone when it raises."""
        with self._using:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """What a SELECT finds."""
        with self._using:
            return self._connection.execute(sql, values).fetchall()


def _locked(path: Path) -> int:
    """The descriptor of a lock that one process holds, however it ends."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        os.close(descriptor)
        raise InUse(
            f"{path} is in use by another Easel: stop that one, or start this with another --data-dir"
        ) from fault
    return descriptor


def _set_aside(path: Path, fault: Exception) -> Path:
    """Moves a damaged database, with its journal, to a name that says when."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    if aside.exists():
        aside = aside.with_name(f"{aside.name}-{time.time_ns()}")
    for end in ("-wal", "-shm"):
        beside = path.with_name(path.name + end)
        if beside.exists():
            shutil.move(beside, aside.with_name(aside.name + end))
    shutil.move(path, aside)
    log.error("%s is damaged (%s): kept as %s, a new one is begun", path, fault, aside.name)
    return aside
