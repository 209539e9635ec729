"""What is shown first stands where it stays: nothing moves while the page is put together."""

from __future__ import annotations

from typing import Any

import pytest

from webui.ui import Page

WATCH = """window.moved = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    moved.push([one.value, ...one.sources.map(({ node }) => String(node?.className || node?.nodeName))]);
  }
}).observe({ type: "layout-shift", buffered: true });"""
GOOD = 0.05  # half of what Web Vitals calls good


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 720)])
def test_nothing_moves_while_the_page_opens(
    window: Any, page: Page, width: int, height: int
) -> None:
    tab = window.new_page()
    tab.set_viewport_size({"width": width, "height": height})
    tab.add_init_script(WATCH)
    tab.goto(page.url)
    tab.locator(".easel-generate:visible").wait_for()
    tab.locator(".stage-examples button:visible").first.wait_for()
    moved = tab.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(moved))))"
    )
    tab.close()
    assert sum(value for value, *_ in moved) < GOOD, moved
