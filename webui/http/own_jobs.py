"""The engine as one visitor has it: what they submit is theirs, and jobs that are not theirs do not exist.

Who may see which is `Visitor`'s to say; the API has such an engine in its hands, never the engine itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from webui.errors import RequestError
from webui.types import (
    EngineFace,
    Event,
    GenerationRequest,
    JobStatus,
    ModelCard,
    SubmissionKey,
    Visitor,
)

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["OwnJobs", "UnknownJob"]


class UnknownJob(RequestError):
    """There is no such job for who asks; whether there is one for somebody else is not told."""


class OwnJobs:
    """An `EngineFace`. `visitor` gives who asks, whenever something is asked."""

    def __init__(self, engine: EngineFace, visitor: Callable[[], Visitor]) -> None:
        self._engine = engine
        self._visitor = visitor

    def submit(
        self,
        request: GenerationRequest,
        owner: str = "",
        priority: int = 0,
        key: SubmissionKey | None = None,
    ) -> str:
        """As the engine's, for the visitor whatever `owner` says. Two visitors' equal keys are two keys."""
        owner = self._visitor().owner
        if key is not None:
            own = hashlib.sha256(f"{owner}\n{key.key}".encode()).hexdigest()
            key = SubmissionKey(own, key.body)
        return self._engine.submit(request, owner, priority, key)

    def repeat(self, job_id: str, owner: str = "", changes: Mapping[str, Any] | None = None) -> str:
        """As the engine's, for the visitor whatever `owner` says."""
        self._own(job_id)
        return self._engine.repeat(job_id, self._visitor().owner, changes)

    def request(self, job_id: str) -> GenerationRequest:
        self._own(job_id)
        return self._engine.request(job_id)

    def _own(self, job_id: str) -> JobStatus:
        try:
            status = self._engine.status(job_id)
        except RequestError:
            status = None
        if status is None or not self._visitor().sees(status):
            raise UnknownJob(f"job {job_id!r} is not known: it may have ended long ago")
        return status

    def status(self, job_id: str) -> JobStatus:
        return self._own(job_id)

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        self._own(job_id)
        return self._engine.wait(job_id, after, timeout_s)

    def watch(self, job_id: str, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """As the engine's. Of any job ("") it tells that something has changed, not what."""
        if job_id:
            self._own(job_id)
        return self._engine.watch(job_id, wake)

    def events(self, job_id: str, after: int = 0) -> Sequence[Event]:
        self._own(job_id)
        return self._engine.events(job_id, after)

    def cancel(self, job_id: str) -> None:
        self._own(job_id)
        self._engine.cancel(job_id)

    def interrupt(self, job_id: str) -> None:
        self._own(job_id)
        self._engine.interrupt(job_id)

    def skip(self, job_id: str, picture: int | None = None) -> int | None:
        self._own(job_id)
        return self._engine.skip(job_id, picture)

    def pause(self, job_id: str) -> None:
        self._own(job_id)
        self._engine.pause(job_id)

    def resume(self, job_id: str) -> None:
        self._own(job_id)
        self._engine.resume(job_id)

    def prioritise(self, job_id: str, priority: int) -> None:
        self._own(job_id)
        self._engine.prioritise(job_id, priority)

    def preview(self, job_id: str, picture: int | None = None) -> Image | None:
        self._own(job_id)
        return self._engine.preview(job_id, picture)

    def jobs(self) -> Sequence[JobStatus]:
        visitor = self._visitor()
        return [status for status in self._engine.jobs() if visitor.sees(status)]

    def count_tokens(self, model: str, text: str) -> int:
        return self._engine.count_tokens(model, text)

    def models(self) -> Sequence[ModelCard]:
        return self._engine.models()

    def describe(self) -> Mapping[str, str]:
        return self._engine.describe()
