"""Waiting for a job without holding a thread or the device: whoever waits may go, the job goes on."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from webui.errors import EaselError
from webui.types import EngineFace, JobStatus

__all__ = ["Newest", "changes", "ended", "words_of"]

LATE = 0.03  # an answer comes at most this fraction of the job's time late,
SHORTEST_S, LONGEST_S = 0.01, 0.25  # within these bounds


async def changes(
    engine: EngineFace,
    job: str,
    at_least_s: float = 0.0,
    wanted: Callable[[], bool] = lambda: True,
) -> AsyncIterator[JobStatus]:
    """Every status of a job that differs from the one before, at least `at_least_s` apart, to the last, or
    for as long as it is `wanted`.

    Asks instead of waiting in a thread: a hundred waiters cost a hundred short calls a few times a
    second, where waking a hundred threads at every step would take the processor from the device.
    """
    loop = asyncio.get_running_loop()
    began, version = loop.time(), -1
    while wanted():
        status = engine.status(job)
        if status.version != version:
            version = status.version
            yield status
        if status.ended:
            return
        pause = min(max((loop.time() - began) * LATE, SHORTEST_S), LONGEST_S)
        await asyncio.sleep(max(pause, at_least_s))


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A job on its way to a place. `overtaken` are the jobs that were on their way there when this one began."""

    job: str
    overtaken: tuple[str, ...]
    number: int


class Newest:
    """Of several streams to one place the newest is wanted: a place shows one job."""

    def __init__(self) -> None:
        self._newest: dict[str, Stream] = {}

    @contextmanager
    def stream(
        self, place: str, job: str, number: int = 0
    ) -> Iterator[tuple[Callable[[], bool], tuple[str, ...]]]:
        """Gives whether this stream is still the newest of its place, and the jobs that it has overtaken. One with
        a lower `number` than another is not newer, even where it begins later: Gradio may change their order."""
        before = self._newest.get(place)
        overtaken = () if before is None else (*before.overtaken, before.job)
        mine = Stream(job, tuple(dict.fromkeys(one for one in overtaken if one != job)), number)
        if before is None or before.number <= number:
            self._newest[place] = mine
        try:
            yield lambda: self._newest.get(place) is mine, mine.overtaken
        finally:
            if self._newest.get(place) is mine:
                del self._newest[place]


async def ended(engine: EngineFace, job: str) -> JobStatus:
    """The last status of a job."""
    async for status in changes(engine, job):
        if status.ended:
            return status
    raise AssertionError("a job's changes end with its last status")


def words_of(error: EaselError | str) -> gr.Error:
    """An error as Gradio sends it: the sentence alone, escaped (clients render it as HTML)."""
    return gr.Error(html.escape(str(error), quote=False), print_exception=False)
