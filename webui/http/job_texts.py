"""Jobs as JSON text, kept for as long as they do not change: a long queue is told at the price of joining it."""

from __future__ import annotations

from collections.abc import Sequence

from anyio import to_thread
from pydantic import TypeAdapter

from webui.http.views import Job, view
from webui.types import JobStatus

__all__ = ["JobTexts"]

AT_ONCE = 64  # jobs that are put into words in no time; more of them hold nobody up
SPARE = 1000  # texts of jobs that were not told lately
JSON = TypeAdapter(Job)


class JobTexts:
    """The JSON of each job at the moment of its last change. Belongs to one event loop."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[tuple[int, int], bytes]] = {}

    async def listed(self, statuses: Sequence[JobStatus]) -> bytes:
        """`{"jobs": [...]}` of these."""
        new = [status for status in statuses if self._known(status) is None]
        if len(new) <= AT_ONCE:
            self._write(new)
        else:
            await to_thread.run_sync(self._write, new)
        texts = [self._known(status) or _text(status) for status in statuses]
        if len(self._texts) > len(statuses) + SPARE:
            told = {status.id for status in statuses}
            self._texts = {job: kept for job, kept in self._texts.items() if job in told}
        return b'{"jobs":[' + b",".join(texts) + b"]}"

    def _known(self, status: JobStatus) -> bytes | None:
        moment, text = self._texts.get(status.id, (None, None))
        return text if moment == _moment(status) else None

    def _write(self, statuses: Sequence[JobStatus]) -> None:
        for status in statuses:
            self._texts[status.id] = (_moment(status), _text(status))


def _moment(status: JobStatus) -> tuple[int, int]:
    """Equal while nothing has changed; a place in the queue changes with others."""
    return status.version, status.position


def _text(status: JobStatus) -> bytes:
    return JSON.dump_json(view(status))
