"""The bar of tabs by keys and in narrow windows, and names that are short enough to listen to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.ui.conftest import opened
from tests.ui.hands import whole
from tests.ui.painter import POSTER, FlatPainter, serving, until
from webui.ui import Page

pytestmark = pytest.mark.browser

STOPS = (
    "[...document.querySelectorAll('.easel-tabs [role=tab]')].filter((one) => one.tabIndex === 0)"
)
FOCUS = "document.activeElement.textContent.trim()"


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with more tabs than a window is wide."""
    tasks = [replace(POSTER, name=f"poster{n}", label=f"Poster number {n}") for n in range(6)]
    with serving(tmp_path_factory.mktemp("extended"), *tasks) as (_, page):
        yield page


def chosen(tab: Any, name: str) -> None:
    tab.locator(".easel-tabs [role=tab][aria-selected=true]", has_text=name).wait_for()


def test_arrow_keys_go_through_the_tabs_which_are_one_stop(tab: Any) -> None:
    tab.get_by_role("tab", name="Text to image").focus()
    for key, name in (
        ("ArrowRight", "Image to image"), ("ArrowLeft", "Text to image"), ("ArrowLeft", "Settings"),
        ("ArrowRight", "Text to image"), ("End", "Settings"), ("Home", "Text to image"),
        ("ArrowRight", "Image to image"),
    ):  # fmt: skip
        tab.keyboard.press(key)
        chosen(tab, name)
        assert tab.evaluate(FOCUS) == name
        assert tab.evaluate(f"{STOPS}.map((one) => one.textContent.trim())") == [name]
    tab.go_back()  # they were one step
    chosen(tab, "Text to image")
    tab.get_by_role("tab", name="Text to image").focus()
    tab.keyboard.press("Tab")
    assert not tab.evaluate("Boolean(document.activeElement.closest('[role=tablist]'))")


def test_a_link_skips_to_the_content(tab: Any) -> None:
    tab.keyboard.press("Tab")
    assert tab.evaluate(FOCUS) == "Skip to the content"
    assert tab.locator(".easel-skip").bounding_box()["width"] > 100
    tab.keyboard.press("Enter")
    assert tab.evaluate("Boolean(document.activeElement.closest('.easel-prompt'))")
    assert tab.evaluate("location.hash") == ""
    tab.get_by_role("tab", name="Settings").click()
    tab.locator(".easel-skip").focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.closest('[role=tabpanel]') !== null")


@pytest.mark.parametrize("width", [1280, 390])
def test_tabs_without_room_are_in_a_menu(window: Any, extended: Page, width: int) -> None:
    with opened(window, extended) as tab:
        tab.set_viewport_size({"width": width, "height": 800})
        more = tab.get_by_role("button", name="More", exact=True)
        more.click()
        tab.keyboard.press("End")
        menu = tab.get_by_role("dialog", name="More tabs")
        menu.get_by_role("button", name="Settings").click()
        chosen(tab, "Settings")
        menu.wait_for(state="detached")
        assert tab.evaluate("location.hash") == "#settings"
        box = tab.locator(".easel-tabs [role=tab][aria-selected=true]").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= more.bounding_box()["x"] + 1
        more.click()
        menu.get_by_role("button", name="Text to image").click()
        chosen(tab, "Text to image")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.set_viewport_size({"width": 3000, "height": 800})
        more.wait_for(state="hidden")


def test_names_say_neither_signs_nor_what_a_control_is(same_tab: Any) -> None:
    whole(same_tab)
    same_tab.wait_for_function(
        '!document.querySelector(\':is([aria-label^="number input"], [aria-label^="range slider"])\')'
    )
    assert same_tab.get_by_role("spinbutton", name="Width", exact=True).first.is_visible()
    assert same_tab.get_by_role("slider", name="Width", exact=True).first.is_visible()
    group = same_tab.get_by_role("button", name="Size and number", exact=True).first
    assert group.get_attribute("aria-expanded") == "true"


def test_a_long_prompt_is_no_long_name(tab: Any, painter: FlatPainter) -> None:
    tab.locator(".easel-prompt textarea").first.fill("a very long tale " * 800)
    tab.locator(".easel-generate:visible").click()
    until(lambda: painter.submitted, "the job is with the engine")
    tab.locator(".stage-acts:visible button", has_text="Again").wait_for()
    tab.locator(".stage-full:visible").click()
    tab.locator("dialog.viewer").wait_for()
    long = """() => [...document.querySelectorAll("*")].flatMap((one) => ["aria-label", "alt", "title"]
        .map((name) => one.getAttribute(name) ?? "").filter((text) => text.length > 200)).concat(
        [...document.querySelectorAll("button, a, h1, h2, h3, h4")].map((one) => one.textContent)
        .filter((text) => text.length > 400))"""
    assert tab.evaluate(long) == []
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="History").first.click()
    tab.locator(".panel-words", has_text="a very long tale").wait_for()
    assert tab.evaluate(long) == []
    tab.keyboard.press("Escape")
    tab.get_by_role("tab", name="Gallery").click()
    tab.locator(".gallery-tile img[alt^='a very long tale']").first.wait_for()
    tab.get_by_role("tab", name="Queue").click()
    tab.locator(".job h4", has_text="a very long tale").first.wait_for()
    assert tab.evaluate(long) == []
