"""Outpainting: the frame drawn beyond the picture, what stands there, and what is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.ui.hands import paint
from tests.ui.painter import FlatPainter
from tests.ui.painting import act, give, key, stroke

pytestmark = pytest.mark.browser

# The server has said the size at which a frame of such a shape is painted.
SHAPED = """(shape) => {
  const at = (side) => Number(document.querySelector(`#inpaint-${side} input[type=number]`).value);
  return Math.abs(at("width") / at("height") / shape - 1) < 0.06;
}"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Two colours side by side, 192 x 128, and a stripe below."""
    picture = Image.new("RGB", (192, 128), (200, 40, 40))
    picture.paste((40, 40, 200), (96, 0, 192, 128))
    picture.paste((40, 160, 40), (0, 112, 192, 128))
    picture.save(tmp_path / "given.png")
    return tmp_path / "given.png"


@pytest.fixture
def inpaint(same_tab: Any, painter: FlatPainter, given: Path) -> Any:
    give(same_tab, given)
    act(same_tab, "Extend the picture")
    fill(same_tab, "edge")
    return same_tab


def fill(tab: Any, kind: str) -> None:
    tab.locator("#inpaint-image [data-fill]").select_option(kind)


def side(tab: Any, name: str, pixels: int) -> None:
    field = tab.locator(f"#inpaint-image [data-side={name}]")
    field.fill(str(pixels))
    field.press("Tab")


def size(tab: Any) -> str:
    return str(tab.locator("#inpaint-image .canvas-size").inner_text())


def test_the_new_area_is_masked_with_a_seam_and_the_old_picture_stays(
    inpaint: Any, painter: FlatPainter, given: Path
) -> None:
    side(inpaint, "right", 64)
    side(inpaint, "top", 40)
    assert size(inpaint) == "256 × 168"
    inpaint.wait_for_function(SHAPED, arg=256 / 168)
    request = paint(inpaint, painter)
    assert request.image is not None and request.mask is not None
    assert request.image.size == request.mask.size == (256, 168)
    old = request.image.crop((0, 40, 192, 168))
    assert old.tobytes() == Image.open(given).tobytes()
    mask = np.asarray(request.mask)
    assert mask[:40].min() == 255 and mask[:, 192:].min() == 255
    assert mask[40:48].min() == 255 and mask[40:, 184:].min() == 255  # the seam
    assert mask[48:, :184].max() == 0
    # the shape of the whole frame, at about as many pixels as the model has
    assert request.width / request.height == pytest.approx(256 / 168, rel=0.06)


def test_edge_colours_are_those_of_the_nearest_edge(inpaint: Any, painter: FlatPainter) -> None:
    side(inpaint, "left", 64)
    side(inpaint, "right", 64)
    image = paint(inpaint, painter).image
    assert image is not None
    assert image.getpixel((20, 30)) == (200, 40, 40)
    assert image.getpixel((300, 30)) == (40, 40, 200)


def test_mirror_is_the_picture_turned_over_its_edge(
    inpaint: Any, painter: FlatPainter, given: Path
) -> None:
    fill(inpaint, "mirror")
    side(inpaint, "bottom", 64)
    side(inpaint, "left", 96)
    image = paint(inpaint, painter).image
    assert image is not None
    original = Image.open(given)
    below = image.crop((96, 128, 288, 192))
    assert below.tobytes() == ImageOps.flip(original).crop((0, 0, 192, 64)).tobytes()
    left = image.crop((0, 0, 96, 128))
    assert left.tobytes() == ImageOps.mirror(original).crop((96, 0, 192, 128)).tobytes()


def test_noise_is_noise(inpaint: Any, painter: FlatPainter) -> None:
    fill(inpaint, "noise")
    side(inpaint, "left", 64)
    image = paint(inpaint, painter).image
    assert image is not None
    assert np.asarray(image.crop((0, 0, 64, 64))).std(axis=(0, 1)).min() > 20
    assert np.asarray(image.crop((64, 0, 128, 64))).std() == pytest.approx(
        np.std([200, 40, 40]), rel=0.01
    )


def test_a_handle_drags_the_frame_in_steps_of_eight(inpaint: Any, painter: FlatPainter) -> None:
    handle = inpaint.locator("#inpaint-image [data-handle=se]")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    inpaint.mouse.move(x, y)
    inpaint.mouse.down()
    inpaint.mouse.move(x + 40, y + 25, steps=4)
    inpaint.mouse.up()
    right, bottom = (
        int(inpaint.locator(f"#inpaint-image [data-side={name}]").input_value())
        for name in ("right", "bottom")
    )
    assert right > bottom > 0 and right % 8 == bottom % 8 == 0
    assert size(inpaint) == f"{192 + right} × {128 + bottom}"
    mask = paint(inpaint, painter).mask
    assert mask is not None and mask.size == (192 + right, 128 + bottom)


def test_frames_tried_one_after_another_are_one_step_back(
    inpaint: Any, painter: FlatPainter, given: Path
) -> None:
    stroke(inpaint, (0.5, 0.5))
    side(inpaint, "left", 64)
    side(inpaint, "left", 128)
    side(inpaint, "left", 32)
    mask = paint(inpaint, painter).mask
    assert mask is not None and mask.size == (224, 128)
    assert (mask.getpixel((36, 10)), mask.getpixel((44, 10))) == (255, 0)  # one seam
    key(inpaint, "Control+z")
    assert size(inpaint) == "192 × 128"
    request = paint(inpaint, painter)
    assert request.image is not None and request.mask is not None
    assert request.image.tobytes() == Image.open(given).tobytes()
    assert request.mask.getpixel((96, 64)) == 255
    key(inpaint, "Control+Shift+z")
    assert size(inpaint) == "224 × 128"


def test_a_stroke_stays_where_it_is_when_the_frame_grows(
    inpaint: Any, painter: FlatPainter
) -> None:
    act(inpaint, "Extend the picture")
    stroke(inpaint, (0.25, 0.5))
    act(inpaint, "Extend the picture")
    side(inpaint, "left", 64)
    mask = paint(inpaint, painter).mask
    assert mask is not None
    assert (mask.getpixel((64 + 48, 64)), mask.getpixel((64 + 48, 20))) == (255, 0)


def test_a_frame_drawn_inwards_crops(inpaint: Any, painter: FlatPainter, given: Path) -> None:
    side(inpaint, "left", -96)
    assert size(inpaint) == "96 × 128"
    act(inpaint, "Mask everything")
    image = paint(inpaint, painter).image
    assert image is not None
    assert image.tobytes() == Image.open(given).crop((96, 0, 192, 128)).tobytes()


def test_a_frame_has_limits_and_says_so(inpaint: Any) -> None:
    side(inpaint, "right", 9000)
    assert size(inpaint) == "4096 × 128"
    inpaint.locator("#inpaint-image .canvas-note", has_text="At most 4096").wait_for()
    side(inpaint, "right", -500)
    assert size(inpaint) == "64 × 128"
