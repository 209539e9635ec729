"""Waiting for jobs on an event loop: every change is heard, nobody polls, nobody takes a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.conftest import request
from webui.errors import RequestError
from webui.job_stream import Interest, News, changes, ended
from webui.types import JobStatus


class Engine:
    """Statuses that a test sets, from any thread; counts how often it is asked."""

    def __init__(self) -> None:
        self.now = JobStatus("j", "queued", 1, request())
        self.asked = 0
        self.wakes: list[Callable[[], None]] = []

    def status(self, job: str) -> JobStatus:
        self.asked += 1
        if job != "j":
            raise RequestError(f"job {job!r} is not known")
        return self.now

    @contextmanager
    def watch(self, job: str, wake: Callable[[], None]) -> Iterator[None]:
        self.status(job)
        self.wakes.append(wake)
        try:
            yield
        finally:
            self.wakes.remove(wake)

    def change(self, **values: Any) -> None:
        self.now = replace(self.now, version=self.now.version + 1, **values)
        for wake in [*self.wakes]:
            wake()


def run(main: Any) -> Any:
    """On a thread of its own: a browser of other tests may have a loop on this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(asyncio.wait_for(main, 60))).result()


async def heard(engine: Engine, wanted: Interest | None = None) -> list[int]:
    return [status.version async for status in changes(engine, "j", wanted=wanted)]  # type: ignore[arg-type]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_every_status_is_heard_to_the_last_and_nothing_is_asked_between() -> None:
    engine = Engine()

    async def main() -> list[int]:
        hearing = asyncio.create_task(heard(engine))
        await settled()
        asked = engine.asked
        await asyncio.sleep(0.3)
        assert engine.asked == asked  # nobody polls
        for step in (1, 2):
            await asyncio.to_thread(engine.change, state="running", step=step)
            await settled()
        await asyncio.to_thread(engine.change, state="done")
        return await hearing

    assert run(main()) == [1, 2, 3, 4]
    assert engine.wakes == []


def test_changes_at_once_wake_once_and_the_last_is_heard() -> None:
    engine = Engine()

    async def main() -> list[int]:
        hearing = asyncio.create_task(heard(engine))
        await settled()
        asked = engine.asked
        for _ in range(1000):
            engine.change()
        engine.change(state="failed")
        found = await hearing
        assert engine.asked == asked + 1
        return found

    assert run(main()) == [1, 1002]


def test_a_change_while_a_status_is_told_is_not_missed() -> None:
    engine = Engine()

    async def main() -> list[str]:
        found = []
        async for status in changes(engine, "j"):  # type: ignore[arg-type]
            found.append(status.state)
            if status.state == "queued":
                engine.change(state="done")
        return found

    assert run(main()) == ["queued", "done"]


def test_who_loses_interest_goes_at_once() -> None:
    engine, wanted = Engine(), Interest()

    async def main() -> list[int]:
        hearing = asyncio.create_task(heard(engine, wanted))
        await settled()
        assert wanted() and engine.wakes
        wanted.lose()
        return await hearing

    assert run(main()) == [1]
    assert not wanted() and engine.wakes == []


def test_hundreds_who_wait_take_no_thread() -> None:
    engine = Engine()

    async def main() -> list[JobStatus]:
        before = threading.active_count()
        waiting = [asyncio.create_task(ended(engine, "j")) for _ in range(500)]  # type: ignore[arg-type]
        await settled()
        assert len(engine.wakes) == 500 and threading.active_count() == before
        engine.change(state="cancelled")
        return await asyncio.gather(*waiting)

    assert {status.state for status in run(main())} == {"cancelled"}


def test_who_goes_is_not_told_any_more() -> None:
    engine = Engine()

    async def main() -> None:
        hearing = asyncio.create_task(heard(engine))
        await settled()
        hearing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hearing

    run(main())
    assert engine.wakes == []


def test_a_job_that_is_not_known_is_an_error_and_a_loop_that_has_ended_is_none() -> None:
    async def of(job: str) -> JobStatus:
        return await ended(Engine(), job)  # type: ignore[arg-type]

    with pytest.raises(RequestError, match="is not known"):
        run(of("lost"))

    async def news() -> News:
        return News()

    run(news()).wake()
