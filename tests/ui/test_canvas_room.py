"""The canvas has the room of the result, which takes its place; and it shows what becomes of a picture's shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, number, paint
from tests.ui.painter import FlatPainter, until
from tests.ui.painting import act, canvas_shown, give, stroke

pytestmark = pytest.mark.browser

INPAINT = ".easel-task:has(#inpaint-image)"


@pytest.fixture
def square(tmp_path: Path) -> Path:
    path = tmp_path / "square.png"
    Image.new("RGB", (256, 256), (10, 120, 200)).save(path)
    return path


@pytest.fixture
def inpaint(same_tab: Any, painter: FlatPainter, square: Path) -> Iterator[Any]:
    """The inpaint tab of a small laptop's window with a square picture."""
    before = same_tab.viewport_size
    same_tab.set_viewport_size({"width": 1280, "height": 720})
    choose(same_tab, "Inpaint")
    number(same_tab, "inpaint-width", 136)
    give(same_tab, square)
    same_tab.wait_for_function(
        "document.querySelector('#inpaint-width input[type=number]').value == '128'"
    )
    same_tab.evaluate("scrollTo(0, 0)")
    yield same_tab
    canvas_shown(same_tab)
    same_tab.set_viewport_size(before)


def box(tab: Any, selector: str) -> dict[str, float]:
    found = tab.locator(selector).first.bounding_box()
    return {**found, "right": found["x"] + found["width"], "bottom": found["y"] + found["height"]}


def test_the_canvas_has_half_of_the_window_beside_prompt_and_button(inpaint: Any) -> None:
    seen = box(inpaint, "#inpaint-image .canvas-view")
    assert seen["width"] >= 640 and seen["y"] >= 0 and seen["bottom"] <= 720
    for other in ("#inpaint-prompt", f"{INPAINT} .easel-generate"):
        beside = box(inpaint, other)
        assert beside["y"] >= 0 and beside["bottom"] <= 720 and beside["right"] <= seen["x"]


def test_the_result_takes_the_canvas_place_and_gives_it_back(
    inpaint: Any, painter: FlatPainter
) -> None:
    stroke(inpaint, (0.4, 0.5), (0.6, 0.5))
    canvas = box(inpaint, f"{INPAINT} > .easel-source")
    paint(inpaint, painter)
    inpaint.locator(f"{INPAINT}[data-room=result] > .easel-source[inert]").wait_for()
    result = box(inpaint, f"{INPAINT} .stage-frame")
    assert result["y"] <= canvas["y"] + 1 and result["width"] >= 640
    inpaint.locator(f"{INPAINT} .stage-acts").get_by_role("button", name="Compare").wait_for()
    inpaint.get_by_role("button", name="Paint", exact=True).click()
    inpaint.locator(f"{INPAINT}[data-room=paint] > .easel-stage[inert]").wait_for()
    act(inpaint, "Undo")  # the mask is still there, and can be gone on with
    assert not inpaint.locator(f"{INPAINT} > .easel-source[inert]").count()


def test_the_enlarged_canvas_generates(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.4, 0.5), (0.6, 0.5))
    act(inpaint, "Enlarge")
    dialog = inpaint.locator("#inpaint-image .canvas-dialog")
    dialog.get_by_role("button", name="Generate", exact=True).click()
    until(lambda: len(painter.submitted) == 1, "the job is with the engine")
    assert painter.submitted[0].mask is not None
    assert not dialog.is_visible()
    inpaint.locator(f"{INPAINT}[data-room=result]:not([data-running])").wait_for()


def test_what_becomes_of_another_shape_is_shown_before_it_runs(
    inpaint: Any, painter: FlatPainter
) -> None:
    shade = inpaint.locator("#inpaint-image .canvas-fate")
    line = inpaint.locator("#inpaint-image .canvas-fate-line")
    assert shade.is_hidden() and line.is_hidden()
    number(inpaint, "inpaint-height", 64)
    line.get_by_text("Cut to 128 × 64").wait_for()
    view = box(inpaint, "#inpaint-image .canvas-view")
    bands = [one.bounding_box() for one in shade.locator("i").all()]
    whole = view["height"]  # of the square picture in it: above and below a quarter is cut
    assert [round(4 * band["height"] / whole, 1) for band in bands] == [1.0, 1.0]
    assert abs(bands[0]["y"] - view["y"]) < 1.5
    stroke(inpaint, (0.4, 0.5), (0.6, 0.5))
    assert paint(inpaint, painter).resize_mode == 1
    canvas_shown(inpaint)
    line.get_by_role("button", name="Use the picture's shape").click()
    line.wait_for(state="hidden")
    assert inpaint.locator("#inpaint-height input[type=number]").input_value() == "128"


def test_colours_are_sketched_on_the_picture_of_image_to_image(
    same_tab: Any, painter: FlatPainter, square: Path
) -> None:
    choose(same_tab, "Image to image")
    canvas = same_tab.locator("#img2img-image")
    canvas.locator("input[type=file]").set_input_files(square)
    canvas.locator(".canvas-remove:visible").wait_for()
    assert canvas.locator("img").is_visible()  # nobody sketches yet
    canvas.get_by_role("button", name="Sketch with colours").click()
    assert canvas.locator("img").is_hidden()
    assert not canvas.get_by_role("button", name="Mask everything").is_visible()
    seen = canvas.locator(".canvas-view").bounding_box()
    same_tab.mouse.move(seen["x"] + seen["width"] / 2, seen["y"] + seen["height"] / 2)
    same_tab.mouse.down()
    same_tab.mouse.up()
    request = paint(same_tab, painter)
    assert request.mask is None and request.image is not None
    assert request.image.getpixel((128, 128)) == (214, 40, 40)  # red
    assert request.image.getpixel((8, 8)) == (10, 120, 200)
    canvas.get_by_role("button", name="Undo", exact=True).click()
    request = paint(same_tab, painter)
    assert request.image is not None and request.image.getpixel((128, 128)) == (10, 120, 200)
    canvas.locator(".canvas-remove").click()
