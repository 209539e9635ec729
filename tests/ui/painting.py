"""What a person does with the painting canvas of the inpaint tab."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from PIL import Image

from tests.ui.hands import SHOWN, choose, paint
from tests.ui.painter import FlatPainter, until

__all__ = ["act", "at", "came", "canvas_shown", "give", "key", "shown", "stroke", "submitted"]

CANVAS = "#inpaint-image canvas"


def give(tab: Any, file: Path) -> None:
    """Opens the inpaint tab with that picture, nothing painted, the brush in hand and no row open."""
    choose(tab, "Inpaint")
    canvas_shown(tab)
    remove = tab.locator("#inpaint-image .canvas-remove")
    if remove.is_visible():
        remove.click()
    tab.locator("#inpaint-image input[type=file]").set_input_files(file)
    tab.locator(CANVAS).wait_for()
    tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
    with Image.open(file) as picture:
        size = f"{picture.width} × {picture.height}"
    tab.locator("#inpaint-image .canvas-size", has_text=size).wait_for()
    for opened in tab.locator("#inpaint-image [data-show][aria-pressed=true]").all():
        opened.click()
    tab.locator("#inpaint-image [data-slider=soft]").fill("0")
    tab.locator("#inpaint-image [data-slider=size]").fill("64")
    act(tab, "Brush")


def canvas_shown(tab: Any) -> None:
    """Goes back to the canvas where the result has taken its place."""
    paint_ = tab.locator(".easel-views:visible button").first
    if paint_.count() and paint_.get_attribute("aria-pressed") == "false":
        paint_.click()


def act(tab: Any, name: str) -> None:
    """Presses a button of the canvas."""
    canvas_shown(tab)
    tab.locator(".canvas-body:visible").get_by_role("button", name=name, exact=True).click()


def key(tab: Any, *keys: str) -> None:
    canvas_shown(tab)
    for one in keys:
        tab.locator("#inpaint-image .canvas-view").press(one)


def at(tab: Any, x: float, y: float) -> tuple[float, float]:
    """A place of the window onto the picture, given as fractions of it."""
    canvas_shown(tab)
    canvas = tab.locator(CANVAS)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def stroke(tab: Any, *points: tuple[float, float], steps: int = 4) -> None:
    """A stroke of the mouse through such places."""
    tab.mouse.move(*at(tab, *points[0]))
    tab.mouse.down()
    for point in points[1:]:
        tab.mouse.move(*at(tab, *point), steps=steps)
    tab.mouse.up()


def submitted(tab: Any, painter: FlatPainter) -> Image.Image:
    """Generates and gives the mask that the engine got."""
    mask = paint(tab, painter).mask
    assert mask is not None
    return mask


def came(tab: Any, painter: FlatPainter, count: int) -> Image.Image:
    """Waits until the engine has `count` jobs and the last is shown; gives the last one's mask."""
    until(lambda: len(painter.submitted) == count, "the job is with the engine")
    request = painter.submitted[-1]
    tab.wait_for_function(SHOWN, arg=[request.task, painter.last_job])
    assert request.mask is not None
    return request.mask


def shown(tab: Any, x: float, y: float) -> tuple[int, int, int]:
    """The colour on the screen at such a place, as the browser drew it."""
    canvas = tab.locator(CANVAS)
    code = """async (canvas, [x, y]) => {
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      const copy = new OffscreenCanvas(1, 1), ink = copy.getContext("2d");
      ink.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
      return [...ink.getImageData(0, 0, 1, 1).data];
    }"""
    red, green, blue, opaque = canvas.evaluate(f"(canvas, at) => ({code})(canvas, at)", [x, y])
    assert opaque == 255 and not math.isnan(red)
    return red, green, blue
