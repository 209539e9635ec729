"""A newcomer's path on the real server: a picture, a part of it repainted, found again the next day."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.conftest import is_wrong
from webui.metadata import read
from webui.settings import ROOT

pytestmark = pytest.mark.browser

DONE = """(task) => !document.querySelector(".easel-task[data-running]")
    && document.querySelector(`#${task}-stage .stage-acts`).children.length > 2"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Easel as a process of its own, and its address."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(ROOT / "launch.py"), "--skip-install", "--no-browser"),
            *("--port", "0", "--device", "cpu", "--data-dir", str(folder)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("GRADIO")},
    )
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, "the server did not start"
        yield address[0]
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def visiting(browser: Any, url: str, wrong: list[str]) -> Iterator[Any]:
    """A browser that knows nothing of the page. `wrong` gets its console's complaints and requests to other hosts."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(60_000)
    tab = context.new_page()
    tab.on("console", lambda m: wrong.append(m.text) if is_wrong(m) else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    own = (url, "data:", "blob:")
    tab.on("request", lambda r: None if r.url.startswith(own) else wrong.append(r.url))
    tab.goto(url)
    tab.locator(".easel-generate:visible").wait_for()
    yield tab
    context.close()


def test_make_a_picture_repaint_it_find_it_the_next_day(browser: Any, tmp_path: Path) -> None:
    wrong: list[str] = []
    with serving(tmp_path) as url, visiting(browser, url, wrong) as tab:
        tab.locator(".stage-examples button", has_text="a fox in the snow").click()
        tab.wait_for_function(DONE, arg="txt2img")
        tab.get_by_role("button", name="To inpaint").click()
        canvas = tab.locator("#inpaint-image canvas:visible")
        canvas.wait_for()
        tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
        box = canvas.bounding_box()
        assert box and box["y"] + box["height"] <= 720  # all of it is in sight
        tab.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.4)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.6, steps=8)
        tab.mouse.up()
        tab.locator("#inpaint-prompt textarea").fill("a blue whale in the snow")
        tab.locator(".easel-generate:visible").click()
        tab.wait_for_function(DONE, arg="inpaint")
    made = sorted((tmp_path / "outputs").rglob("*.png"), key=lambda file: file.stat().st_mtime_ns)
    prompts = [(read(Image.open(file)) or "").split("\n")[0] for file in made]
    assert prompts == ["a fox in the snow", "a blue whale in the snow"]

    with serving(tmp_path) as url, visiting(browser, url, wrong) as tab:  # the next day
        tab.get_by_role("tab", name="Gallery").click()
        tiles = tab.locator(".easel-gallery img:visible")
        tiles.nth(1).wait_for()
        tab.get_by_placeholder("Search in prompts").fill("whale")
        tab.wait_for_function("() => document.querySelectorAll('.easel-gallery img').length === 1")
        tiles.first.click()
        tab.locator("dialog.viewer img").first.wait_for()
        tab.locator("dialog.viewer").get_by_role("button", name="Use settings").click()
        tab.wait_for_function(
            "() => document.querySelector('#inpaint-prompt textarea')?.value === 'a blue whale in the snow'"
        )
    assert not wrong
