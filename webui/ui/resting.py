"""Gradio's queue of events, at rest while nothing is asked: its own looks a thousand times a second whether something
waits, a twentieth of a processor that serves nobody. And the server around it, which looks ten times a second
whether it shall stop.

Also what is known here of events and visitors. All of it leans on Gradio: tests/ui/test_resting.py says on what.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gradio.queueing import Queue
from gradio.utils import run_coro_in_background, set_task_name

__all__ = ["SESSIONS", "RestingQueue", "rested"]

LOOK_S = 1.0  # between two looks for what nobody told of; also for Gradio's progress bars, which nothing here uses
# Browser tabs whose components Gradio keeps, about 0.9 MB each. Calls of the API count too: one that names no session
# has its own. What is kept too briefly is made again, for no handler depends on it.
SESSIONS = 24


class RestingQueue(Queue):  # type: ignore[misc]
    """A queue in the state of another that has not started."""

    def __init__(self, queue: Queue) -> None:
        self.__dict__.update(vars(queue))
        self.stopped: bool = queue.stopped
        self.progress_update_sleep_when_free = LOOK_S
        self._turn = asyncio.Event()  # something came, or something is done

    async def start_processing(self) -> None:
        try:
            while not self.stopped:
                self._turn.clear()
                while await self._begun():
                    pass
                try:
                    await asyncio.wait_for(self._turn.wait(), LOOK_S)
                except asyncio.TimeoutError:  # another class on Python 3.10
                    continue
        finally:
            self.stopped = True
            self._cancel_asyncio_tasks()

    async def _begun(self) -> bool:
        """Begins with what has waited longest, if there is something and a place for it."""
        if len(self) == 0 or None not in self.active_jobs:
            return False
        async with self.delete_lock:
            found = self.get_events()
        if not found:
            return False
        events, batch, concurrency_id = found
        first, began = events[0], time.time()
        self.active_jobs[self.active_jobs.index(None)] = events
        queue = self.event_queue_per_concurrency_id[concurrency_id]
        queue.current_concurrency += 1
        queue.start_times_per_fn[first.fn].add(began)
        for event in events:
            if event._id in self.event_analytics:
                self.event_analytics[event._id]["status"] = "processing"
        task = run_coro_in_background(self.process_events, events, batch, began, first.fn)
        set_task_name(task, first.session_hash, first.fn._id, first._id, batch)
        self._asyncio_tasks.add(task)
        task.add_done_callback(self._asyncio_tasks.discard)
        if self.live_updates:
            self.broadcast_estimations(concurrency_id)
        return True

    async def push(self, *args: Any, **kwargs: Any) -> Any:
        pushed = await super().push(*args, **kwargs)
        self._turn.set()
        return pushed

    async def process_events(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().process_events(*args, **kwargs)
        finally:
            self._turn.set()

    def has_event(self, event: str) -> bool:
        """Whether an event has not been answered, or its answer has not been fetched."""
        waiting = self.pending_event_ids_session
        if event in self.event_ids_to_events or event in waiting.get(event, ()):
            return True
        return any(event in events for events in list(waiting.values()))

    def has_session(self, session: str) -> bool:
        """Whether something was asked in a session lately."""
        return session in self.pending_messages_per_session


def rested(server: Any) -> Callable[[], None]:
    """Lets a running `uvicorn.Server` look once a second whether it shall stop. Gives what ends that: to be called
    before it is stopped, so that nobody waits for it."""
    look, stopping = server.on_tick, asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def seldom(counter: int) -> bool:
        loops[:] = [asyncio.get_running_loop()]
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopping.wait(), LOOK_S - 0.1)  # it waits a tenth itself
        stop: bool = await look(0)  # as at each full second: the time of day is told, too
        return stop

    server.on_tick = seldom

    def woken() -> None:
        for loop in loops:
            with suppress(RuntimeError):  # closed already
                loop.call_soon_threadsafe(stopping.set)

    return woken
