"""A server that goes away and comes back: what the page says, and what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.ui.hands import generate, line, module, number
from tests.ui.painter import FlatPainter, until
from webui.types import JobStatus
from webui.ui import Page

pytestmark = pytest.mark.browser

STOPPED = "Easel was stopped; this job goes on at the next start"
LOST = "The server does not answer: press again when it is back."


@pytest.fixture
def own_tab(window: Any, page: Page) -> Iterator[Any]:
    """A browser tab that may complain: requests that nobody answers are in its console."""
    tab = window.new_page()
    tab.goto(page.url)
    tab.locator(".easel-task:visible .easel-generate").wait_for()
    yield tab
    tab.close()


def leave(tab: Any, what: str = "**/*") -> None:
    """From now on nobody answers."""
    tab.route(what, lambda route: route.abort())


def lost(tab: Any) -> Any:
    return tab.locator(".easel-problem-line:visible", has_text=LOST)


def silent(tab: Any) -> Any:
    """The foot, while it says that the server is silent."""
    return tab.locator(".easel-foot .foot-engine:visible", has_text="The server does not answer")


def seed(tab: Any) -> str:
    found: str = tab.locator("#txt2img-seed input[type=number], input#txt2img-seed").input_value()
    return found


def stop(painter: FlatPainter, patch: pytest.MonkeyPatch) -> None:
    """What a stopped engine tells of its jobs; undone it is the engine of the next start."""
    told = painter.status

    def status(job_id: str) -> JobStatus:
        found = told(job_id)
        if found.ended:
            return found
        return replace(found, state="cancelled", error=STOPPED, version=found.version + 1)

    patch.setattr(painter, "status", status)
    painter.wake()


def test_a_job_that_a_stopped_server_broke_off_is_followed_when_it_is_back(
    own_tab: Any, painter: FlatPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter.hold.clear()
    generate(own_tab)
    own_tab.locator(".stage-picture[src^='data:image/jpeg']").wait_for()
    with monkeypatch.context() as patch:
        stop(painter, patch)
        line(own_tab, STOPPED).wait_for()
        assert own_tab.locator(".easel-generate:visible").count()
        assert own_tab.locator(".stage-picture[src^='data:image/jpeg']:visible").count()
        assert own_tab.title() == "Easel"
        leave(own_tab, "**/api/state*")
        number(own_tab, "txt2img-seed", 78)
        silent(own_tab).wait_for()
    own_tab.unroute_all()
    line(own_tab, "Step 1 of 4").wait_for()
    painter.hold.set()
    line(own_tab, "1 picture in").wait_for()
    assert seed(own_tab) == "78"  # the page was not loaded anew
    assert not silent(own_tab).count()


def test_a_server_that_is_slow_to_stop_is_waited_for(
    own_tab: Any, painter: FlatPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter.hold.clear()
    generate(own_tab)
    line(own_tab, "Step 1 of 4").wait_for()
    with monkeypatch.context() as patch:
        stop(painter, patch)
        line(own_tab, STOPPED).wait_for()
        for _ in range(2):  # it still answers, and says the same
            own_tab.wait_for_event("request", lambda request: "/queue/join" in request.url)
    line(own_tab, "Step 1 of 4").wait_for()


def test_what_was_added_waits_for_the_server_too(
    own_tab: Any, painter: FlatPainter, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter.hold.clear()
    generate(own_tab)
    line(own_tab, "Step 1 of 4").wait_for()
    own_tab.locator(".easel-add:visible").click()
    line(own_tab, "1 more added").wait_for()
    with monkeypatch.context() as patch:
        stop(painter, patch)
        line(own_tab, STOPPED).wait_for()
        kept = own_tab.evaluate("() => JSON.parse(sessionStorage['easel-next-txt2img'])")
        assert kept == [painter.last_job]


def test_a_press_is_kept_from_a_server_that_is_away(own_tab: Any, painter: FlatPainter) -> None:
    number(own_tab, "txt2img-seed", 79)
    own_tab.locator(".easel-foot").scroll_into_view_if_needed()
    leave(own_tab)
    silent(own_tab).wait_for()
    assert not own_tab.locator(".foot-queue:visible").count()
    generate(own_tab)
    lost(own_tab).wait_for()
    own_tab.unroute_all()
    lost(own_tab).wait_for(state="hidden")
    own_tab.locator(".foot-queue:visible").wait_for()
    generate(own_tab)
    line(own_tab, "1 picture in").wait_for()
    assert [request.seed for request in painter.submitted] == [79]


def test_a_press_that_finds_the_server_gone_says_so(own_tab: Any, painter: FlatPainter) -> None:
    own_tab.locator("#txt2img-prompt textarea").fill("a lost lantern")
    leave(own_tab)
    held: list[Any] = []  # so that the foot does not hear it first and keep the press from Gradio
    own_tab.route("**/api/state*", lambda route: held.append(route))
    generate(own_tab)
    leave(own_tab, "**/api/state*")
    for route in held:
        route.abort()
    lost(own_tab).wait_for()
    own_tab.locator(".toast-body").wait_for(
        state="attached"
    )  # Gradio has heard it, too, and will load the page anew
    with own_tab.expect_event("load"):
        own_tab.unroute_all()
    own_tab.locator(".easel-task:visible .easel-generate").wait_for()
    own_tab.wait_for_function(
        "() => document.querySelector('#txt2img-prompt textarea')?.value === 'a lost lantern'"
    )
    generate(own_tab)
    until(lambda: painter.submitted, "the second press is heard")
    assert painter.submitted[0].prompt == "a lost lantern"


def test_a_press_asks_again_whether_the_server_is_away(tab: Any, painter: FlatPainter) -> None:
    tab.evaluate(
        f"async () => {{ {module('server-status.js')}.server.offline = true; }}"
    )  # as the foot has heard last
    generate(tab)
    line(tab, "1 picture in").wait_for()
    assert len(painter.submitted) == 1
    assert not lost(tab).count()
