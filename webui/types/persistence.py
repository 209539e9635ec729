"""What is remembered of jobs between starts, as the engine sees it: plain values, and whoever keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from webui.types.jobs import JobState, SavedPicture, SubmissionKey
from webui.types.requests import GenerationRequest

__all__ = ["JobPersistence", "Record", "Replies", "StoredJob", "Unmarked", "Witness"]


@dataclass(frozen=True, slots=True)
class Record:
    """One reply that a task received: `call` says which call it answers and `reply` how it is made of its arrays
    (both as plain JSON), `parts` are those, as (dtype, shape, bytes)."""

    call: Mapping[str, Any]
    parts: tuple[tuple[str, tuple[int, ...], bytes | memoryview], ...] = ()
    reply: Any = None


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as it was kept. `pictures` are those that are on disk, by their place in the job; `skipped` the places of
    those that are given up, `begun` of those that have a log of replies; `interrupted`: it ends with what there is."""

    id: str
    request: GenerationRequest
    owner: str
    priority: int
    state: JobState
    created_s: float
    pictures: Mapping[int, SavedPicture] = field(default_factory=lambda: MappingProxyType({}))
    error: str | None = None
    ended_s: float | None = None
    interrupted: bool = False
    skipped: Collection[int] = frozenset()
    begun: Collection[int] = frozenset()


class Replies(Protocol):
    """The log of one picture's replies. One thread uses it at a time."""

    def read(self, header: Mapping[str, Any]) -> Sequence[Record] | None:
        """The whole records, if the log was begun with an equal `header`; else it is begun anew, and this is None
        where there was another."""
        ...

    def append(self, record: Record) -> None: ...

    def close(self) -> None: ...

    def keep(self) -> None:
        """The picture is saved: its log stays where such logs are to be kept, else it goes."""
        ...

    def remove(self) -> None:
        """The picture is not made, or the log is worth nothing."""
        ...


class JobPersistence(Protocol):
    """Remembers jobs. Every method may be called from any thread; what it was told is on disk when it returns."""

    def accept(self, job: StoredJob, key: SubmissionKey | None) -> str:
        """Keeps a new job and gives its id: that of an earlier one that came with the same `key`. Raises
        `RequestError` where that one came with another body."""
        ...

    def changed(
        self,
        job_id: str,
        state: JobState,
        priority: int = 0,
        error: str | None = None,
        interrupted: bool = False,
        skipped: Collection[int] = (),
    ) -> None: ...

    def unfinished(self) -> Sequence[StoredJob]:
        """The jobs that had not ended, in the order they came."""
        ...

    def ended(self, limit: int) -> Sequence[StoredJob]:
        """The last `limit` jobs that had ended, in the order they came, their requests without pictures."""
        ...

    def request(self, job_id: str) -> GenerationRequest:
        """A job's request with its pictures; `EaselError` where they are gone."""
        ...

    def replies(self, job_id: str, index: int) -> Replies: ...

    def folder(self, job_id: str, index: int) -> Path:
        """Where the files of a picture in the making may lie; it need not be there. Whoever makes it removes it."""
        ...


class Witness(Protocol):
    """Knows, after a start that ended badly, what was going on. `enter_...` and `leave` stand around work, on one
    thread; any thread may call."""

    def enter_pictures(self, *pictures: tuple[str, int, int]) -> None:
        """This thread works on pictures: job, place, and how many replies each has had."""
        ...

    def enter_model(self, name: str) -> None:
        """This thread reads a model that nobody has asked for yet."""
        ...

    def leave(self) -> None: ...

    def picture(self, job: str, index: int) -> str | None:
        """None for a picture that nothing is known of, "" for one to be made alone, else why its job has failed."""
        ...

    def model(self, name: str) -> bool:
        """Whether a start ended badly while this model was read before anybody asked for it."""
        ...

    def forget_pictures(self, but: Collection[str]) -> None:
        """Forgets the pictures of all jobs but those."""
        ...


class Unmarked:
    """A `Witness` that sees nothing."""

    def enter_pictures(self, *pictures: tuple[str, int, int]) -> None: ...

    def enter_model(self, name: str) -> None: ...

    def leave(self) -> None: ...

    def picture(self, job: str, index: int) -> str | None:
        return None

    def model(self, name: str) -> bool:
        return False

    def forget_pictures(self, but: Collection[str]) -> None: ...
