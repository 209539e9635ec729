"""A job's events as they happen, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Whoever listens costs a short call a few times a second, and nothing once they have gone.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from io import BytesIO
from typing import Any

from anyio import to_thread

from webui.errors import RequestError
from webui.types import EngineFace

__all__ = ["stream"]

LAST = ("done", "failed", "cancelled")
ASK_S = 0.1
PREVIEW_S = 0.5
ALIVE_S = 15.0  # proxies close what is silent for a minute
RETRY_MS = 2000  # when a client that lost its connection should come back


async def stream(
    engine: EngineFace, job_id: str, after: int, previews: bool
) -> AsyncGenerator[bytes, None]:
    """The events of a job after number `after`, to its last; between them a `preview` where there is a new
    one. Previews have no number: they are not repeated for who comes back."""
    loop = asyncio.get_running_loop()
    alive = shown = loop.time()
    seen: tuple[Any, ...] = ()
    yield f"retry: {RETRY_MS}\n\n".encode()
    while True:
        try:
            ended = engine.status(job_id).ended  # asked before the events: none comes after its end
            events = engine.events(job_id, after)
        except RequestError:  # it was so long ago that it is forgotten
            return
        for event in events:
            yield _event(event.kind, dict(event.data), event.number)
            after, alive = event.number, loop.time()
            if event.kind in LAST:
                return
        if ended:
            return
        if previews and loop.time() - shown >= PREVIEW_S:
            shown = loop.time()
            status = engine.status(job_id)
            stands = (status.step, len(status.pictures))
            if status.state == "running" and status.step and stands != seen:
                seen = stands
                preview = await to_thread.run_sync(_preview, engine, job_id)
                if preview is not None:
                    yield _event("preview", {"image": preview, "step": status.step})
                    alive = loop.time()
        if loop.time() - alive >= ALIVE_S:
            alive = loop.time()
            yield b": still here\n\n"
        await asyncio.sleep(ASK_S)


def _event(kind: str, data: dict[str, Any], number: int | None = None) -> bytes:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _preview(engine: EngineFace, job_id: str) -> str | None:
    """What a job's picture looks like now, as a JPEG data URL."""
    try:
        picture = engine.preview(job_id)
    except RequestError:
        return None
    if picture is None:
        return None
    out = BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
