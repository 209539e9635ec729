"""The gallery's database: a row for each picture file that was ever seen, and the words of its prompts.

A file that is gone keeps its row for a while, unseen: one that comes back, or turns up elsewhere with the same
content, is the same picture, a favourite if it was one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.errors import EaselError, RequestError
from webui.store.database import Database
from webui.store.gallery.files import Facts, day_of
from webui.store.gallery.words import indexed
from webui.types import GalleryPicture

__all__ = ["GONE", "HERE", "TRASH", "TRASHED", "Index", "Seen", "UnknownPicture", "as_picture"]

HERE, TRASHED, GONE = 0, 1, 2  # the states of a row
TRASH = ".trash"  # the folder below the outputs folder
FILE = "gallery.db"
MIGRATIONS = (
    """
    CREATE TABLE pictures (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),  -- here, in the trash, gone
        name TEXT NOT NULL,                         -- the file, below the outputs folder
        folder TEXT NOT NULL,                       -- that of `name`, "" for the outputs folder itself
        home TEXT NOT NULL,                         -- `name`, or where a file of the trash goes back to
        size INTEGER NOT NULL,                      -- in bytes
        mtime_ns INTEGER NOT NULL,
        mark TEXT NOT NULL,                         -- of the content
        stamp TEXT NOT NULL,                        -- of this version of the file
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        made_s REAL NOT NULL,
        day TEXT NOT NULL,                          -- of `made_s`, in local time
        task TEXT NOT NULL,
        model TEXT NOT NULL,
        sampler TEXT NOT NULL,
        seed INTEGER,
        owner TEXT NOT NULL,                        -- whose job made it, "" for none
        job TEXT NOT NULL,
        favourite INTEGER NOT NULL DEFAULT 0,
        left_s REAL                                 -- when it went to the trash, or was found to be gone
    ) STRICT;
    CREATE UNIQUE INDEX pictures_by_name ON pictures (name) WHERE state < 2;
    CREATE INDEX pictures_by_folder ON pictures (folder, name, size, mtime_ns) WHERE state < 2;
    CREATE INDEX pictures_by_mark ON pictures (mark);
    CREATE INDEX pictures_by_time ON pictures (state, made_s, id, owner);
    CREATE INDEX pictures_by_model ON pictures (state, model, made_s, id, owner, sampler, task);
    CREATE INDEX pictures_by_sampler ON pictures (state, sampler, made_s, id, owner, task, model);
    CREATE INDEX pictures_by_task ON pictures (state, task, made_s, id, owner, model, sampler);
    CREATE INDEX pictures_by_day ON pictures (state, day, owner);
    CREATE INDEX favourites ON pictures (state, made_s, id, owner) WHERE favourite;
    CREATE TABLE texts (
        id INTEGER PRIMARY KEY,
        prompt TEXT NOT NULL,
        negative_prompt TEXT NOT NULL,
        parameters TEXT NOT NULL
    ) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (
        prompt, negative_prompt,
        tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3', columnsize = 0
    );
    """,
)
COLUMNS = (
    *("state", "name", "folder", "home", "size", "mtime_ns", "mark", "stamp", "width", "height"),
    *("made_s", "day", "task", "model", "sampler", "seed", "owner", "job", "left_s"),
)
INSERT = f"INSERT INTO pictures ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
UPDATE = f"UPDATE pictures SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"
PICTURES = "SELECT * FROM pictures JOIN texts USING (id)"


class UnknownPicture(RequestError):
    """There is no such picture for who asks; whether there is one for somebody else is not told."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was seen and read. `name` is its path below the outputs folder, with "/" between."""

    name: str
    facts: Facts
    owner: str = ""
    job: str = ""


