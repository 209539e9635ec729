"""Pictures as the gallery knows them: everything that lies under the outputs folder, whoever put it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["Found", "GalleryFace", "GalleryPicture", "Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """A picture file and what its infotext says. `name` is its path below the outputs folder with "/" between;
    `made_s` and `trashed_s` are seconds since 1970. `stamp` changes when the file does: a link with it may be kept
    for ever. `owner` is whose job made it, "" for a file that no job of ours made."""

    id: int
    path: Path
    name: str
    stamp: str
    width: int
    height: int
    made_s: float
    task: str = ""
    model: str = ""
    sampler: str = ""
    seed: int | None = None
    prompt: str = ""
    negative_prompt: str = ""
    parameters: str = ""
    favourite: bool = False
    owner: str = ""
    job: str = ""
    trashed_s: float | None = None

    @property
    def url(self) -> str:
        """The file itself, relative to the page."""
        return f"api/pictures/{self.id}/file?v={self.stamp}"

    @property
    def thumbnail_url(self) -> str:
        """The picture at most 384 pixels wide and high, relative to the page."""
        return f"api/pictures/{self.id}/thumbnail?v={self.stamp}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for, the newest first. `words` are all found in prompt or negative prompt, each as a word's
    beginning. Days are ISO dates (inclusive) in the server's time zone. `after` is the `next` of the page before."""

    words: str = ""
    model: str = ""
    sampler: str = ""
    task: str = ""
    from_day: str = ""
    to_day: str = ""
    favourites: bool = False
    trash: bool = False
    after: str = ""
    limit: int = 60


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found. `next` asks for the page behind it, "" at the end; `total` counts them all."""

    pictures: tuple[GalleryPicture, ...]
    next: str
    total: int


class GalleryFace(Protocol):
    """The gallery as page and API see it; any thread may call it.

    `owner` is who asks where people log in, and None where everybody sees everything. A picture of somebody else
    is as unknown as one that is not there: `RequestError`.
    """

    @property
    def version(self) -> int:
        """Grows with every change: a picture more, one gone, a favourite."""
        ...

    def search(self, search: Search, owner: str | None = None) -> Found: ...

    def facets(self, owner: str | None = None) -> Mapping[str, Sequence[tuple[str, int]]]:
        """For "model", "sampler", "task" and "day" what there is, with how many pictures."""
        ...

    def get(self, picture: int, owner: str | None = None) -> GalleryPicture: ...

    def at(self, path: Path, owner: str | None = None) -> GalleryPicture | None:
        """The picture of a file, None while it is not known."""
        ...

    def thumbnail(self, picture: int, owner: str | None = None) -> Path:
        """A WebP file, made at the first call, called by the picture's stamp as it is now."""
        ...

    def favour(self, pictures: Sequence[int], on: bool, owner: str | None = None) -> Sequence[int]:
        """Marks pictures as favourites, or no longer; gives those that are there. Here and in the next two: what is
        not known among others that are is passed over, and `RequestError` where none is."""
        ...

    def trash(self, pictures: Sequence[int], owner: str | None = None) -> Sequence[int]:
        """Moves files to the trash; gives those that were moved."""
        ...

    def restore(self, pictures: Sequence[int], owner: str | None = None) -> Sequence[int]:
        """Moves files back to where they were; gives those that were moved."""
        ...

    def empty_trash(self, owner: str | None = None) -> int:
        """Deletes for good what `owner` sees of the trash; gives how many that were."""
        ...

    def files(
        self, pictures: Sequence[int], owner: str | None = None
    ) -> Sequence[tuple[Path, str, int]]:
        """Path, name and size in bytes of each, in the order asked for; `RequestError` unless all are known."""
        ...
