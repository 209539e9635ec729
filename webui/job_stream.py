"""Waiting for jobs on an event loop: whoever waits takes no thread, does not ask over and over, and may go any time.

Knows the engine's listeners (`EngineFace.watch`) and asyncio; knows neither Gradio nor HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from webui.errors import RequestError
from webui.types import EngineFace, JobStatus

__all__ = ["Interest", "News", "changes", "ended", "news_of"]


class News:
    """Whether something has changed since it was last waited for. Belongs to the event loop on which it is made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._told = False  # the loop has been woken, or is about to be

    def wake(self) -> None:
        """Something has changed. May be called from any thread, and does not block."""
        if not self._told:
            self._told = True
            with suppress(RuntimeError):  # the loop has ended, and whoever waited with it
                self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, timeout_s: float | None = None) -> None:
        """Until something has changed since the last wait, or `timeout_s` seconds have passed. What is asked for after
        this holds at least what was told of."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout_s)
        self._event.clear()
        self._told = False  # last: what changes from here on wakes anew


class Interest:
    """Whether somebody still wants what a stream tells: true when called, until it is lost."""

    def __init__(self) -> None:
        self._lost = False
        self._wakes: list[Callable[[], None]] = []

    def __call__(self) -> bool:
        return not self._lost

    def lose(self) -> None:
        """Nobody wants it any more; the stream ends."""
        self._lost = True
        for wake in self._wakes:
            wake()

    def on_loss(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)


@contextmanager
def news_of(
    engine: EngineFace, jobs: Iterable[str], wanted: Interest | None = None
) -> Iterator[News]:
    """News of any of these jobs, and of the loss of interest in them, while it is entered. Of a job that is not known
    there is none."""
    with ExitStack() as watching:
        news = News()
        if wanted is not None:
            wanted.on_loss(news.wake)
        for job in jobs:
            with suppress(RequestError):
                watching.enter_context(engine.watch(job, news.wake))
        yield news


async def changes(
    engine: EngineFace,
    job: str,
    at_least_s: float = 0.0,
    wanted: Interest | None = None,
) -> AsyncIterator[JobStatus]:
    """Every status of a job that differs from the one before, at least `at_least_s` apart, to the last, or
    for as long as it is `wanted`. Raises `RequestError` for a job that is not known."""
    version = -1
    with news_of(engine, [job], wanted) as news:
        while wanted is None or wanted():
            status = engine.status(job)
            if status.version != version:
                version = status.version
                yield status
            if status.ended:
                return
            if at_least_s:
                await asyncio.sleep(at_least_s)
            await news.wait()


async def ended(engine: EngineFace, job: str) -> JobStatus:
    """The last status of a job."""
    async for status in changes(engine, job):
        if status.ended:
            return status
    raise AssertionError("a job's changes end with its last status")
