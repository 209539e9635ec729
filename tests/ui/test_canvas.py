"""The mask that is painted in the browser is the mask that arrives, and it travels once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, generate, number, paint
from tests.ui.painter import FlatPainter, colour
from tests.ui.painting import act, came, give, key, stroke, submitted

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
    number(same_tab, "inpaint-width", 128)
    give(same_tab, given)
    same_tab.wait_for_function(
        "document.querySelector('#inpaint-width input[type=number]').value == '160'"
    )
    return same_tab


def test_paint_and_inpaint(inpaint: Any, painter: FlatPainter, given: Path) -> None:
    inpaint.locator("#inpaint-seed input").fill("6161")
    stroke(inpaint, (0.25, 0.5), (0.5, 0.5))
    mask = submitted(inpaint, painter)
    assert mask.size == (192, 128) and mask.mode == "L"
    assert mask.getpixel((48, 64)) == mask.getpixel((72, 64)) == mask.getpixel((96, 64)) == 255
    assert mask.getpixel((150, 64)) == mask.getpixel((72, 100)) == 0
    request = painter.submitted[0]
    assert request.image is not None and request.image.tobytes() == Image.open(given).tobytes()
    assert (request.width, request.height) == (160, 104)  # its shape, about 128 x 128 pixels
    saved = Image.open(next(iter(painter.outputs_dir.rglob("*-6161.png"))))
    assert saved.getpixel((60, 52)) == colour(6161)
    assert saved.getpixel((140, 52)) == (10, 120, 200)


def test_eraser_undo_redo_invert_and_clear(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.1, 0.5), (0.9, 0.5))
    act(inpaint, "Eraser")
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    erased = submitted(inpaint, painter)
    assert (erased.getpixel((96, 64)), erased.getpixel((40, 64))) == (0, 255)
    act(inpaint, "Undo")
    assert submitted(inpaint, painter).getpixel((96, 64)) == 255
    act(inpaint, "Redo")
    assert submitted(inpaint, painter).tobytes() == erased.tobytes()
    act(inpaint, "Invert")
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((96, 64)), mask.getpixel((40, 64)), mask.getpixel((96, 10))) == (
        255,
        0,
        255,
    )
    act(inpaint, "Clear")
    generate(inpaint)
    inpaint.locator("#inpaint-image .easel-error", has_text="Mask: paint over").wait_for()
    assert len(painter.submitted) == 4
    act(inpaint, "Undo")
    inpaint.locator(".easel-error").wait_for(state="detached")  # something is painted again
    act(inpaint, "Undo")
    assert submitted(inpaint, painter).tobytes() == erased.tobytes()
    act(inpaint, "Mask everything")
    assert submitted(inpaint, painter).getextrema() == (255, 255)


def test_keys_change_the_brush(inpaint: Any, painter: FlatPainter) -> None:
    key(inpaint, *"]]]]]")
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    wide = submitted(inpaint, painter).getbbox()
    key(inpaint, "Control+z", *"[[[[[[")
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    narrow = submitted(inpaint, painter).getbbox()
    assert wide is not None and narrow is not None
    assert wide[2] - wide[0] > 2 * (narrow[2] - narrow[0])


def test_the_mask_survives_a_look_at_another_tab(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.25, 0.5), (0.5, 0.5))
    choose(inpaint, "Text to image")
    choose(inpaint, "Inpaint")
    assert submitted(inpaint, painter).getpixel((72, 64)) == 255


def quiet(tab: Any, seconds: float = 1.0) -> None:
    """Waits until nothing has been sent for so long: the events that follow an upload are over."""
    last = [time.monotonic()]

    def note(request: Any) -> None:
        if request.method == "POST":
            last[0] = time.monotonic()

    for kind in ("request", "requestfinished"):
        tab.on(kind, note)
    while time.monotonic() < last[0] + seconds:
        tab.wait_for_timeout(100)
    for kind in ("request", "requestfinished"):
        tab.remove_listener(kind, note)


def test_painting_sends_nothing_and_a_generation_the_mask_once(
    inpaint: Any, painter: FlatPainter
) -> None:
    hidden = "Object.defineProperty(document, 'hidden', { value: true, configurable: true })"
    inpaint.evaluate(f"() => {{ {hidden}; }}")  # what the page asks by the clock rests
    quiet(inpaint)
    requests: list[Any] = []

    def note(request: Any) -> None:
        requests.append(request)

    inpaint.on("request", note)
    stroke(inpaint, (0.2, 0.2), (0.8, 0.8), (0.8, 0.2))
    stroke(inpaint, (0.2, 0.8), (0.4, 0.4))
    inpaint.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))"
    )
    sent = [(r.url, r.post_data) for r in requests if r.method != "GET"]
    inpaint.evaluate("() => { delete document.hidden; }")
    assert not sent
    first = submitted(inpaint, painter)
    posts = [r for r in requests if r.method == "POST"]
    uploads = [r for r in posts if "/upload" in r.url]
    assert len(uploads) == 1
    assert all(len(r.post_data or "") < 4096 for r in posts if r not in uploads)
    again = submitted(inpaint, painter)  # the same once more: it is there already
    assert len([r for r in requests if "/upload" in r.url]) == 1
    assert first.tobytes() == again.tobytes()
    inpaint.remove_listener("request", note)


def test_the_last_stroke_arrives_however_the_job_is_asked_for(
    inpaint: Any, painter: FlatPainter
) -> None:
    stroke(inpaint, (0.1, 0.3), (0.3, 0.3))
    submitted(inpaint, painter)
    stroke(inpaint, (0.7, 0.7), (0.9, 0.7))
    inpaint.locator(".easel-views:visible").get_by_role("button", name="Result").click()
    inpaint.locator(".easel-stage:visible").get_by_role("button", name="Again").first.click()
    again = came(inpaint, painter, 2)  # of a job whose own pictures are gone
    assert (again.getpixel((150, 90)), again.getpixel((96, 64))) == (255, 0)
    stroke(inpaint, (0.5, 0.5), (0.5, 0.5))
    inpaint.keyboard.press("Control+Enter")
    last = came(inpaint, painter, 3)
    assert (last.getpixel((150, 90)), last.getpixel((96, 64))) == (255, 255)


def test_a_mask_is_downloaded_and_given_back(
    inpaint: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    stroke(inpaint, (0.25, 0.5), (0.5, 0.5))
    with inpaint.expect_download() as coming:
        act(inpaint, "Download mask")
    file = tmp_path / "mask.png"
    coming.value.save_as(file)
    with Image.open(file) as mask:  # Pillow reads what we wrote, checksums and all
        assert (mask.size, mask.mode, mask.getpixel((72, 64))) == ((192, 128), "L", 255)
        painted = mask.tobytes()
    act(inpaint, "Clear")
    with inpaint.expect_file_chooser() as choosing:
        act(inpaint, "Upload mask")
    choosing.value.set_files(file)
    inpaint.locator("#inpaint-image [data-act=undo]:not([disabled])").wait_for()
    assert submitted(inpaint, painter).tobytes() == painted


@pytest.mark.parametrize("painted", [True, False])
def test_a_transparent_mask_of_another_size_is_fitted(
    inpaint: Any, painter: FlatPainter, tmp_path: Path, painted: bool
) -> None:
    """Paint of any colour on an empty canvas; or black and white with a pixel that is not quite opaque."""
    shape = Image.new("RGBA", (96, 64), (0, 0, 0, 0) if painted else (0, 0, 0, 255))
    shape.paste((10, 20, 30, 255) if painted else (255, 255, 255, 255), (48, 0, 96, 64))
    if not painted:
        shape.putpixel((3, 60), (0, 0, 0, 254))
    shape.save(tmp_path / "shape.png")
    with inpaint.expect_file_chooser() as choosing:
        act(inpaint, "Upload mask")
    choosing.value.set_files(tmp_path / "shape.png")
    inpaint.locator("#inpaint-image [data-act=undo]:not([disabled])").wait_for()
    mask = submitted(inpaint, painter)
    assert (mask.size, mask.getpixel((150, 64)), mask.getpixel((40, 64))) == ((192, 128), 255, 0)


def test_a_result_is_handed_to_inpaint_with_its_words(same_tab: Any, painter: FlatPainter) -> None:
    tab = same_tab
    choose(tab, "Text to image")
    tab.locator("#txt2img-prompt textarea").fill("a harbour")
    tab.locator("#txt2img-seed input").fill("71")
    paint(tab, painter)
    tab.locator(".stage-acts:visible").get_by_role("button", name="To inpaint").click()
    tab.locator("#inpaint-image canvas").wait_for()
    tab.wait_for_function("document.querySelector('#inpaint-prompt textarea').value == 'a harbour'")
    tab.locator("#inpaint-image .canvas-size", has_text="128 × 128").wait_for()
    act(tab, "Clear")
    stroke(tab, (0.2, 0.5), (0.8, 0.5))
    submitted(tab, painter)
    request = painter.submitted[-1]
    assert (request.task, request.prompt) == ("inpaint", "a harbour")
    assert request.image is not None and request.image.getpixel((5, 5)) == colour(71)
