"""The pictures of one job beside each other, wherever the page was when they came."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ui.hands import number, paint
from tests.ui.painter import FlatPainter

pytestmark = pytest.mark.browser

COLUMNS = """([grid, least, most]) => { const columns = Number(grid.style.getPropertyValue("--columns"));
    return columns >= least && columns <= most; }"""


def test_an_older_job_that_is_opened_is_shown_with_the_whole_room(
    tab: Any, painter: FlatPainter
) -> None:
    """Its pictures are in the strip already, and its tab is not on show when it is drawn."""
    number(tab, "txt2img-batch_size", 6)
    paint(tab, painter)
    older = painter.last_job
    number(tab, "txt2img-batch_size", 1)
    paint(tab, painter)
    grid = tab.locator(".stage-grid:visible")
    for chosen in (False, True):
        if chosen:  # another one is looked at
            tab.locator("#txt2img-stage .stage-strip button").last.click()
            grid.wait_for(state="hidden")
        tab.get_by_role("tab", name="Queue").click()
        tab.locator(f".job[data-job='{older}'] .job-open").click()
        grid.wait_for()
        assert grid.get_by_role("button").count() == 6
        tab.wait_for_function(COLUMNS, arg=[grid.element_handle(), 3, 6])
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.wait_for_function(COLUMNS, arg=[grid.element_handle(), 1, 2])
