"""The mask that is painted in the browser is the mask that arrives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, generate, number, paint
from tests.ui.painter import FlatPainter, colour

pytestmark = pytest.mark.browser


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given.png"
    Image.new("RGB", (192, 128), (10, 120, 200)).save(path)
    return path


@pytest.fixture
def inpaint(same_tab: Any, painter: FlatPainter, given: Path) -> Any:
    """The inpaint tab with a picture, nothing painted yet and the brush in hand."""
    choose(same_tab, "Inpaint")
    remove = same_tab.locator("#inpaint-image .canvas-remove")
    if remove.is_visible():
        remove.click()
        number(same_tab, "inpaint-width", 128)
    same_tab.locator("#inpaint-image input[type=file]").set_input_files(given)
    same_tab.locator("#inpaint-image canvas").wait_for()
    same_tab.wait_for_function(
        "document.querySelector('#inpaint-width input[type=number]').value == '160'"
    )
    act(same_tab, "Brush")
    return same_tab


def stroke(tab: Any, *points: tuple[float, float]) -> None:
    """A stroke of the mouse through points given as fractions of the canvas."""
    canvas = tab.locator("#inpaint-image canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=4)
    tab.mouse.up()


def submitted(tab: Any, painter: FlatPainter) -> Image.Image:
    """Generates and gives the mask that the engine got."""
    mask = paint(tab, painter).mask
    assert mask is not None
    return mask


def act(tab: Any, name: str) -> None:
    tab.locator(".canvas-tools:visible").get_by_role("button", name=name).click()


def test_paint_and_inpaint(inpaint: Any, painter: FlatPainter, given: Path) -> None:
    inpaint.locator("#inpaint-seed input").fill("61")
    stroke(inpaint, (0.25, 0.5), (0.5, 0.5))
    mask = submitted(inpaint, painter)
    assert mask.size == (192, 128) and mask.mode == "L"
    assert mask.getpixel((48, 64)) == mask.getpixel((72, 64)) == mask.getpixel((96, 64)) == 255
    assert mask.getpixel((150, 64)) == mask.getpixel((72, 100)) == 0
    request = painter.submitted[0]
    assert request.image is not None and request.image.tobytes() == Image.open(given).tobytes()
    assert (request.width, request.height) == (160, 104)  # its shape, about 128 x 128 pixels
    saved = Image.open(next(iter(painter.outputs_dir.rglob("*-61.png"))))
    assert saved.getpixel((60, 52)) == colour(61)
    assert saved.getpixel((140, 52)) == (10, 120, 200)


def test_eraser_undo_invert_and_clear(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.1, 0.5), (0.9, 0.5))
    act(inpaint, "Eraser")
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((96, 64)), mask.getpixel((40, 64))) == (0, 255)
    act(inpaint, "Undo")
    assert submitted(inpaint, painter).getpixel((96, 64)) == 255
    act(inpaint, "Invert")
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((96, 64)), mask.getpixel((96, 10))) == (0, 255)
    act(inpaint, "Clear")
    generate(inpaint)
    inpaint.locator(".easel-problem-line:visible", has_text="mask").wait_for()
    assert len(painter.submitted) == 3


def test_keys_change_the_brush(inpaint: Any, painter: FlatPainter) -> None:
    view = inpaint.locator("#inpaint-image .canvas-view")
    for _ in range(5):
        view.press("]")
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    wide = submitted(inpaint, painter).getbbox()
    view.press("Control+z")
    for _ in range(6):
        view.press("[")
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    narrow = submitted(inpaint, painter).getbbox()
    assert wide is not None and narrow is not None
    assert wide[2] - wide[0] > 2 * (narrow[2] - narrow[0])


def test_the_mask_survives_a_look_at_another_tab(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.25, 0.5), (0.5, 0.5))
    choose(inpaint, "Text to image")
    choose(inpaint, "Inpaint")
    assert submitted(inpaint, painter).getpixel((72, 64)) == 255


def test_painting_sends_nothing_to_the_server(inpaint: Any) -> None:
    inpaint.wait_for_timeout(200)  # until the events of the upload are over
    requests: list[str] = []
    inpaint.on("request", lambda request: requests.append(request.url))
    stroke(inpaint, (0.2, 0.2), (0.8, 0.8), (0.8, 0.2))
    stroke(inpaint, (0.2, 0.8), (0.4, 0.4))
    inpaint.wait_for_timeout(100)
    assert not [url for url in requests if not url.startswith(("data:", "blob:"))]


def test_a_file_that_is_no_picture_is_refused_at_once(same_tab: Any, tmp_path: Path) -> None:
    tab = same_tab
    fake = tmp_path / "fake.png"
    fake.write_bytes(b"this is text")
    choose(tab, "Image to image")
    tab.locator("#img2img-image input[type=file]").set_input_files(fake)
    tab.locator(".canvas-note:visible", has_text="not a whole picture").wait_for()


def test_a_result_is_handed_to_inpaint_with_its_words(same_tab: Any, painter: FlatPainter) -> None:
    tab = same_tab
    choose(tab, "Text to image")
    tab.locator("#txt2img-prompt textarea").fill("a harbour")
    tab.locator("#txt2img-seed input").fill("71")
    paint(tab, painter)
    tab.locator(".stage-acts:visible").get_by_role("button", name="To inpaint").click()
    tab.locator("#inpaint-image canvas").wait_for()
    tab.wait_for_function("document.querySelector('#inpaint-prompt textarea').value == 'a harbour'")
    act(tab, "Clear")
    stroke(tab, (0.2, 0.5), (0.8, 0.5))
    submitted(tab, painter)
    request = painter.submitted[-1]
    assert (request.task, request.prompt) == ("inpaint", "a harbour")
    assert request.image is not None and request.image.getpixel((5, 5)) == colour(71)
