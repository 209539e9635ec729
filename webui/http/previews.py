"""What running jobs look like, drawn once for all who listen to one."""

from __future__ import annotations

import asyncio
import base64
from io import BytesIO

from anyio import to_thread

from webui.errors import RequestError
from webui.types import EngineFace, JobStatus

__all__ = ["Previews"]

JOBS = 64  # whose last preview is kept


class Previews:
    """The last preview of each job. Belongs to one event loop; drawn on other threads."""

    def __init__(self, engine: EngineFace) -> None:
        self._engine = engine
        self._drawn: dict[str, tuple[tuple[int, int], asyncio.Task[str | None]]] = {}

    async def of(self, status: JobStatus) -> str | None:
        """A job's picture as it stands, as a JPEG data URL; None where there is none."""
        stands, drawing = self._drawn.pop(status.id, (None, None))
        if drawing is None or stands != standing(status):
            stands = standing(status)
            drawing = asyncio.create_task(to_thread.run_sync(self._draw, status.id))
        assert stands is not None
        self._drawn[status.id] = (stands, drawing)  # last: the oldest goes first
        if len(self._drawn) > JOBS:
            del self._drawn[next(iter(self._drawn))]
        return await asyncio.shield(drawing)  # others wait for it when this one has gone

    def _draw(self, job_id: str) -> str | None:
        try:
            picture = self._engine.preview(job_id)
        except RequestError:
            return None
        if picture is None:
            return None
        out = BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def standing(status: JobStatus) -> tuple[int, int]:
    """How far a job is; another preview is worth drawing where that differs."""
    return status.step, len(status.pictures)
