"""A job's events as they happen, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Whoever listens waits for the engine's word that the job has changed, and costs nothing in between.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator
from typing import Any

from webui.errors import RequestError
from webui.http.previews import Previews, first_of, standing
from webui.job_stream import news_of
from webui.types import EngineFace

__all__ = ["stream"]

LAST = ("done", "failed", "cancelled")
APART_S = 0.1  # events that come at once are told together
PREVIEW_S = 0.5
ALIVE_S = 15.0  # proxies close what is silent for a minute
RETRY_MS = 2000  # when a client that lost its connection should come back


async def stream(
    engine: EngineFace, job_id: str, after: int, previews: Previews | None
) -> AsyncGenerator[bytes, None]:
    """The events of a job after number `after`, to its last; between them a `preview` where there is a new
    one in `previews`. They have no number: they are not repeated for who comes back."""
    loop = asyncio.get_running_loop()
    alive = shown = loop.time()
    seen: object = None  # how far the picture of the last preview was
    yield f"retry: {RETRY_MS}\n\n".encode()
    with news_of(engine, [job_id]) as news:
        while True:
            try:
                status = engine.status(job_id)  # asked before the events: none comes after its end
                events = engine.events(job_id, after)
            except RequestError:  # it was so long ago that it is forgotten
                return
            for event in events:
                yield _event(event.kind, dict(event.data), event.number)
                after, alive = event.number, loop.time()
                if event.kind in LAST:
                    return
            if status.ended:
                return
            place = first_of(status)
            stands = place, standing(status, place)
            due = status.state == "running" and status.step > 0 and stands != seen
            if previews and due and loop.time() - shown >= PREVIEW_S:
                shown, seen, due = loop.time(), stands, False
                preview = await previews.of(status)
                if preview is not None:
                    yield _event(
                        "preview", {"image": preview, "picture": place, "step": status.step}
                    )
                    alive = loop.time()
            if loop.time() - alive >= ALIVE_S:
                alive = loop.time()
                yield b": still here\n\n"
            await asyncio.sleep(APART_S)
            next_s = min(alive + ALIVE_S, shown + PREVIEW_S if previews and due else math.inf)
            await news.wait(max(next_s - loop.time(), 0.0))


def _event(kind: str, data: dict[str, Any], number: int | None = None) -> bytes:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
