"""What a served page keeps of its visitors, and that it rests while nobody asks."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.ui.painter import FlatPainter
from webui.ui.gradio_adapter import RestingQueue
from webui.ui.page import SESSIONS, Page


def blocks_of(page: Page) -> Any:
    return page._blocks


def test_the_page_has_a_queue_that_rests(page: Page) -> None:
    assert isinstance(blocks_of(page)._queue, RestingQueue)


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
