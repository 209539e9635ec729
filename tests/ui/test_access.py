"""Everybody can use every tab: axe-core finds nothing serious, in light and in dark, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from tests.ui.hands import module, paint, whole
from tests.ui.painter import FlatPainter
from webui.ui import Page

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
RULES = {"runOnly": TAGS, "resultTypes": ["violations"]}
COLOURS = {**RULES, "runOnly": {"type": "rule", "values": ["color-contrast"]}}
SERIOUS = ("serious", "critical")
# Gradio 6.31's own, which no markup of ours reaches.
THEIRS: tuple[str, ...] = ()


def tabs_of(page: Any) -> list[str]:
    names = page.locator(".easel-tabs [role=tab]").all_inner_texts()
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def violations(page: Any, where: str = "body", rules: dict[str, Any] = RULES) -> list[str]:
    """What is wrong inside of an element, with the elements that it is about."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE)
    found = page.evaluate("([where, rules]) => axe.run(where, rules)", [where, rules])
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:160] for node in one['nodes']][:4]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS and one["id"] not in THEIRS
    ]


def darken(page: Any, dark: bool) -> None:
    """Dark changes colours alone; none is on its way to another one afterwards."""
    page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
    page.wait_for_function(
        "() => !document.getAnimations().some((one) => one instanceof CSSTransition)"
    )


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_tab_has_a_serious_fault(same_tab: Any, dark: bool, width: int) -> None:
    tab = same_tab
    tab.set_viewport_size({"width": width, "height": 900})
    darken(tab, dark)
    wrong, names = {}, tabs_of(tab)
    assert {"Text to image", "Inpaint", "Gallery", "Queue", "Settings"} <= set(names)
    for name in names:
        tab.get_by_role("tab", name=name, exact=True).first.click()
        whole(tab)
        found = violations(tab, rules=COLOURS if dark else RULES)
        if found:
            wrong[name] = found
    assert not wrong


def test_the_gallerys_search_is_high_enough_to_touch(browser: Any, page: Any) -> None:
    context = browser.new_context(
        has_touch=True, is_mobile=True, viewport={"width": 820, "height": 1180}
    )
    tab = context.new_page()
    tab.goto(page.url)
    tab.get_by_role("tab", name="Gallery").tap()
    box = tab.get_by_role("searchbox", name="Search in prompts")
    box.wait_for()
    assert box.bounding_box()["height"] >= 40
    context.close()


def test_a_planted_fault_is_found(tab: Any) -> None:
    tab.evaluate(
        "() => document.querySelector('.easel-task').append(document.createElement('input'))"
    )
    assert any(one.startswith("label (") for one in violations(tab))
    tab.evaluate(
        """() => { const words = document.createElement("p"); words.textContent = "unreadable";
        words.style = "color: #777; background: #888"; document.querySelector('.easel-task').append(words); }"""
    )
    assert any(one.startswith("color-contrast (") for one in violations(tab, rules=COLOURS))


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_that_opens_has_a_serious_fault(tab: Any, painter: FlatPainter, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.locator("#txt2img-prompt textarea").fill("a lantern")
    paint(tab, painter)
    paint(tab, painter)
    wrong: dict[str, list[str]] = {}

    def look(name: str, where: str) -> None:
        tab.locator(where).last.wait_for()
        wrong[name] = violations(tab, where)
        darken(tab, True)
        wrong[f"{name}, dark"] = violations(tab, where, COLOURS)
        darken(tab, False)

    look("result", "#txt2img-stage")
    tab.get_by_role("button", name="Styles").click()
    look("styles", ".easel-panel:popover-open")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="History").click()
    look("history", ".easel-panel:popover-open")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Compare").click()
    look("menu", ".easel-menu")
    tab.locator(".easel-choice").first.click()
    look("compare", "dialog.compare")
    tab.keyboard.press("Escape")
    tab.locator(".stage-full:visible").click()
    tab.keyboard.press("i")
    look("viewer", "dialog.viewer")
    tab.keyboard.press("Escape")
    toast = f"{module('overlays.js')}.toast('Moved to the trash.', {{ label: 'Undo', act() {{}} }})"
    tab.evaluate(f"async () => {{ {toast}; }}")
    look("toast", ".easel-toast")
    tab.get_by_role("button", name="To inpaint").click()
    tab.locator("#inpaint-image canvas:visible").wait_for()
    tab.get_by_role("button", name="Enlarge").click()
    for name in ("Sketch with colours", "Extend the picture"):
        tab.locator(".canvas-dialog").get_by_role("button", name=name).click()
    look("canvas", ".canvas-dialog")
    tab.keyboard.press("Escape")
    tab.get_by_role("tab", name="Gallery").click()
    tab.locator(".gallery-tile").first.wait_for()
    tab.locator(".gallery-tile").first.press(" ")
    tab.locator(".gallery-tile[aria-selected=true]").first.wait_for()
    look("gallery", ".easel-gallery")
    assert {name: found for name, found in wrong.items() if found} == {}


# What is to be pressed or filled in, can be seen, and has no name.
NAMELESS = """() => [...document.querySelectorAll("button, a[href], [role=button], summary")]
    .filter((one) => one.checkVisibility() && !one.closest("[hidden], [inert]"))
    .filter((one) => !(one.innerText || one.textContent).trim() && !one.getAttribute("aria-label") && !one.title)
    .map((one) => one.outerHTML.slice(0, 160))"""


def test_no_button_stands_without_a_name_until_the_server_answers(
    window: Any, page: Page, painter: FlatPainter
) -> None:
    tab = window.new_page()
    tab.route("**/api/**", lambda route: None)  # asked, and never answered
    tab.goto(page.url)
    tab.locator(".easel-task:visible .easel-generate").wait_for()
    wrong = {}
    for name in tabs_of(tab):
        tab.get_by_role("tab", name=name, exact=True).first.click()
        tab.wait_for_function(
            "(name) => [...document.querySelectorAll('[role=tab][aria-selected=true]')]"
            ".some((one) => one.textContent.trim() === name)",
            arg=name,
        )
        found = tab.evaluate(NAMELESS)
        if found:
            wrong[name] = found
    tab.unroute_all(behavior="ignoreErrors")
    tab.close()
    assert not wrong
