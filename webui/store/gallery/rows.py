"""Files as rows of `pictures`, and rows as pictures."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui.store.gallery.files import Facts, day_of
from webui.store.gallery.schema import HERE, TRASHED
from webui.types import GalleryPicture

__all__ = ["INSERT", "PICTURES", "TRASH", "UPDATE", "Seen", "as_picture", "values_of"]

TRASH = ".trash"  # the folder below the outputs folder
COLUMNS = (
    *("state", "name", "folder", "home", "size", "mtime_ns", "mark", "stamp", "width", "height"),
    *("made_s", "day", "task", "model", "sampler", "seed", "owner", "job", "left_s"),
)
INSERT = f"INSERT INTO pictures ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
UPDATE = f"UPDATE pictures SET {', '.join(f'{name} = ?' for name in COLUMNS)} WHERE id = ?"
PICTURES = "SELECT * FROM pictures JOIN texts USING (id)"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was seen and read. `name` is its path below the outputs folder, with "/" between."""

    name: str
    facts: Facts
    owner: str = ""
    job: str = ""


def values_of(seen: Seen, found: sqlite3.Row | None) -> tuple[Any, ...]:
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
