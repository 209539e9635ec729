"""Gradio's queue and server at rest: nothing is asked, next to nothing is done; what is asked begins at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.ui.painter import FlatPainter
from webui.ui.page import Page
from webui.ui.resting import LOOK_S, SESSIONS, RestingQueue, rested


def blocks_of(page: Page) -> Any:
    return page._blocks


def test_the_page_has_a_queue_that_rests(page: Page) -> None:
    queue = blocks_of(page)._queue
    assert isinstance(queue, RestingQueue)
    assert blocks_of(page).app.get_blocks()._queue is queue
    assert queue.progress_update_sleep_when_free >= 0.5


def test_an_idle_queue_waits_for_events_and_does_not_look_for_them(page: Page) -> None:
    """One look, then nothing until something comes."""

    class Counted(RestingQueue):
        looks = 0

        def __len__(self) -> int:
            self.looks += 1
            return 0

    async def idle() -> int:
        queue = Counted(blocks_of(page)._queue)
        run = asyncio.create_task(queue.start_processing())
        for _ in range(1000):  # turns of the loop, without waiting
            await asyncio.sleep(0)
        before = queue.looks
        queue._turn.set()
        for _ in range(10):
            await asyncio.sleep(0)
        run.cancel()
        assert queue.looks == before + 1
        return before

    assert in_a_loop(idle()) == 1


def in_a_loop(made: Any) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:  # the browser tests' loop runs in this thread
        return pool.submit(asyncio.run, made).result()


def test_many_events_at_once_all_begin(http: httpx.Client) -> None:
    events = [
        http.post("/gradio_api/call/v2/samplers", json={}).json()["event_id"] for _ in range(20)
    ]
    for event in events:
        assert "event: complete" in http.get(f"/gradio_api/call/v2/samplers/{event}").text


def test_a_resting_server_looks_once_a_second_until_it_is_to_stop() -> None:
    async def run() -> list[int]:
        looked: list[int] = []

        async def on_tick(counter: int) -> bool:
            looked.append(counter)
            return False

        server = SimpleNamespace(on_tick=on_tick)
        stop = rested(server)
        turn = asyncio.create_task(server.on_tick(7))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not looked
        stop()
        assert await asyncio.wait_for(turn, LOOK_S / 2) is False
        await asyncio.wait_for(server.on_tick(8), LOOK_S / 2)  # nor does anybody wait again
        return looked

    assert in_a_loop(run()) == [0, 0]


def test_calls_without_a_session_do_not_pile_up(http: httpx.Client, page: Page) -> None:
    """Each makes Gradio keep a visitor's copy of the page, about a megabyte."""
    for _ in range(SESSIONS + 1):
        event = http.post("/gradio_api/call/v2/samplers", json={}).json()["event_id"]
        http.get(f"/gradio_api/call/v2/samplers/{event}")
    held = blocks_of(page).state_holder
    assert held.capacity == SESSIONS
    assert len(held.session_data) <= SESSIONS


@pytest.mark.usefixtures("painter")
def test_a_visitor_whose_components_were_dropped_goes_on(
    http: httpx.Client, page: Page, painter: FlatPainter
) -> None:
    dependencies = http.get("/config").json()["dependencies"]
    visit = next(one for one in dependencies if one["api_name"] == "look")
    for _ in range(2):
        body = {"fn_index": visit["id"], "data": [None] * len(visit["inputs"]), "event_data": {}}
        http.post("/gradio_api/queue/join", json={**body, "session_hash": "comes-back"})
        answer = http.get("/gradio_api/queue/data", params={"session_hash": "comes-back"})
        assert '"success":true' in answer.text
        blocks_of(page).state_holder.session_data.pop("comes-back")
