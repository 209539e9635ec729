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
from pathlib import Path
from typing import Any, TypeVar

from webui.errors import EaselError, RequestError, Sentence
from webui.store.database import Database
from webui.store.gallery.favourites import Favourites
from webui.store.gallery.listing import enlist
from webui.store.gallery.rows import INSERT, PICTURES, UPDATE, Seen, as_picture, values_of
from webui.store.gallery.schema import GONE, MIGRATIONS
from webui.types import GalleryPicture

__all__ = ["Index", "UnknownPicture", "in_parts"]

Value = TypeVar("Value")

FILE = "gallery.db"
CACHE_KIB = 32_000  # of the connection that only asks
AT_ONCE = 500  # rows in one transaction: others write in between
WAITING_AT_ONCE = 100


class UnknownPicture(RequestError):
    """There is no such picture for who asks; whether there is one for somebody else is not told."""


class Index:
    """The index of one data folder, over the files under `root`. Any thread may use it. Raises as `Database` does,
    and `EaselError` where the disk says no."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        self._database = Database(folder / FILE, MIGRATIONS)
        # What a power failure takes can be found again on the disk.
        self._database.rows("PRAGMA synchronous = NORMAL")
        self._asking = threading.Lock()
        self._reader = _reader(self._database.path)
        self._favourites = Favourites(folder, self._is_known)
        if not self._favourites.is_kept:
            self.keep_favourites()
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
        with self._asking:
            self._reader.close()
        self._database.close()

    # --- asking -----------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """What a SELECT finds of all that is committed; waits for nobody who writes."""
        with self._asking:
            return self._reader.execute(sql, values).fetchall()

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
            raise EaselError(
                Sentence("{path} cannot be written: {why}", path=self._database.path, why=fault)
            ) from fault
        self.changed()

    def put(self, batch: Sequence[Seen], there: Callable[[str], bool] | None = None) -> None:
        """Writes down files that were read. One that is no longer there is left out; one with the content of a file
        that is gone is that picture."""
        there = there or self.there
        with self.changing() as connection:
            # By their places: out of order, full-text search would begin a new list for each.
            for seen in sorted(batch, key=lambda seen: -seen.facts.made_s):
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
        values = values_of(seen, found)
        if found is None:
            number = int(connection.execute(INSERT, values).lastrowid or 0)
            if self._favourites.claim(seen.facts.mark, values[3], there):
                connection.execute("UPDATE pictures SET favourite = 1 WHERE id = ?", (number,))
        else:
            number = int(found["id"])
            connection.execute(UPDATE, (*values, number))
        if found is None or found["mark"] != seen.facts.mark:
            facts = seen.facts
            connection.execute(
                "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)",
                (number, facts.prompt, facts.negative_prompt, facts.parameters),
            )
        enlist(connection, number)

    def keep_favourites(self) -> None:
        """Writes the favourites down for an index that has to be made anew."""
        rows = self.rows("SELECT mark, home FROM pictures WHERE favourite")
        self._favourites.keep((row["mark"], row["home"]) for row in rows)

    def _is_known(self, mark: str) -> bool:
        return bool(self.rows("SELECT 1 FROM pictures WHERE mark = ?", mark))

    def list_waiting(self) -> bool:
        """Lists some pictures of an older version's index, the newest first; False where none is left."""
        waiting = "FROM pictures WHERE place IS NULL AND state < 2"
        if not self.rows(f"SELECT 1 {waiting} LIMIT 1"):
            return False
        with self.changing() as connection:
            found = connection.execute(
                f"SELECT id {waiting} ORDER BY made_s DESC LIMIT ?", (WAITING_AT_ONCE,)
            )
            for row in found.fetchall():
                enlist(connection, row["id"])
        return True

    def gone(self, names: Iterable[str], although_there: bool = False) -> None:
        """Takes out of sight what is no longer on the disk; a name that is there after all stays, unless
        `although_there` says that it holds no picture any more."""
        for some in in_parts(list(names)):
            with self.changing() as connection:
                for name in some:
                    row = connection.execute(
                        "SELECT id FROM pictures WHERE name = ? AND state < 2", (name,)
                    ).fetchone()
                    if row is not None and (although_there or not self.there(name)):
                        connection.execute(
                            "UPDATE pictures SET state = ?, left_s = ? WHERE id = ?",
                            (GONE, time.time(), row["id"]),
                        )
                        enlist(connection, row["id"])

    def gone_below(self, folder: str) -> None:
        """As `gone`, for all that is known directly in a folder."""
        if names := list(self.versions(folder)):
            self.gone(names)

    def forget(self, numbers: Sequence[int]) -> None:
        """Drops rows for good."""
        for some in in_parts(numbers):
            with self.changing() as connection:
                for number in some:
                    place = "SELECT place FROM pictures WHERE id = ?"
                    connection.execute(f"DELETE FROM words WHERE rowid = ({place})", (number,))
                    connection.execute("DELETE FROM texts WHERE id = ?", (number,))
                    connection.execute("DELETE FROM pictures WHERE id = ?", (number,))

    def forget_gone(self, before_s: float) -> None:
        """Drops what was gone before a time."""
        rows = self.rows("SELECT id FROM pictures WHERE state = 2 AND left_s < ?", before_s)
        if rows:
            self.forget([row["id"] for row in rows])


def _reader(path: Path) -> sqlite3.Connection:
    """A connection of its own for questions: in WAL mode it need not wait for a transaction."""
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def in_parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """What one transaction or one statement takes at once."""
    return (values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE))
