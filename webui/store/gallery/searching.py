"""A search as SQL. Pages are found by where the one before ended, so the thousandth costs what the first does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from webui.errors import RequestError
from webui.store.gallery.index import HERE, PICTURES, TRASHED
from webui.store.gallery.words import query
from webui.types import GalleryPicture, Search

__all__ = ["LIMIT_MAX", "Asking", "after", "asking", "facet", "page_of", "visible"]

LIMIT_MAX = 500
AFTER = re.compile(r"(-?\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?)_(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Asking:
    """A condition on `pictures`, and its values. `has_words` says that it looks for words; `match` is the full-text
    query where it does nothing else, among what is here."""

    condition: str
    values: tuple[Any, ...]
    match: str = ""
    has_words: bool = False

    def ids(self) -> tuple[str, tuple[Any, ...]]:
        """The query of every picture's number, the newest first."""
        return (
            f"SELECT id FROM pictures WHERE {self.condition} ORDER BY made_s DESC, id DESC",
            self.values,
        )

    def count(self) -> tuple[str, tuple[Any, ...]]:
        if self.match:  # far cheaper by the words alone, less what is in the trash or gone
            matching = "FROM words WHERE words MATCH ?"
            return (
                f"SELECT (SELECT count(*) {matching}) - (SELECT count(*) FROM pictures "
                f"WHERE state IN (1, 2) AND id IN (SELECT rowid {matching}))",
                (self.match, self.match),
            )
        return f"SELECT count(*) FROM pictures WHERE {self.condition}", self.values

    def page(self, limit: int, behind: str) -> tuple[str, tuple[Any, ...]]:
        """The query of the page behind `behind` ("" for the first). Raises `RequestError` for one that is none of
        ours."""
        condition, values = self.condition, self.values
        if behind:
            found = AFTER.fullmatch(behind)
            if found is None:
                raise RequestError("after: give the `next` of an earlier page", "after")
            condition += " AND (made_s, id) < (?, ?)"
            values = (*values, float(found[1]), int(found[2]))
        # The rows are chosen by an index alone; only those of the page are read.
        inner = f"SELECT id FROM pictures WHERE {condition} ORDER BY made_s DESC, id DESC LIMIT ?"
        return (
            f"{PICTURES} WHERE id IN ({inner}) ORDER BY made_s DESC, id DESC",
            (*values, limit),
        )


def page_of(numbers: Sequence[int]) -> tuple[str, tuple[Any, ...]]:
    """The query of these pictures, the newest first."""
    marks = ", ".join("?" * len(numbers))
    return f"{PICTURES} WHERE id IN ({marks}) ORDER BY made_s DESC, id DESC", tuple(numbers)


def after(picture: GalleryPicture) -> str:
    """What asks for the page behind a picture."""
    return f"{picture.made_s!r}_{picture.id}"


def asking(search: Search, mine: Asking) -> Asking:
    """What a search asks for, of the pictures that `mine` lets through. Raises `RequestError` for a day that is
    none."""
    conditions = ["state = ?", mine.condition]
    values: list[Any] = [TRASHED if search.trash else HERE, *mine.values]
    for name in ("model", "sampler", "task"):
        if value := getattr(search, name):
            conditions.append(f"{name} = ?")
            values.append(value)
    if search.favourites:
        conditions.append("favourite")
    if search.from_day:
        conditions.append("made_s >= ?")
        values.append(_midnight(_day(search.from_day, "from_day")))
    if search.to_day:
        conditions.append("made_s < ?")
        values.append(_midnight(_day(search.to_day, "to_day") + timedelta(days=1)))
    match, others = query(search.words)
    if match:
        conditions.append("id IN (SELECT rowid FROM words WHERE words MATCH ?)")
        values.append(match)
    for word in others:
        like = re.sub(r"([\\%_])", r"\\\1", word)
        conditions.append(
            r"id IN (SELECT id FROM texts WHERE prompt LIKE ? ESCAPE '\' OR negative_prompt LIKE ? ESCAPE '\')"
        )
        values += [f"%{like}%"] * 2
    words_alone = len(conditions) == 3 and not (search.trash or mine.values or others)
    return Asking(
        " AND ".join(conditions), tuple(values), match if words_alone else "", bool(match)
    )


def facet(column: str, mine: Asking) -> tuple[str, tuple[Any, ...]]:
    """The values of a column with how many pictures have them: the most frequent first, days the newest first."""
    order = "value DESC" if column == "day" else "pictures DESC, value"
    return (
        f"SELECT {column} AS value, count(*) AS pictures FROM pictures "
        f"WHERE state = ? AND {mine.condition} AND {column} != '' GROUP BY {column} ORDER BY {order}",
        (HERE, *mine.values),
    )


def visible(owner: str | None, logins: Sequence[str]) -> Asking:
    """Whose pictures `owner` sees (None: everybody's). The first login also sees those of no login: files that no
    job made, and what was made while nobody had to log in."""
    if owner is None:
        return Asking("1", ())
    if logins and owner == logins[0]:
        others = tuple(logins[1:])
        return Asking(f"owner NOT IN ({', '.join('?' * len(others))})", others)
    return Asking("owner = ?", (owner,))


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{field} {text!r}: give a day as 2026-11-20", field) from None


def _midnight(day: date) -> float:
    """When a day begins in the server's time zone."""
    try:
        return datetime(day.year, day.month, day.day).timestamp()
    except (OverflowError, OSError, ValueError):
        return 0.0
