"""One page for all tests of this folder, and a Chromium that notices what a user would not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.ui.painter import POSTER, FlatPainter, Shelf, serving, shelf
from webui.ui import Page


@pytest.fixture(scope="session")
def extensions() -> Shelf:
    """What the page's Extensions tab tells of; a test leaves it as it found it."""
    return shelf()


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory, extensions: Shelf
) -> Iterator[tuple[FlatPainter, Page]]:
    with serving(tmp_path_factory.mktemp("page"), POSTER, extensions=extensions) as both:
        yield both


@pytest.fixture
def painter(served: tuple[FlatPainter, Page]) -> Iterator[FlatPainter]:
    """The engine behind the page, with no job held back."""
    painter, _ = served
    painter.submitted.clear()
    yield painter
    painter.hold.set()


@pytest.fixture
def page(served: tuple[FlatPainter, Page], painter: FlatPainter) -> Page:
    return served[1]


@pytest.fixture
def http(page: Page) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, timeout=60) as client:
        yield client


# The painting of a page in the browser's own process: one process less, and a tenth less work a page.
FLAGS = ["--no-sandbox", "--disable-gpu", "--in-process-gpu", "--disable-quic", "--no-first-run"]


@pytest.fixture(scope="session")
def driver() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="session")
def browser(driver: Any, chromium: str) -> Iterator[Any]:
    """For windows of somebody else, or of another device; `window` is quicker."""
    browser = driver.launch(executable_path=chromium, args=FLAGS)
    yield browser
    browser.close()


def is_wrong(message: Any) -> bool:
    """Whether a console message means a fault. Gradio's client complains of its own connections when
    the tab that they belong to is left."""
    leaving = message.text.startswith(("AbortError: ", "Unexpected error Connect"))
    return message.type in ("error", "warning") and not leaving


# A tab of `window` does not begin with what the last one remembered (assets/memory.js), as one of `browser` does.
NOBODY_BEFORE = """if (/^http/.test(location.protocol) && !sessionStorage.length) {
    for (const key of Object.keys(localStorage)) if (/^easel-last/.test(key)) localStorage.removeItem(key);
}"""


@pytest.fixture(scope="session")
def window(driver: Any, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser window for all tests, with a profile on disk: Gradio's own files are loaded once, and compiled once,
    which is half of the work of opening the page."""
    context = driver.launch_persistent_context(
        tmp_path_factory.mktemp("chromium"),
        executable_path=chromium,
        args=FLAGS,
        viewport={"width": 1280, "height": 800},
    )
    context.set_default_timeout(60_000)
    context.add_init_script(NOBODY_BEFORE)
    yield context
    context.close()


@contextmanager
def opened(window: Any, page: Page) -> Iterator[Any]:
    """A fresh browser tab with the page. At the end there must have been no error in its console and no
    request to another host."""
    wrong: list[str] = []
    tab = window.new_page()
    tab.on(
        "console",
        lambda m: wrong.append(f"{m.text} {m.location['url']}") if is_wrong(m) else None,
    )
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    own = page.url.rstrip("/") + "/"
    tab.on(
        "request",
        lambda r: None if r.url.startswith((own, "data:", "blob:")) else wrong.append(r.url),
    )
    tab.goto(page.url)
    tab.locator(".easel-task:visible .easel-generate").wait_for()
    yield tab
    tab.close()
    assert not wrong


@pytest.fixture
def tab(window: Any, page: Page) -> Iterator[Any]:
    """A fresh browser tab; `opened` says what it watches."""
    with opened(window, page) as tab:
        yield tab


@pytest.fixture(scope="module")
def same_tab(window: Any, served: tuple[FlatPainter, Page]) -> Iterator[Any]:
    """One browser tab for all tests of a module that leave it as usable as they found it."""
    with opened(window, served[1]) as tab:
        yield tab
