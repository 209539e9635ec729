"""Waiting for a job without holding a thread or the device: whoever waits may go, the job goes on."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator

import gradio as gr

from webui.errors import EaselError
from webui.types import EngineFace, JobStatus

__all__ = ["changes", "ended", "words_of"]

LATE = 0.03  # an answer comes at most this fraction of the job's time late,
SHORTEST_S, LONGEST_S = 0.01, 0.25  # within these bounds


async def changes(
    engine: EngineFace, job: str, at_least_s: float = 0.0
) -> AsyncIterator[JobStatus]:
    """Every status of a job that differs from the one before, at least `at_least_s` apart, to the last.

    Asks instead of waiting in a thread: a hundred waiters cost a hundred short calls a few times a
    second, where waking a hundred threads at every step would take the processor from the device.
    """
    loop = asyncio.get_running_loop()
    began, version = loop.time(), -1
    while True:
        status = engine.status(job)
        if status.version != version:
            version = status.version
            yield status
        if status.ended:
            return
        pause = min(max((loop.time() - began) * LATE, SHORTEST_S), LONGEST_S)
        await asyncio.sleep(max(pause, at_least_s))


async def ended(engine: EngineFace, job: str) -> JobStatus:
    """The last status of a job."""
    async for status in changes(engine, job):
        if status.ended:
            return status
    raise AssertionError("a job's changes end with its last status")


def words_of(error: EaselError | str) -> gr.Error:
    """An error as Gradio sends it: the sentence alone, escaped (clients render it as HTML)."""
    return gr.Error(html.escape(str(error), quote=False), print_exception=False)
