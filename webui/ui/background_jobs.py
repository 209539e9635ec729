"""Jobs that the stage does not show, for another was asked for before they ended: their pictures, for its strip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import gradio as gr
from anyio import to_thread

from webui.errors import RequestError
from webui.job_stream import Interest, news_of
from webui.sentences import Sentence
from webui.types import EngineFace
from webui.ui.gradio_adapter import say
from webui.ui.pictures import OwnPictures
from webui.ui.stage import job_value, link_new, stopped
from webui.ui.visitors import Visitors

__all__ = ["Added", "asked_for", "collected"]

MOST = 32  # jobs of one question
PAUSE_S = 0.25
PLACES = 256  # browser tabs


class Added:
    """The jobs that a browser tab has lately added to the one that it shows. All are told with each one and with all
    that is told of the shown job: of two updates of the page that come at once, the first is lost, and answers may
    come in another order than they were given in."""

    def __init__(self) -> None:
        self._lately: dict[str, tuple[str, ...]] = {}

    def note(self, place: str, job: str) -> tuple[str, ...]:
        """Gives all of the place, the newest last."""
        jobs = (*self._lately.pop(place, ()), job)[-MOST:]
        self._lately[place] = jobs
        if len(self._lately) > PLACES:
            del self._lately[next(iter(self._lately))]
        return jobs

    def lately(self, place: str) -> tuple[str, ...]:
        """All of the place, the newest last."""
        return self._lately.get(place, ())


def asked_for(
    event: gr.EventData, engine: EngineFace, visitors: Visitors, request: gr.Request
) -> tuple[list[str], int]:
    """The jobs that an event names, as far as whoever sent it may see them, and the question's number."""
    named, number = getattr(event, "jobs", None), getattr(event, "number", None)
    found = []
    for job in named[:MOST] if isinstance(named, list) else ():
        try:
            found.append(visitors.status(engine, job, request).id)
        except RequestError:  # ended long ago, or somebody else's
            continue
    return found, number if isinstance(number, int) else 0


async def collected(
    engine: EngineFace, own: OwnPictures, jobs: Sequence[str], wanted: Interest
) -> AsyncIterator[dict[str, dict[str, Any]]]:
    """What the stage would be told of each job at its end, of all that have ended so far, whenever there is one
    more, for as long as it is `wanted`."""
    waiting, found = [*jobs], dict[str, dict[str, Any]]()
    with news_of(engine, jobs, wanted) as news:
        while waiting and wanted():
            for job in [*waiting]:
                try:
                    status = engine.status(job)
                except RequestError:  # forgotten meanwhile
                    waiting.remove(job)
                    continue
                if not status.ended:
                    continue
                waiting.remove(job)
                if stopped(status):  # the page asks again when the server is back
                    continue
                linked: dict[str, Mapping[str, Any]] = {}
                await to_thread.run_sync(link_new, status, own, linked)
                if not wanted():
                    return
                if status.state == "failed":
                    say(status.error or Sentence("The job failed"))
                found[job] = job_value(status, {}, linked)
                yield dict(found)
            if waiting:
                await asyncio.sleep(PAUSE_S)
                await news.wait()
