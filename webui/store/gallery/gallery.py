"""The gallery as the rest of the program has it (`webui.types.GalleryFace`)."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from webui.errors import EaselError, RequestError, Sentence
from webui.store.gallery.files import SUFFIXES, Broken, facts
from webui.store.gallery.index import Index, UnknownPicture, in_parts
from webui.store.gallery.listing import mark_anew
from webui.store.gallery.rows import Seen, as_picture
from webui.store.gallery.scanning import Scanner
from webui.store.gallery.schema import HERE, TRASHED
from webui.store.gallery.searching import LIMIT_MAX, asking, facet, visible
from webui.store.gallery.thumbnail_prefetch import NEWEST, ThumbnailPrefetch
from webui.store.gallery.trash import move_back, move_to_trash, remove
from webui.store.thumbnails import Thumbnails
from webui.types import Found, GalleryPicture, SavedPicture, Search

__all__ = ["Gallery"]

log = logging.getLogger(__name__)
DAY_S = 24 * 3600
GONE_DAYS = 30  # how long the row of a vanished file waits for its return
FACETS = ("model", "sampler", "task", "day")


class Gallery:
    """A `GalleryFace` over `outputs_dir`, its index in `folder`. Raises as `Index` does.

    `draw` makes a file's thumbnail (WebP) and raises `EaselError` where it cannot. `logins` are the names of those
    who may log in, if anybody has to. `whose` says which job made a file, and whose that was, if a job did.
    """

    def __init__(
        self,
        folder: Path,
        outputs_dir: Path,
        draw: Callable[[Path], bytes],
        *,
        trash_days: float = 30,
        logins: Sequence[str] = (),
        whose: Callable[[Path], tuple[str, str] | None] = lambda path: None,
        thumbnails_bytes: float = 2e9,
    ) -> None:
        self._given = outputs_dir.absolute()
        self._root = Path(os.path.realpath(outputs_dir))
        self._index = Index(folder, self._root)
        self._thumbnails = Thumbnails(folder / "thumbnails", draw, thumbnails_bytes)
        self._trash_days = trash_days
        self._logins = tuple(logins)
        self._whose = whose
        self._scanner = Scanner(self._index, self._seen, self.tidy)
        self._prefetch = ThumbnailPrefetch(self._thumbnails, self._newest, lambda: self.version)
        self._remembering = threading.Lock()
        self._remembered: tuple[int, dict[Any, Any]] = (0, {})

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged index went, if it was."""
        return self._index.set_aside

    @property
    def version(self) -> int:
        return self._index.version

    def watch(self, busy: Callable[[], bool] = lambda: False) -> None:
        """Begins to look for files that others add, move or delete, gently while `busy`, and to draw thumbnails while
        not."""
        self._scanner.start(busy)
        self._prefetch.start(busy)

    def scan(self) -> None:
        """Looks at every file once, now."""
        self._scanner.look(thorough=True)

    def close(self) -> None:
        self._prefetch.stop()
        self._scanner.stop()
        self._thumbnails.close()
        self._index.close()

    # --- finding ----------------------------------------------------------------------------------

    def search(self, search: Search, owner: str | None = None) -> Found:
        asked = asking(search, visible(owner, self._logins))
        limit = max(1, min(search.limit, LIMIT_MAX))
        sql, values = asked.page(limit + 1, search.after)
        rows = self._index.rows(sql, *values)
        pictures = tuple(as_picture(row, self._root) for row in rows[:limit])
        more = str(rows[limit - 1]["place"]) if len(rows) > limit else ""
        if not search.after and not more:
            return Found(pictures, "", len(pictures))
        count, counted = asked.count()
        total = self._once((count, counted), lambda: self._index.rows(count, *counted)[0][0])
        return Found(pictures, more, total)

    def facets(self, owner: str | None = None) -> Mapping[str, Sequence[tuple[str, int]]]:
        mine = visible(owner, self._logins)

        def counted(column: str) -> list[tuple[str, int]]:
            sql, values = facet(column, mine)
            return [(row["value"], row["pictures"]) for row in self._index.rows(sql, *values)]

        return {column: self._once((column, mine), partial(counted, column)) for column in FACETS}

    def _once(self, key: Any, ask: Callable[[], Any]) -> Any:
        """What `ask` gives, remembered until anything changes."""
        version = self._index.version
        with self._remembering:
            if self._remembered[0] != version:
                self._remembered = (version, {})
            known = self._remembered[1]
        if key not in known:
            known[key] = ask()
        return known[key]

    def get(self, picture: int, owner: str | None = None) -> GalleryPicture:
        """A picture as its file is now: one that others have changed is read again, one that they have deleted
        is unknown."""
        found = self._index.picture(picture)
        if found is None or found.id not in self._allowed([picture], owner):
            raise UnknownPicture(f"picture {picture} is not known: it may have been deleted")
        name = found.path.relative_to(self._root).as_posix()
        try:
            status = os.lstat(found.path)
            if not self._index.there(name):
                raise FileNotFoundError
            known = self._index.rows("SELECT size, mtime_ns FROM pictures WHERE id = ?", picture)[0]
            if (status.st_size, status.st_mtime_ns) != (known["size"], known["mtime_ns"]):
                self._index.put([Seen(name, facts(found.path))])
        except (FileNotFoundError, NotADirectoryError):
            self._index.gone([name])
            raise UnknownPicture(f"picture {picture} is no longer there") from None
        except Broken as fault:
            raise UnknownPicture(f"picture {picture} is damaged: {fault}") from None
        except OSError as fault:
            raise UnknownPicture(f"picture {picture} cannot be read: {fault.strerror}") from None
        return self._index.picture(picture) or found

    def at(self, path: Path, owner: str | None = None) -> GalleryPicture | None:
        name = self._name(path)
        found = self._index.named(name) if name is not None else None
        return found if found is not None and self._allowed([found.id], owner) else None

    def thumbnail(self, picture: int, owner: str | None = None) -> Path:
        found = self.get(picture, owner)
        try:
            return self._thumbnails.of(found.path, found.stamp)
        except EaselError as fault:
            raise UnknownPicture(f"picture {picture} cannot be shown small: {fault}") from fault

    def files(
        self, pictures: Sequence[int], owner: str | None = None
    ) -> Sequence[tuple[Path, str, int]]:
        """Path, name and bytes of pictures, in the order asked for. Raises `UnknownPicture` unless all are known."""
        allowed = self._allowed(pictures, owner)
        missing = next((number for number in pictures if number not in allowed), None)
        if missing is not None:
            raise UnknownPicture(f"picture {missing} is not known: it may have been deleted")
        found = {}
        for part in in_parts(list(allowed)):
            marks = ", ".join("?" * len(part))
            for row in self._index.rows(
                f"SELECT id, name, home, size FROM pictures WHERE id IN ({marks})", *part
            ):
                found[row["id"]] = (self._root / row["name"], row["home"], row["size"])
        return [found[number] for number in dict.fromkeys(pictures) if number in found]

    def _allowed(self, pictures: Sequence[int], owner: str | None) -> dict[int, int]:
        """The states of those pictures, here or in the trash, that `owner` may see."""
        mine = visible(owner, self._logins)
        found = {}
        for part in in_parts(list(dict.fromkeys(pictures))):
            marks = ", ".join("?" * len(part))
            for row in self._index.rows(
                f"SELECT id, state FROM pictures WHERE id IN ({marks}) AND state < 2 AND {mine.condition}",
                *part,
                *mine.values,
            ):
                found[row["id"]] = row["state"]
        return found

    # --- changing ---------------------------------------------------------------------------------

    def add(self, saved: SavedPicture, task: str, owner: str, job: str) -> None:
        """Takes up a picture that was made here. What goes wrong is logged: the picture is on the disk, and will be
        found there."""
        name = self._name(saved.path)
        if name is None or saved.path.suffix.lower() not in SUFFIXES:  # a file of another kind
            return
        try:
            known = replace(facts(self._root / name), task=task)
            self._index.put([Seen(name, known, owner, job)])
            self._thumbnails.soon(self._root / name, known.stamp)
        except (EaselError, OSError, Broken) as fault:
            log.warning("%s is not in the gallery yet: %s", saved.path, fault)

    def favour(self, pictures: Sequence[int], on: bool, owner: str | None = None) -> Sequence[int]:
        numbers = list(self._some(pictures, owner))
        for some in in_parts(numbers):
            with self._index.changing() as connection:
                for number in some:
                    connection.execute(
                        "UPDATE pictures SET favourite = ? WHERE id = ?", (on, number)
                    )
                    mark_anew(connection, number)
        self._index.keep_favourites()
        return numbers

    def trash(self, pictures: Sequence[int], owner: str | None = None) -> Sequence[int]:
        states = self._some(pictures, owner)
        return move_to_trash(self._index, [n for n, state in states.items() if state == HERE])

    def restore(self, pictures: Sequence[int], owner: str | None = None) -> Sequence[int]:
        states = self._some(pictures, owner)
        return move_back(self._index, [n for n, state in states.items() if state == TRASHED])

    def empty_trash(self, owner: str | None = None) -> int:
        """Deletes for good what `owner` sees of the trash; gives how many that were."""
        mine = visible(owner, self._logins)
        rows = self._index.rows(
            f"SELECT id FROM pictures WHERE state = ? AND {mine.condition}", TRASHED, *mine.values
        )
        return remove(self._index, [row["id"] for row in rows])

    def is_favourite(self, path: Path) -> bool:
        """Whether the picture of a file is one, be it in the trash."""
        name = self._name(path)
        return name is not None and bool(
            self._index.rows("SELECT 1 FROM pictures WHERE home = ? AND favourite LIMIT 1", name)
        )

    def tidy(self) -> None:
        """Empties the trash of what has lain there long enough, and drops what belongs to no picture any more."""
        now = time.time()
        if self._trash_days:
            rows = self._index.rows(
                "SELECT id FROM pictures WHERE state = ? AND left_s < ?",
                *(TRASHED, now - self._trash_days * DAY_S),
            )
            if rows:
                remove(self._index, [row["id"] for row in rows])
        self._index.forget_gone(now - GONE_DAYS * DAY_S)
        rows = self._index.rows("SELECT stamp FROM pictures WHERE state < 2")
        self._thumbnails.tidy({row["stamp"] for row in rows})

    def _some(self, pictures: Sequence[int], owner: str | None) -> dict[int, int]:
        """As `_allowed`, in the order asked for; raises `UnknownPicture` where that is none at all."""
        if not pictures:
            raise RequestError(Sentence("ids: name at least one picture"), "ids")
        allowed = self._allowed(pictures, owner)
        if not allowed:
            raise UnknownPicture("none of these pictures is known: they may have been deleted")
        return {number: allowed[number] for number in dict.fromkeys(pictures) if number in allowed}

    def _name(self, path: Path) -> str | None:
        """The path below the outputs folder, None for a file that is not there."""
        for root in (self._given, self._root):
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix()
        real = Path(os.path.realpath(path))
        return real.relative_to(self._root).as_posix() if real.is_relative_to(self._root) else None

    def _newest(self) -> list[tuple[Path, str]]:
        sql = "SELECT name, stamp FROM pictures WHERE state = ? AND place IS NOT NULL ORDER BY place LIMIT ?"
        return [
            (self._root / row["name"], row["stamp"]) for row in self._index.rows(sql, HERE, NEWEST)
        ]

    def _seen(self, name: str) -> Seen:
        """A file that the scanner has found, read. Raises as `facts` does."""
        known = facts(self._root / name)
        job, owner = self._whose(self._given / name) or ("", "")
        return Seen(name, known, owner, job)
