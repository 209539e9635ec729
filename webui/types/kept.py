"""What is remembered of jobs between starts, as the engine sees it: plain values, and whoever keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from webui.types.jobs import JobState, SavedPicture
from webui.types.requests import GenerationRequest

__all__ = ["Keeper", "KeptJob", "Record", "Replies"]


@dataclass(frozen=True, slots=True)
class Record:
    """One reply that a task received: `call` says which call it answers (as plain JSON), `parts` are raw arrays
    as (dtype, shape, bytes)."""

    call: Mapping[str, Any]
    parts: tuple[tuple[str, tuple[int, ...], bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A job as it was kept. `pictures` are those that are on disk, by their place in the job."""

    id: str
    request: GenerationRequest
    owner: str
    priority: int
    state: JobState
    created_s: float
    pictures: Mapping[int, SavedPicture] = field(default_factory=lambda: MappingProxyType({}))
    error: str | None = None
    ended_s: float | None = None


class Replies(Protocol):
    """The log of one picture's replies. One thread uses it at a time."""

    def read(self, header: Mapping[str, Any]) -> Sequence[Record]:
        """The whole records, if the log was begun with an equal `header`; else it is begun anew."""
        ...

    def append(self, record: Record) -> None: ...

    def close(self) -> None: ...

    def remove(self) -> None:
        """The picture is done, or the log is worth nothing."""
        ...


class Keeper(Protocol):
    """Remembers jobs. Every method may be called from any thread; what it was told is on disk when it returns."""

    def accept(self, job: KeptJob, key: str | None) -> str:
        """Keeps a new job and gives its id: that of an earlier one that came with the same `key`."""
        ...

    def changed(
        self, job_id: str, state: JobState, priority: int = 0, error: str | None = None
    ) -> None: ...

    def unfinished(self) -> Sequence[KeptJob]:
        """The jobs that had not ended, in the order they came."""
        ...

    def ended(self, limit: int) -> Sequence[KeptJob]:
        """The last `limit` jobs that had ended, in the order they came, their requests without pictures."""
        ...

    def request(self, job_id: str) -> GenerationRequest:
        """A job's request with its pictures; `EaselError` where they are gone."""
        ...

    def replies(self, job_id: str, index: int) -> Replies: ...
