"""Files to the trash and back: renamed on their own disk, a few at a time in one step with their rows."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count, islice
from pathlib import Path, PurePosixPath

from webui.errors import EaselError, Sentence
from webui.store.gallery.index import Index
from webui.store.gallery.listing import enlist
from webui.store.gallery.rows import TRASH
from webui.store.gallery.schema import HERE, TRASHED

__all__ = ["move_back", "move_to_trash", "remove"]

log = logging.getLogger(__name__)
NAMES = 10_000  # that are tried for a file
AT_ONCE = 20  # files in one transaction
FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY


def move_to_trash(index: Index, pictures: Sequence[int]) -> list[int]:
    """Moves the files of pictures into the trash folder, under their paths; gives those that were moved. Raises
    `EaselError` where the disk lets none go."""
    return _move(index, pictures, HERE)


def move_back(index: Index, pictures: Sequence[int]) -> list[int]:
    """Moves files to where they were; under another name where something else has theirs by now."""
    return _move(index, pictures, TRASHED)


def _move(index: Index, pictures: Sequence[int], state: int) -> list[int]:
    moved: list[int] = []
    fault: OSError | None = None
    for at in range(0, len(pictures), AT_ONCE):
        left: list[tuple[str, str]] = []
        with _back(index.root, left), index.changing() as connection:  # short: others write too
            for number in pictures[at : at + AT_ONCE]:
                row = connection.execute(
                    "SELECT name, home FROM pictures WHERE id = ? AND state = ?", (number, state)
                ).fetchone()
                if row is None:
                    continue
                try:
                    _move_one(index.root, connection, number, row, state, left)
                except FileNotFoundError:
                    continue  # gone: the scanner will see
                except OSError as error:
                    fault = error
                    continue
                moved.append(number)
        if state == TRASHED:
            for name, _ in left:
                _drop_empty_folders(index.root, name)
    if fault is not None and not moved:
        raise EaselError(Sentence("the file cannot be moved: {why}", why=fault.strerror)) from fault
    return moved


def _move_one(
    root: Path,
    connection: sqlite3.Connection,
    number: int,
    row: sqlite3.Row,
    state: int,
    left: list[tuple[str, str]],
) -> None:
    """Moves one file, with its row; adds its old and its new name to `left`. Raises `OSError`."""
    if state == HERE:
        name = _rename(root, row["name"], f"{TRASH}/{row['name']}")
        home, left_s = row["name"], time.time()
    else:
        name = home = _rename(root, row["name"], row["home"])
        left_s = None
    left.append((row["name"], name))
    connection.execute(
        "UPDATE pictures SET state = ?, name = ?, folder = ?, home = ?, left_s = ? WHERE id = ?",
        (
            *(TRASHED if state == HERE else HERE, name, name.rpartition("/")[0], home),
            *(left_s, number),
        ),
    )
    enlist(connection, number)


@contextmanager
def _back(root: Path, left: list[tuple[str, str]]) -> Iterator[None]:
    """Where the index cannot be written, as on a full disk, files go back to where it says that they are."""
    try:
        yield
    except EaselError:
        for old, new in reversed(left):
            try:
                _rename(root, new, old)
            except OSError as fault:  # the scanner will find it where it is
                log.warning("%s cannot be moved back: %s", new, fault.strerror)
        raise


def remove(index: Index, pictures: Sequence[int]) -> int:
    """Deletes files of the trash for good, with their rows; gives how many."""
    removed = []
    for number in pictures:
        rows = index.rows("SELECT name FROM pictures WHERE id = ? AND state = ?", number, TRASHED)
        if not rows:
            continue
        try:
            (index.root / rows[0]["name"]).unlink(missing_ok=True)
        except OSError as fault:
            log.warning("%s cannot be deleted: %s", rows[0]["name"], fault.strerror)
            continue
        removed.append(number)
        _drop_empty_folders(index.root, rows[0]["name"])
    if removed:
        index.forget(removed)
    return len(removed)


def _rename(root: Path, name: str, wish: str) -> str:
    """Renames a file below `root` to `wish`, or to the next free name; gives that. The new name is taken before
    it is used, so nothing is written over."""
    source = root / name
    if not source.is_file():
        raise FileNotFoundError
    for free in islice(_names(wish), NAMES):
        target = root / free
        target.parent.mkdir(parents=True, exist_ok=True)
        if not Path(os.path.realpath(target.parent)).is_relative_to(root):
            raise PermissionError(1, "its folder is a link that leads elsewhere")
        try:
            os.close(os.open(target, FLAGS, 0o600))
        except FileExistsError:
            continue
        try:
            os.replace(source, target)
        except BaseException:
            target.unlink()
            raise
        return free
    raise FileExistsError(errno.EEXIST, "so many files of that name are there")


def _names(wish: str) -> Iterator[str]:
    """`a/b.png`, `a/b (2).png`, `a/b (3).png`, ..."""
    yield wish
    path = PurePosixPath(wish)
    for number in count(2):
        yield path.with_name(f"{path.stem} ({number}){path.suffix}").as_posix()


def _drop_empty_folders(root: Path, name: str) -> None:
    """Removes the folders of the trash that are empty now."""
    for folder in PurePosixPath(name).parents:
        if folder.parts[:1] != (TRASH,):
            return
        with suppress(OSError):
            (root / folder).rmdir()
