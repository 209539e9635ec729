"""Every tab and every picture in full screen has an address, and Back goes the way that somebody came."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.ui.conftest import opened
from tests.ui.hands import paint
from tests.ui.painter import FlatPainter
from webui.ui import Page

pytestmark = pytest.mark.browser


def at(tab: Any, hash_: str) -> None:
    tab.wait_for_function("(hash) => location.hash === hash", arg=hash_)


def chosen(tab: Any, name: str) -> None:
    """Waits until a tab is on show."""
    tab.locator(".easel-tabs [role=tab][aria-selected=true]", has_text=name).wait_for()


def enlarged(tab: Any, number: int) -> None:
    tab.locator("dialog.viewer[open] .viewer-picture").wait_for()
    tab.wait_for_function(
        "(number) => document.querySelector('.viewer-picture').src.includes(`pictures/${number}/`)",
        arg=number,
    )


def closed(tab: Any) -> None:
    tab.wait_for_function("!document.querySelector('dialog[open]')")


@pytest.fixture(scope="module")
def pictures(served: tuple[FlatPainter, Page], window: Any) -> list[int]:
    """The numbers of two pictures in the gallery, the newest first."""
    painter, page = served
    with opened(window, page) as tab:
        paint(tab, painter)
        paint(tab, painter)
    found = httpx.get(page.url + "api/pictures?limit=2", timeout=60).json()["pictures"]
    return [one["id"] for one in found]


def test_back_goes_through_tabs_and_what_was_open(
    tab: Any, page: Page, pictures: list[int]
) -> None:
    tab.get_by_role("tab", name="Queue").click()
    at(tab, "#queue")
    tab.get_by_role("tab", name="Gallery").click()
    at(tab, "#gallery")
    tab.locator(f".gallery-tile[data-id='{pictures[0]}']").click()
    enlarged(tab, pictures[0])
    at(tab, f"#gallery/{pictures[0]}")
    tab.keyboard.press("ArrowRight")
    at(tab, f"#gallery/{pictures[1]}")
    tab.go_back()
    closed(tab)
    at(tab, "#gallery")
    tab.go_forward()
    enlarged(tab, pictures[1])
    tab.keyboard.press("Escape")
    closed(tab)
    at(tab, "#gallery")
    tab.go_back()
    chosen(tab, "Queue")
    tab.go_back()
    chosen(tab, "Text to image")
    assert tab.evaluate("location.hash") == ""
    tab.go_back()
    assert tab.url == "about:blank"


def test_a_reload_comes_back_to_the_picture(tab: Any, page: Page, pictures: list[int]) -> None:
    tab.get_by_role("tab", name="Gallery").click()
    tab.locator(f".gallery-tile[data-id='{pictures[0]}']").click()
    at(tab, f"#gallery/{pictures[0]}")
    tab.reload()
    enlarged(tab, pictures[0])
    chosen(tab, "Gallery")
    assert tab.locator("dialog.viewer").count() == 1
    tab.go_back()
    closed(tab)
    tab.go_back()
    chosen(tab, "Text to image")


@pytest.mark.parametrize("place", ["gallery", "txt2img"])
def test_an_address_opens_its_picture_and_back_leaves_it(
    window: Any, page: Page, pictures: list[int], place: str
) -> None:
    tab = window.new_page()
    tab.goto(f"{page.url}#{place}/{pictures[1]}")
    enlarged(tab, pictures[1])
    tab.go_back()
    closed(tab)
    at(tab, f"#{place}")
    tab.close()


def test_the_address_of_what_is_gone_says_so(window: Any, page: Page) -> None:
    tab = window.new_page()
    tab.goto(page.url + "#gallery/999999")
    tab.locator(".easel-toast", has_text="This picture is no longer there.").wait_for()
    at(tab, "#gallery")
    tab.close()


def test_back_closes_comparison_viewer_panel_and_enlarged_canvas(
    tab: Any, painter: FlatPainter
) -> None:
    paint(tab, painter)
    paint(tab, painter)
    choices = tab.locator(".easel-menu")
    tab.get_by_role("button", name="Compare").click()
    choices.wait_for()
    tab.go_back()
    choices.wait_for(state="detached")
    tab.locator(".stage-full:visible").click()
    tab.keyboard.press("c")
    tab.locator("dialog.compare").wait_for()
    tab.go_back()
    tab.locator("dialog.compare").wait_for(state="detached")
    assert tab.locator("dialog.viewer").count() == 1
    tab.go_back()
    closed(tab)
    tab.get_by_role("button", name="History").first.click()
    panel = tab.locator(".easel-panel:popover-open")
    panel.wait_for()
    tab.go_back()
    panel.wait_for(state="detached")
    tab.get_by_role("button", name="To inpaint").click()
    at(tab, "#inpaint")
    tab.locator(".easel-task:visible .canvas-icon[data-act=enlarge]").click()
    tab.locator(".canvas-dialog[open]").wait_for()
    tab.go_back()
    closed(tab)
    assert tab.locator(".easel-task:visible .canvas-view:visible").count()
    tab.go_back()
    chosen(tab, "Text to image")


def test_a_menu_that_is_taken_away_costs_no_step_back(tab: Any, painter: FlatPainter) -> None:
    tab.get_by_role("tab", name="Queue").click()
    tab.get_by_role("tab", name="Text to image").click()
    paint(tab, painter)
    tab.get_by_role("button", name="Download").click()
    tab.locator(".easel-menu").wait_for()
    tab.wait_for_function("history.state.easel.depth === 1")
    tab.evaluate("document.querySelector('.easel-menu').remove()")
    tab.wait_for_function("history.state.easel.depth === 0")
    tab.go_back()
    chosen(tab, "Queue")


def test_a_job_that_is_opened_from_the_queue_is_one_step(tab: Any, painter: FlatPainter) -> None:
    paint(tab, painter)
    tab.get_by_role("tab", name="Queue").click()
    tab.locator(f".job[data-job='{painter.last_job}'] .job-open").click()
    at(tab, "#txt2img")
    tab.go_back()
    chosen(tab, "Queue")


def test_an_address_that_is_typed_is_gone_to(tab: Any) -> None:
    tab.evaluate("location.hash = '#settings'")
    chosen(tab, "Settings")
    tab.evaluate("location.hash = '#nothing'")
    at(tab, "#settings")
    tab.go_back()
    tab.go_back()
    chosen(tab, "Text to image")
