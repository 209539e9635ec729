"""What running jobs look like, drawn once for all who listen to one."""

from __future__ import annotations

import asyncio
import base64
from io import BytesIO
from typing import TypeAlias

from anyio import to_thread

from webui.errors import RequestError
from webui.types import EngineFace, JobStatus

__all__ = ["Previews", "first_of", "standing"]

Standing: TypeAlias = tuple[int, int]

PICTURES = 64  # whose last preview is kept


class Previews:
    """The last preview of each picture. Belongs to one event loop; drawn on other threads."""

    def __init__(self, engine: EngineFace) -> None:
        self._engine = engine
        self._drawn: dict[tuple[str, int], tuple[Standing, asyncio.Task[bytes | None]]] = {}

    async def of(self, status: JobStatus) -> str | None:
        """A job's first running picture as it stands, as a JPEG data URL; None where there is none."""
        drawn = await self.picture(status, first_of(status))
        return None if drawn is None else url_of(drawn)

    async def picture(self, status: JobStatus, place: int) -> bytes | None:
        """A picture of a job as it stands, as a JPEG; None where there is nothing to be seen of it."""
        picture = (status.id, place)
        stands, drawing = self._drawn.pop(picture, (None, None))
        if drawing is None or stands != standing(status, place):
            stands = standing(status, place)
            drawing = asyncio.create_task(to_thread.run_sync(self._draw, *picture))
        assert stands is not None
        self._drawn[picture] = (stands, drawing)  # last: the oldest goes first
        if len(self._drawn) > PICTURES:
            del self._drawn[next(iter(self._drawn))]
        return await asyncio.shield(drawing)  # others wait for it when this one has gone

    def _draw(self, job_id: str, place: int) -> bytes | None:
        try:
            picture = self._engine.preview(job_id, place)
        except RequestError:
            return None
        if picture is None:
            return None
        out = BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=82)
        return out.getvalue()


def url_of(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def first_of(status: JobStatus) -> int:
    """The place of the picture whose step the status tells."""
    return status.running[0].index if status.running else 0


def standing(status: JobStatus, place: int) -> Standing:
    """How far a picture is; another preview is worth drawing where that differs."""
    step = next((one.step for one in status.running if one.index == place), status.step)
    return step, len(status.pictures)
