"""Each tool does to the mask, and to the screen, what a paint program's does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import module, paint
from tests.ui.painter import FlatPainter
from tests.ui.painting import act, at, came, give, key, shown, stroke, submitted

pytestmark = pytest.mark.browser

BLUE = (10, 120, 200)
VIOLET = (147, 51, 234)


@pytest.fixture
def inpaint(same_tab: Any, painter: FlatPainter, tmp_path: Path) -> Any:
    path = tmp_path / "given.png"
    Image.new("RGB", (192, 128), BLUE).save(path)
    give(same_tab, path)
    return same_tab


def near(colour: tuple[int, ...], other: tuple[int, ...], by: int = 4) -> bool:
    return all(abs(a - b) <= by for a, b in zip(colour, other, strict=True))


def test_a_soft_stroke_fades_and_does_not_pile_up(inpaint: Any, painter: FlatPainter) -> None:
    key(inpaint, *["]"] * 3, *["}"] * 10)
    stroke(inpaint, (0.2, 0.5), (0.8, 0.5), steps=12)
    once = submitted(inpaint, painter)
    column = [once.getpixel((96, y)) for y in range(128)]
    assert max(column) > 240 and column[64] > 200
    assert any(20 < value < 200 for value in column)
    stroke(inpaint, (0.2, 0.5), (0.8, 0.5), steps=12)
    assert submitted(inpaint, painter).tobytes() == once.tobytes()


def test_the_tint_lies_over_the_picture_where_it_is_masked(inpaint: Any) -> None:
    assert near(shown(inpaint, 0.5, 0.5), BLUE)
    stroke(inpaint, (0.4, 0.5), (0.6, 0.5))
    tinted = tuple(round(b * 0.45 + v * 0.55) for b, v in zip(BLUE, VIOLET, strict=True))
    assert near(shown(inpaint, 0.5, 0.5), tinted)
    assert near(shown(inpaint, 0.5, 0.1), BLUE)


def test_a_lasso_fills_what_it_surrounds(inpaint: Any, painter: FlatPainter) -> None:
    key(inpaint, "l")
    stroke(inpaint, (0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((96, 64)), mask.getpixel((20, 64))) == (255, 0)
    painted = sum(mask.histogram()[128:])
    assert painted == pytest.approx(96 * 64, rel=0.03)


def test_fill_stops_at_the_mask(inpaint: Any, painter: FlatPainter) -> None:
    corners = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75), (0.25, 0.25)]
    stroke(inpaint, *corners)
    key(inpaint, "g")
    stroke(inpaint, (0.5, 0.5))
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((96, 64)), mask.getpixel((4, 4))) == (255, 0)
    key(inpaint, "Control+z")
    assert submitted(inpaint, painter).getpixel((96, 64)) == 0


def test_shift_and_a_click_draw_a_straight_line(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.1, 0.2))
    inpaint.keyboard.down("Shift")
    stroke(inpaint, (0.9, 0.8))
    inpaint.keyboard.up("Shift")
    mask = submitted(inpaint, painter)
    assert mask.getpixel((96, 64)) == 255


def test_zooming_keeps_what_is_under_the_pointer(inpaint: Any, painter: FlatPainter) -> None:
    act(inpaint, "Brush")
    stroke(inpaint, (0.25, 0.25))
    inpaint.mouse.move(*at(inpaint, 0.25, 0.25))
    before = inpaint.locator("#inpaint-image .canvas-zoom").inner_text()
    for _ in range(4):
        inpaint.mouse.wheel(0, -200)
        inpaint.wait_for_timeout(20)
    inpaint.wait_for_function(
        "(was) => document.querySelector('#inpaint-image .canvas-zoom').textContent != was",
        arg=before,
    )
    tint = shown(inpaint, 0.25, 0.25)
    assert not near(tint, BLUE, 20)
    stroke(inpaint, (0.25, 0.25))  # zoomed in: the same place of the picture
    mask = submitted(inpaint, painter)
    box = mask.getbbox()
    assert box is not None
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    assert middle == (pytest.approx(48, abs=2), pytest.approx(32, abs=2))
    key(inpaint, "0")
    assert inpaint.locator("#inpaint-image .canvas-zoom").inner_text() == before


def test_the_space_bar_moves_the_picture_instead_of_painting(
    inpaint: Any, painter: FlatPainter
) -> None:
    stroke(inpaint, (0.5, 0.5))
    key(inpaint, "+", "+")
    assert not near(shown(inpaint, 0.5, 0.5), BLUE, 20)
    inpaint.keyboard.down("Space")
    stroke(inpaint, (0.5, 0.5), (0.8, 0.5))
    inpaint.keyboard.up("Space")
    assert near(shown(inpaint, 0.5, 0.5), BLUE)
    assert not near(shown(inpaint, 0.8, 0.5), BLUE, 20)
    box = submitted(inpaint, painter).getbbox()
    assert box is not None and box[2] - box[0] < 40


def test_a_finger_paints_and_two_zoom(inpaint: Any, painter: FlatPainter) -> None:
    touch = inpaint.context.new_cdp_session(inpaint)

    def fingers(kind: str, *places: tuple[float, float]) -> None:
        points = [
            {"x": x, "y": y, "id": n} for n, (x, y) in enumerate(at(inpaint, *p) for p in places)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", (0.2, 0.5))
    fingers("touchMove", (0.4, 0.5))
    fingers("touchEnd")
    one = submitted(inpaint, painter)
    assert (one.getpixel((58, 64)), one.getpixel((150, 64))) == (255, 0)
    fingers("touchStart", (0.4, 0.5))
    fingers("touchStart", (0.4, 0.5), (0.6, 0.5))
    fingers("touchMove", (0.2, 0.5), (0.8, 0.5))
    fingers("touchEnd")
    zoom = inpaint.evaluate(
        "parseInt(document.querySelector('#inpaint-image .canvas-zoom').textContent)"
    )
    key(inpaint, "0")
    whole = inpaint.evaluate(
        "parseInt(document.querySelector('#inpaint-image .canvas-zoom').textContent)"
    )
    assert zoom > 2 * whole
    assert (
        submitted(inpaint, painter).tobytes() == one.tobytes()
    )  # the first finger's dab was taken back


def test_a_pens_pressure_is_the_strokes_width(inpaint: Any, painter: FlatPainter) -> None:
    pen = inpaint.context.new_cdp_session(inpaint)

    def touch(kind: str, x: float, y: float, force: float) -> None:
        left, top = at(inpaint, x, y)
        pressed = {"button": "left", "clickCount": 1, "pointerType": "pen", "force": force}
        pen.send("Input.dispatchMouseEvent", {"type": kind, "x": left, "y": top, **pressed})

    key(inpaint, *["]"] * 4)
    for x, force in ((0.25, 0.1), (0.75, 1.0)):
        touch("mousePressed", x, 0.5, force)
        touch("mouseReleased", x, 0.5, 0)
    mask = submitted(inpaint, painter)
    light, firm = mask.crop((0, 0, 96, 128)).getbbox(), mask.crop((96, 0, 192, 128)).getbbox()
    assert light is not None and firm is not None
    assert firm[3] - firm[1] > 2 * (light[3] - light[1])


def test_a_palm_that_lay_there_first_leaves_the_pen_its_stroke(
    inpaint: Any, painter: FlatPainter
) -> None:
    both = inpaint.context.new_cdp_session(inpaint)
    palm, tip = at(inpaint, 0.2, 0.8), at(inpaint, 0.7, 0.3)
    places = [{"x": palm[0], "y": palm[1], "id": 0}]
    both.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places})
    for kind, force in (("mousePressed", 1.0), ("mouseReleased", 0.0)):
        pressed = {"button": "left", "clickCount": 1, "pointerType": "pen", "force": force}
        both.send("Input.dispatchMouseEvent", {"type": kind, "x": tip[0], "y": tip[1], **pressed})
    both.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((134, 38)), mask.getpixel((38, 102))) == (255, 0)


@pytest.mark.parametrize("key_", ["i", "Delete"])
def test_a_key_in_the_middle_of_a_stroke_ends_it(
    inpaint: Any, painter: FlatPainter, key_: str
) -> None:
    stroke(inpaint, (0.1, 0.2), (0.9, 0.2))
    before = submitted(inpaint, painter)
    inpaint.mouse.move(*at(inpaint, 0.1, 0.7))
    inpaint.mouse.down()
    inpaint.mouse.move(*at(inpaint, 0.5, 0.7), steps=4)
    key(inpaint, key_)
    inpaint.mouse.move(*at(inpaint, 0.9, 0.7), steps=4)
    inpaint.mouse.up()
    key(inpaint, "Control+z")
    both = submitted(inpaint, painter)
    assert [both.getpixel((x, y)) for x, y in ((96, 26), (58, 90), (134, 90))] == [255, 255, 0]
    key(inpaint, "Control+z")
    assert submitted(inpaint, painter).tobytes() == before.tobytes()


def test_a_sketch_is_sent_as_the_picture_and_as_mask(inpaint: Any, painter: FlatPainter) -> None:
    act(inpaint, "Sketch with colours")
    act(inpaint, "Green")
    stroke(inpaint, (0.2, 0.5), (0.4, 0.5))
    request = paint(inpaint, painter)
    assert request.image is not None and request.mask is not None
    assert request.image.size == (192, 128)
    assert near(request.image.getpixel((58, 64)), (0x2F, 0x9E, 0x44), 1)
    assert request.image.getpixel((150, 64)) == BLUE
    assert (request.mask.getpixel((58, 64)), request.mask.getpixel((150, 64))) == (255, 0)
    act(inpaint, "Eraser")  # gives the picture back
    stroke(inpaint, (0.15, 0.5), (0.3, 0.5))
    act(inpaint, "Brush")
    act(inpaint, "Mask only")
    stroke(inpaint, (0.8, 0.5))
    request = paint(inpaint, painter)
    assert request.image is not None and request.mask is not None
    assert (request.image.getpixel((40, 64)), request.mask.getpixel((40, 64))) == (BLUE, 0)
    assert (request.image.getpixel((153, 64)), request.mask.getpixel((153, 64))) == (BLUE, 255)
    for _ in range(3):
        key(inpaint, "Control+z")
    stroke(inpaint, (0.8, 0.5))
    request = paint(inpaint, painter)
    assert request.image is not None and request.image.getpixel((58, 64)) == BLUE


def test_a_colour_is_picked_from_the_picture(inpaint: Any, painter: FlatPainter) -> None:
    key(inpaint, "p")
    stroke(inpaint, (0.5, 0.5))
    assert inpaint.locator("#inpaint-image input[type=color]").input_value() == "#0a78c8"
    assert (
        inpaint.locator("#inpaint-image [data-tool=brush]").get_attribute("aria-pressed") == "true"
    )


def test_enlarging_keeps_everything_and_esc_returns(inpaint: Any, painter: FlatPainter) -> None:
    stroke(inpaint, (0.2, 0.5), (0.4, 0.5))
    key(inpaint, "f")
    inpaint.locator(".canvas-dialog[open]").wait_for()
    large = inpaint.locator("#inpaint-image canvas").bounding_box()
    assert large["width"] > 800
    inpaint.keyboard.press("2")  # no key of ours
    stroke(inpaint, (0.5, 0.2), (0.5, 0.3))
    inpaint.keyboard.press("Escape")
    inpaint.locator(".canvas-dialog[open]").wait_for(state="detached")
    mask = submitted(inpaint, painter)
    assert (mask.getpixel((58, 64)), mask.getpixel((96, 32)), mask.getpixel((150, 100))) == (
        255,
        255,
        0,
    )


def test_generating_from_the_large_canvas_returns_to_the_page(
    inpaint: Any, painter: FlatPainter
) -> None:
    act(inpaint, "Enlarge")
    stroke(inpaint, (0.5, 0.4), (0.5, 0.6))
    inpaint.keyboard.press("Control+Enter")
    inpaint.locator(".canvas-dialog[open]").wait_for(state="detached")
    assert came(inpaint, painter, 1).getpixel((96, 64)) == 255


def test_keys_typed_into_a_field_are_not_the_painters(inpaint: Any) -> None:
    act(inpaint, "Lasso")
    inpaint.locator("#inpaint-prompt textarea").press_sequentially("be")
    stroke(inpaint, (0.2, 0.5), (0.4, 0.5), (0.4, 0.7))
    assert (
        inpaint.locator("#inpaint-image [data-tool=lasso]").get_attribute("aria-pressed") == "true"
    )
    inpaint.locator("#inpaint-prompt textarea").fill("")


def test_a_soft_lasso_fades_inwards_over_what_the_brush_would(inpaint: Any) -> None:
    """Against the closed form, smoothstep of the distance to the nearest side of a square; hard without softness."""
    hard, soft, wrong = inpaint.evaluate(
        """async () => {
          const { polygon } = SHAPES, size = { width: 200, height: 200 };
          const corners = [[40, 40], [160, 40], [160, 160], [40, 160]].map(([x, y]) => ({ x, y }));
          const at = (made, x, y) => made.data[(y - made.y) * made.width + x - made.x];
          const plain = polygon(corners, size), hard = [at(plain, 41, 100), at(plain, 100, 100)];
          const made = polygon(corners, size, 32);
          let wrong = 0;
          for (let y = 42; y < 158; y++) for (let x = 42; x < 158; x++) {
            const far = Math.min(x + 0.5 - 40, 160 - x - 0.5, y + 0.5 - 40, 160 - y - 0.5);
            const part = Math.min(1, far / 32);
            wrong = Math.max(wrong, Math.abs(at(made, x, y) - 255 * part * part * (3 - 2 * part)));
          }
          return [hard, [at(made, 41, 100), at(made, 56, 100), at(made, 100, 100)], wrong];
        }""".replace("SHAPES", module("canvas-shapes.js"))
    )
    assert hard == [255, 255]
    assert soft[0] < 8 and 100 < soft[1] < 160 and soft[2] == 255
    assert wrong < 2


def test_a_lasso_honours_the_soft_edge(inpaint: Any, painter: FlatPainter) -> None:
    key(inpaint, *["}"] * 10)
    act(inpaint, "Lasso")
    stroke(inpaint, (0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8), (0.2, 0.2), steps=8)
    mask = submitted(inpaint, painter)
    row = [mask.getpixel((x, 64)) for x in range(30, 100)]
    assert row[-1] == 255 and sum(20 < value < 235 for value in row) >= 4