class Index:
    """The index of one data folder, over the files under `root`. Any thread may use it. Raises as `Database` does,
    and `EaselError` where the disk says no."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        self._database = Database(folder / FILE, MIGRATIONS)
        # What a power failure takes can be found again on the disk.
        self._database.rows("PRAGMA synchronous = NORMAL")
        self._counting = threading.Lock()
        self._version = time.time_ns() // 1_000_000  # above that of every earlier process

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged database went, if it was."""
        return self._database.set_aside

    @property
    def version(self) -> int:
        return self._version

    def changed(self) -> None:
        with self._counting:
            self._version += 1

    def close(self) -> None:
        self._database.close()

    # --- asking -----------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._database.rows(sql, *values)

    def picture(self, number: int) -> GalleryPicture | None:
        """A picture that is here or in the trash."""
        rows = self.rows(f"{PICTURES} WHERE id = ? AND state < 2", number)
        return as_picture(rows[0], self.root) if rows else None

    def named(self, name: str) -> GalleryPicture | None:
        rows = self.rows(f"{PICTURES} WHERE name = ? AND state < 2", name)
        return as_picture(rows[0], self.root) if rows else None

    def versions(self, folder: str, page: int = 2000) -> dict[str, tuple[int, int]]:
        """Size and time of every file of a folder as they are known, by name; read in pages."""
        found: dict[str, tuple[int, int]] = {}
        last = ""
        while True:
            rows = self.rows(
                "SELECT name, size, mtime_ns FROM pictures "
                "WHERE state < 2 AND folder = ? AND name > ? ORDER BY name LIMIT ?",
                *(folder, last, page),
            )
            found.update({row["name"]: (row["size"], row["mtime_ns"]) for row in rows})
            if len(rows) < page:
                return found
            last = rows[-1]["name"]

    def folders(self) -> set[str]:
        """Every folder that files are known in."""
        return {
            row["folder"]
            for row in self.rows("SELECT DISTINCT folder FROM pictures WHERE state < 2")
        }

    def there(self, name: str) -> bool:
        """Whether a file is where its name says; behind a link, which may lead anywhere, it is not."""
        path = str(self.root / name)
        return os.path.lexists(path) and os.path.realpath(path) == path

    # --- writing down -----------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, in which files may be moved too: nobody else writes meanwhile."""
        try:
            with self._database.changing() as connection:
                yield connection
        except sqlite3.Error as fault:
            raise EaselError(f"{self._database.path} cannot be written: {fault}") from fault
        self.changed()

    def put(self, batch: Sequence[Seen], there: Callable[[str], bool] | None = None) -> None:
        """Writes down files that were read. One that is no longer there is left out; one with the content of a file
        that is gone is that picture."""
        there = there or self.there
        with self.changing() as connection:
            for seen in batch:
                if there(seen.name):
                    self._put(connection, seen, there)

    def _put(
        self, connection: sqlite3.Connection, seen: Seen, there: Callable[[str], bool]
    ) -> None:
        found = connection.execute(
            "SELECT * FROM pictures WHERE name = ? AND state < 2", (seen.name,)
        ).fetchone()
        if found is None:
            same = connection.execute(
                "SELECT * FROM pictures WHERE mark = ?", (seen.facts.mark,)
            ).fetchall()
            file = seen.name.rpartition("/")[2]
            same.sort(key=lambda row: (not row["favourite"], not row["name"].endswith(file)))
            found = next(
                (row for row in same if row["state"] == GONE or not there(row["name"])), None
            )
        values = _values(seen, found)
        if found is None:
            number = connection.execute(INSERT, values).lastrowid
        else:
            number = found["id"]
            connection.execute(UPDATE, (*values, number))
            if found["mark"] == seen.facts.mark:
                return
            self._drop_texts(connection, [number])
        facts = seen.facts
        connection.execute(
            "INSERT INTO texts VALUES (?, ?, ?, ?)",
            (number, facts.prompt, facts.negative_prompt, facts.parameters),
        )
        connection.execute(
            "INSERT INTO words (rowid, prompt, negative_prompt) VALUES (?, ?, ?)",
            (number, indexed(facts.prompt), indexed(facts.negative_prompt)),
        )

    def gone(self, names: Iterable[str], although_there: bool = False) -> None:
        """Takes out of sight what is no longer on the disk; a name that is there after all stays, unless
        `although_there` says that it holds no picture any more."""
        with self.changing() as connection:
            connection.executemany(
                "UPDATE pictures SET state = 2, left_s = ? WHERE name = ? AND state < 2",
                [(time.time(), name) for name in names if although_there or not self.there(name)],
            )

    def gone_below(self, folder: str) -> None:
        """As `gone`, for all that is known directly in a folder."""
        if names := list(self.versions(folder)):
            self.gone(names)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drops rows for good."""
        with self.changing() as connection:
            self._drop_texts(connection, numbers)
            connection.executemany("DELETE FROM pictures WHERE id = ?", [(n,) for n in numbers])

    def forget_gone(self, before_s: float) -> None:
        """Drops what was gone before a time."""
        rows = self.rows("SELECT id FROM pictures WHERE state = 2 AND left_s < ?", before_s)
        if rows:
            self.forget([row["id"] for row in rows])

    def _drop_texts(self, connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
        connection.executemany("DELETE FROM texts WHERE id = ?", [(n,) for n in numbers])
        connection.executemany("DELETE FROM words WHERE rowid = ?", [(n,) for n in numbers])


def _values(seen: Seen, found: sqlite3.Row | None) -> tuple[Any, ...]:
    """A row's values in the order of `COLUMNS`; `found` is the row that it had, whose owner and time of leaving
    it keeps."""
    facts = seen.facts
    trashed = seen.name.startswith(TRASH + "/")
    home = seen.name.removeprefix(TRASH + "/")
    left_s: float | None = None
    owner, job, task = seen.owner, seen.job, facts.task
    if trashed:
        left_s = time.time()
    if found is not None:
        if not job:
            owner, job = found["owner"], found["job"]
            task = found["task"] if job and found["mark"] == facts.mark else task
        if trashed and found["state"] == TRASHED:
            home, left_s = found["home"], found["left_s"]
        elif trashed:
            home = found["home"]
    return (
        *(TRASHED if trashed else HERE, seen.name, seen.name.rpartition("/")[0], home),
        *(facts.size, facts.mtime_ns, facts.mark, facts.stamp, facts.width, facts.height),
        *(facts.made_s, day_of(facts.made_s), task, facts.model, facts.sampler, facts.seed),
        *(owner, job, left_s),
    )


def as_picture(row: sqlite3.Row, root: Path) -> GalleryPicture:
    """A row of `PICTURES`; in the trash `name` is where the file goes back to."""
    trashed = row["state"] == TRASHED
    return GalleryPicture(
        id=row["id"],
        path=root / row["name"],
        name=row["home"] if trashed else row["name"],
        stamp=row["stamp"],
        width=row["width"],
        height=row["height"],
        made_s=row["made_s"],
        task=row["task"],
        model=row["model"],
        sampler=row["sampler"],
        seed=row["seed"],
        prompt=row["prompt"],
        negative_prompt=row["negative_prompt"],
        parameters=row["parameters"],
        favourite=bool(row["favourite"]),
        owner=row["owner"],
        job=row["job"],
        trashed_s=row["left_s"] if trashed else None,
    )
