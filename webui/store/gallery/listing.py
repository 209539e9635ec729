"""What a search looks through: a row of `words` for each picture that is here or in the trash.

Its number is the picture's place: the newer the smaller, those in the trash behind all others. So full-text search
gives pictures in their order and stops at the end of a page. What is filtered by is a word, too (`words.mark`): SQLite
walks a few sorted lists of numbers at the same time, which is quicker than a look at every row that has the words.
"""

from __future__ import annotations

import math
import random
import sqlite3
from itertools import count

from webui.store.gallery.schema import GONE, TRASHED
from webui.store.gallery.search_tokens import indexed, mark, signs

__all__ = ["EVERY", "FAVOURITE", "enlist", "mark_anew", "place_at", "places"]

EVERY = mark("every", "")  # the mark of all that is listed
FAVOURITE = mark("favourite", "")
A_SECOND = 2**14  # places
LATEST_S = 2**33  # since 1970: the year 2242
IN_TRASH = 2**50  # what the trash adds to a place
MIDDLE = 2**49  # below are those that are here, above those in the trash
STEPS = 8  # neighbours that are tried, before any place within the second or so is taken
ROW = (
    "SELECT id, state, place, made_s, model, sampler, task, owner, favourite, prompt, negative_prompt "
    "FROM pictures JOIN texts USING (id) WHERE id = ?"
)


def place_at(made_s: float, trashed: bool = False) -> int:
    """The place of a picture of that time. A later time's is smaller or the same; that of a whole second has no older
    picture's."""
    made_s = min(max(made_s, -LATEST_S), LATEST_S)
    return LATEST_S * A_SECOND - math.floor(made_s * A_SECOND) + (IN_TRASH if trashed else 0)


def places(trashed: bool) -> tuple[int, int]:
    """Between which places those are that are here, or in the trash."""
    return (MIDDLE, 2**62) if trashed else (-(2**62), MIDDLE)


def enlist(connection: sqlite3.Connection, number: int) -> None:
    """Lists a picture as its row is now, and no longer as it was; one that is gone is not listed."""
    row = connection.execute(ROW, (number,)).fetchone()
    if row["place"] is not None:
        connection.execute("DELETE FROM words WHERE rowid = ?", (row["place"],))
        connection.execute("UPDATE pictures SET place = NULL WHERE id = ?", (number,))
    if row["state"] == GONE:
        return
    place = _free(connection, place_at(row["made_s"], row["state"] == TRASHED))
    connection.execute("UPDATE pictures SET place = ? WHERE id = ?", (place, number))
    connection.execute(
        "INSERT INTO words (rowid, prompt, negative_prompt, marks) VALUES (?, ?, ?, ?)",
        (place, indexed(row["prompt"]), indexed(row["negative_prompt"]), _marks(row)),
    )


def mark_anew(connection: sqlite3.Connection, number: int) -> None:
    """As `enlist`, where nothing but what it is filtered by has changed."""
    row = connection.execute(ROW, (number,)).fetchone()
    if row is not None and row["place"] is not None:
        connection.execute(
            "UPDATE words SET marks = ? WHERE rowid = ?", (_marks(row), row["place"])
        )


def _marks(row: sqlite3.Row) -> str:
    marks = [EVERY, mark("owner", row["owner"])]
    marks += [mark(kind, row[kind]) for kind in ("model", "sampler", "task") if row[kind]]
    if row["favourite"]:
        marks.append(FAVOURITE)
    return " ".join((*marks, *signs(row["prompt"], row["negative_prompt"])))


def _free(connection: sqlite3.Connection, place: int) -> int:
    """`place`, or a free one a little newer: files of a thousand pictures may have the same time."""
    for attempt in count():
        step = attempt if attempt < STEPS else random.randrange(2**attempt)
        taken = connection.execute("SELECT 1 FROM pictures WHERE place = ?", (place - step,))
        if taken.fetchone() is None:
            return place - step
    raise AssertionError("the places have no end")
