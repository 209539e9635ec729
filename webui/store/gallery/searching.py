"""A search as SQL. Pages are found by where the one before ended, so the thousandth costs what the first does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from webui.errors import RequestError, Sentence
from webui.store.gallery.listing import EVERY, FAVOURITE, place_at, places
from webui.store.gallery.rows import PICTURES
from webui.store.gallery.schema import HERE
from webui.store.gallery.search_tokens import mark, query
from webui.types import Search

__all__ = ["LIMIT_MAX", "Asking", "Sight", "asking", "facet", "visible"]

LIMIT_MAX = 500
AFTER = re.compile(r"-?\d{1,18}")
WORDS = "FROM words WHERE words MATCH ? AND rowid > ? AND rowid < ?"


@dataclass(frozen=True, slots=True)
class Sight:
    """Whose pictures somebody sees: as a condition on `pictures` with its values, and as marks of which a picture
    has `one` ("" for any) and `none`."""

    condition: str
    values: tuple[Any, ...] = ()
    one: str = ""
    none: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """A full-text query, and between which places its pictures are."""

    match: str
    low: int
    high: int

    def count(self) -> tuple[str, tuple[Any, ...]]:
        return f"SELECT count(*) {WORDS}", (self.match, self.low, self.high)

    def page(self, limit: int, behind: str) -> tuple[str, tuple[Any, ...]]:
        """The query of the page behind the place `behind` ("" for the first). Raises `RequestError` for one that is
        none of ours."""
        low = self.low
        if behind:
            if AFTER.fullmatch(behind) is None:
                raise RequestError(Sentence("after: give the `next` of an earlier page"), "after")
            low = max(low, int(behind))
        inner = f"SELECT rowid {WORDS} ORDER BY rowid LIMIT ?"
        return (
            f"{PICTURES} WHERE place IN ({inner}) ORDER BY place",
            (self.match, low, self.high, limit),
        )


def asking(search: Search, mine: Sight) -> Asking:
    """What a search asks for, of the pictures that `mine` lets through. Raises `RequestError` for a day that is
    none."""
    phrases = query(search.words)
    marks = [mine.one] if mine.one else []
    for kind in ("model", "sampler", "task"):
        if value := getattr(search, kind):
            marks.append(mark(kind, value))
    if search.favourites:
        marks.append(FAVOURITE)
    if not phrases and not marks:
        marks.append(EVERY)
    match = " AND ".join((*phrases, *(f'"{one}"' for one in marks)))
    if mine.none:
        others = " OR ".join(f'"{one}"' for one in mine.none)
        match = f"({match}) NOT ({others})"
    low, high = places(search.trash)
    if search.to_day:
        end = _midnight(_day(search.to_day, "to_day"), 1)
        low = max(low, place_at(end, search.trash))
    if search.from_day:
        begin = _midnight(_day(search.from_day, "from_day"))
        high = min(high, place_at(begin, search.trash) + 1)
    return Asking(match, low, high)


def facet(column: str, mine: Sight) -> tuple[str, tuple[Any, ...]]:
    """The values of a column with how many pictures have them: the most frequent first, days the newest first."""
    order = "value DESC" if column == "day" else "pictures DESC, value"
    return (
        f"SELECT {column} AS value, count(*) AS pictures FROM pictures "
        f"WHERE state = ? AND {mine.condition} AND {column} != '' GROUP BY {column} ORDER BY {order}",
        (HERE, *mine.values),
    )


def visible(owner: str | None, logins: Sequence[str]) -> Sight:
    """Whose pictures `owner` sees (None: everybody's). The first login also sees those of no login: files that no
    job made, and what was made while nobody had to log in."""
    if owner is None:
        return Sight("1")
    if logins and owner == logins[0]:
        others = tuple(logins[1:])
        condition = f"owner NOT IN ({', '.join('?' * len(others))})"
        return Sight(condition, others, none=tuple(mark("owner", other) for other in others))
    return Sight("owner = ?", (owner,), one=mark("owner", owner))


def _day(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RequestError(
            Sentence("{field} {text}: give a day as 2026-11-20", field=field, text=repr(text)),
            field,
        ) from None


def _midnight(day: date, days: int = 0) -> float:
    """When a day (or the one so many days later) begins in the server's time zone; one that no clock there knows is
    as far away as can be."""
    try:
        later = day + timedelta(days=days)
        return datetime(later.year, later.month, later.day).timestamp()
    except (OverflowError, OSError, ValueError):
        return float("inf") if day.year > 1970 else float("-inf")
