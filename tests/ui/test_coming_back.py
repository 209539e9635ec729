"""Closing the page and opening it again in the same browser: what was running and shown is there, with its form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, generate, number, paint
from tests.ui.painter import FlatPainter, until
from webui.ui import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def reader(browser: Any) -> Iterator[Any]:
    """A browser of somebody, without a page yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(60_000)
    yield context
    context.close()


def opened(reader: Any, page: Page) -> Any:
    tab = reader.new_page()
    tab.goto(page.url)
    tab.locator(".easel-tabs [role=tab]").first.wait_for()
    return tab


def prompt(tab: Any) -> Any:
    return tab.locator(".easel-task:visible .easel-prompt textarea").first


def kept(tab: Any, task: str, words: str) -> None:
    """Waits until the form has been written down."""
    tab.wait_for_function(
        "([task, words]) => JSON.parse(localStorage['easel-last-forms'] ?? '{}').values?.[task + '-prompt'] === words",
        arg=[task, words],
    )


def test_a_closed_page_comes_back_with_its_job_and_its_form(
    reader: Any, page: Page, painter: FlatPainter
) -> None:
    tab = opened(reader, page)
    prompt(tab).fill("a lighthouse")
    number(tab, "txt2img-height", 64)
    painter.hold.clear()
    generate(tab)
    until(lambda: painter.submitted, "the job is with the engine")
    tab.locator(".easel-task[data-running]").wait_for()
    prompt(tab).fill("a lighthouse at night")
    kept(tab, "txt2img", "a lighthouse at night")
    tab.close()

    tab = opened(reader, page)
    tab.locator(".easel-task[data-running]").wait_for()
    tab.wait_for_function(
        "document.querySelector('.easel-prompt textarea').value === 'a lighthouse at night'"
    )
    assert tab.locator("#txt2img-height input[type=number]").input_value() == "64"
    painter.hold.set()
    tab.locator(".stage-acts:visible button", has_text="Again").wait_for()
    assert "a lighthouse" in tab.locator(".stage-picture:visible").get_attribute("alt")
    assert tab.locator(".stage-strip:visible [role=listitem]").count() == 1
    tab.close()

    tab = opened(reader, page)  # and when it has ended
    tab.locator(".stage-acts:visible button", has_text="Again").wait_for()
    request = paint(tab, painter)
    assert (request.prompt, request.height) == ("a lighthouse at night", 64)


def test_a_picture_and_its_mask_come_back(
    reader: Any, page: Page, painter: FlatPainter, tmp_path: Path
) -> None:
    given = tmp_path / "given.png"
    Image.new("RGB", (160, 96), (200, 30, 30)).save(given)
    tab = opened(reader, page)
    choose(tab, "Inpaint")
    tab.locator("#inpaint-image input[type=file]").first.set_input_files(given)
    tab.locator(".easel-task:visible [data-act=everything]").click()
    tab.wait_for_function(  # the form takes the picture's size
        "document.querySelector('#inpaint-width input[type=number]').value === '160'"
    )
    number(tab, "inpaint-width", 64)
    first = paint(tab, painter)
    tab.wait_for_function(
        "JSON.parse(localStorage['easel-last-forms']).values['inpaint-image']?.mask.url"
    )
    tab.close()

    tab = opened(reader, page)
    tab.locator(".easel-task:visible .canvas-view:visible").wait_for()
    tab.locator(".stage-acts:visible button", has_text="Again").wait_for()
    number(tab, "inpaint-seed", 5)
    second = paint(tab, painter)
    assert (second.task, second.width, second.seed) == ("inpaint", 64, 5)
    assert (second.image.size, second.mask.tobytes()) == ((160, 96), first.mask.tobytes())
    kept_at = tab.evaluate("JSON.parse(localStorage['easel-last-forms']).values['inpaint-image']")
    Path(kept_at["image"]["path"]).unlink()
    tab.close()

    tab = opened(reader, page)  # a day later
    tab.get_by_text("This picture is no longer there.").first.wait_for()
    tab.locator("#inpaint-image .canvas-drop:visible").wait_for()
    tab.wait_for_function("!JSON.parse(localStorage['easel-last-forms']).values['inpaint-image']")


def test_the_tab_that_was_shown_is_shown_again(reader: Any, page: Page) -> None:
    tab = opened(reader, page)
    choose(tab, "Image to image")
    tab.wait_for_function("localStorage['easel-last-tab'] === '\"img2img\"'")
    tab.close()
    tab = opened(reader, page)
    tab.locator("[role=tab][aria-selected=true]", has_text="Image to image").wait_for()
    assert tab.evaluate("location.hash") == "#img2img"
    tab.goto("about:blank")
    tab.goto(page.url + "#settings")  # an address says where, whatever was shown
    tab.locator("[role=tab][aria-selected=true]", has_text="Settings").wait_for()


def test_two_open_tabs_go_their_own_ways(reader: Any, page: Page) -> None:
    first = opened(reader, page)
    prompt(first).fill("mine")
    kept(first, "txt2img", "mine")
    second = opened(reader, page)
    second.wait_for_function("document.querySelector('.easel-prompt textarea').value === 'mine'")
    prompt(second).fill("another")
    kept(second, "txt2img", "another")
    first.reload()
    first.wait_for_function("document.querySelector('.easel-prompt textarea')?.value === 'mine'")
