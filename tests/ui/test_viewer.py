"""One picture over everything: keys, zoom, comparing; for any list of pictures, without a stage."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import module, paint
from tests.ui.painter import FlatPainter

pytestmark = pytest.mark.browser

# Three pictures of one colour each, made in the browser; the second one knows no settings.
ITEMS = """() => { window.items = ["red", "lime", "blue"].map((colour, i) => {
    const canvas = document.createElement("canvas"); canvas.width = 600; canvas.height = 400;
    const pen = canvas.getContext("2d"); pen.fillStyle = colour; pen.fillRect(0, 0, 600, 400);
    const url = canvas.toDataURL();
    return { id: null, url, thumbnail: url, width: 600, height: 400, name: colour + ".png", prompt: "all " + colour,
      parameters: i === 1 ? "" : "all " + colour + "\\nSteps: 1" };
  }); window.did = []; }"""
OPEN = (
    f"async () => {module('viewer.js')}"
    """.openViewer(items, 0, { shown: (one) => { did.push(one.name); }, actions: [
    { label: "Favourite", act: (one) => { did.push("star " + one.name); } },
    { label: "Delete", act: (one) => { did.push("bin " + one.name); return "gone"; } },
    { label: "Mine", key: "m", for: (one) => one.name !== "red.png", act: (one) => { did.push("mine " + one.name); } },
  ] })"""
)
TOAST = f"{module('overlays.js')}.toast"


@pytest.fixture
def viewer(same_tab: Any) -> Iterator[Any]:
    same_tab.evaluate(ITEMS)
    same_tab.locator(".easel-generate:visible").focus()
    same_tab.evaluate(OPEN)
    same_tab.locator("dialog.viewer").wait_for()
    yield same_tab
    while same_tab.locator("dialog[open]").count():
        same_tab.keyboard.press("Escape")


def name(tab: Any) -> str:
    text: str = tab.locator(".viewer-name").text_content()
    return text


def test_keys_walk_through_the_pictures_and_stop_at_the_ends(viewer: Any) -> None:
    keys = viewer.keyboard
    for key, expected in (
        ("ArrowLeft", "red"), ("ArrowRight", "lime"), ("ArrowRight", "blue"), ("ArrowRight", "blue"),
        ("Home", "red"), ("End", "blue"),
    ):  # fmt: skip
        keys.press(key)
        assert name(viewer) == expected + ".png"
    assert viewer.locator(".viewer-count").text_content() == "3 / 3"
    assert viewer.locator(".viewer-next").is_disabled()
    assert viewer.locator(".viewer-picture").get_attribute("alt") == "Picture of: all blue"


def test_keys_are_actions_and_what_is_gone_makes_room(viewer: Any) -> None:
    keys = viewer.keyboard
    keys.press("m")  # not offered for the first
    keys.press("f")
    keys.press("ArrowRight")
    keys.press("m")
    keys.press("Delete")
    viewer.wait_for_function("document.querySelector('.viewer-name').textContent === 'blue.png'")
    assert viewer.locator(".viewer-count").text_content() == "2 / 2"
    keys.press("Delete")
    keys.press("Delete")
    viewer.wait_for_function("!document.querySelector('dialog.viewer')")
    did = [said for said in viewer.evaluate("did") if " " in said]
    assert did == ["star red.png", "mine lime.png", "bin lime.png", "bin blue.png", "bin red.png"]


def test_keys_work_after_the_button_that_had_the_focus_is_gone(viewer: Any) -> None:
    viewer.locator(".viewer-next").click()
    viewer.locator(".viewer-next").click()  # the last: it cannot be pressed any more
    viewer.keyboard.press("ArrowLeft")
    assert name(viewer) == "lime.png"
    viewer.evaluate("document.activeElement.blur()")
    viewer.keyboard.press("f")
    viewer.wait_for_function("did.includes('star lime.png')")


def test_keys_in_a_comparison_do_nothing_to_the_picture_below(viewer: Any) -> None:
    viewer.evaluate(f"async () => {module('compare.js')}.compare(items[0], items[2])")
    viewer.locator("dialog.compare").wait_for()
    viewer.keyboard.press("Delete")
    viewer.keyboard.press("f")
    viewer.keyboard.press("Escape")
    viewer.locator("dialog.compare").wait_for(state="detached")
    assert viewer.evaluate("did.filter((said) => said.includes(' '))") == []
    viewer.keyboard.press("f")
    viewer.wait_for_function("did.includes('star red.png')")


def test_a_key_that_lacks_something_says_what(same_tab: Any) -> None:
    same_tab.evaluate(ITEMS)
    same_tab.evaluate(
        f"async () => {module('viewer.js')}"
        """.openViewer(items, 1, { actions: [{ label: "Twice", key: "c", lacking: "There is no other.",
            for: (one, before) => before, act: (one, before) => { did.push(`${one.name} ${before.name}`); } }] })"""
    )
    same_tab.keyboard.press("C")
    same_tab.wait_for_function("did.includes('lime.png blue.png')")
    same_tab.keyboard.press("End")
    assert not same_tab.get_by_role("button", name="Twice").count()
    same_tab.keyboard.press("c")
    same_tab.locator(".easel-toast", has_text="There is no other.").wait_for()
    same_tab.keyboard.press("Escape")


def test_escape_closes_and_gives_the_focus_back(viewer: Any) -> None:
    viewer.keyboard.press("Tab")
    assert viewer.evaluate("document.activeElement.closest('dialog.viewer') !== null")
    for _ in range(20):  # the focus stays inside, or with the browser
        viewer.keyboard.press("Tab")
        assert viewer.evaluate(
            "document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        )
    viewer.keyboard.press("Escape")
    viewer.wait_for_function("!document.querySelector('dialog.viewer')")
    assert viewer.evaluate("document.activeElement.closest('.easel-generate') !== null")


def test_settings_are_shown_and_a_picture_without_them_says_so(viewer: Any) -> None:
    viewer.keyboard.press("i")
    viewer.locator(".viewer-info pre", has_text="all red\nSteps: 1").wait_for()
    viewer.keyboard.press("ArrowRight")
    viewer.locator(".viewer-info", has_text="says nothing of its settings").wait_for()
    viewer.keyboard.press("i")
    assert viewer.locator(".viewer-info").is_hidden()


def box(tab: Any) -> Any:
    return tab.locator(".viewer-picture").bounding_box()


def test_a_picture_is_fitted_and_enlarged_about_the_pointer(viewer: Any) -> None:
    ground = viewer.locator(".viewer-ground").bounding_box()
    fitted = box(viewer)
    free = ground["height"] - 2 * 56  # between the bars
    assert fitted["width"] == pytest.approx(min(ground["width"], free * 1.5), abs=1)
    x, y = fitted["x"] + fitted["width"] / 4, fitted["y"] + fitted["height"] / 4
    viewer.mouse.move(x, y)
    viewer.mouse.wheel(0, -300)
    viewer.wait_for_function("document.querySelector('.viewer-ground').dataset.zoomed === 'yes'")
    larger = box(viewer)
    assert larger["width"] > fitted["width"] * 1.2
    assert (x - larger["x"]) / larger["width"] == pytest.approx(0.25, abs=0.02)
    viewer.mouse.down()
    viewer.mouse.move(x + 40, y, steps=3)
    viewer.mouse.up()
    assert box(viewer)["x"] >= larger["x"]
    viewer.keyboard.press("0")
    assert box(viewer) == fitted
    viewer.keyboard.press("+")
    assert box(viewer)["width"] > fitted["width"]


def test_two_pictures_are_compared_with_a_slider(viewer: Any) -> None:
    viewer.keyboard.press("Escape")
    viewer.evaluate(f"async () => {module('compare.js')}.compare(items[0], items[2])")
    slider = viewer.get_by_role("slider", name="Border between the two pictures")
    slider.wait_for()

    def middle(share: float) -> list[int]:
        """The colour of the place at a part of its width."""
        place = viewer.locator(".compare-place").bounding_box()
        shot = viewer.screenshot(
            clip={
                "x": place["x"] + place["width"] * share,
                "y": place["y"] + place["height"] * 0.2,
                "width": 1,
                "height": 1,
            }
        )
        return list(Image.open(io.BytesIO(shot)).convert("RGB").getpixel((0, 0)))

    viewer.wait_for_function(
        "[...document.querySelectorAll('.compare-place img')].every((one) => one.complete)"
    )
    assert slider.get_attribute("aria-valuenow") == "50"
    assert (middle(0.25), middle(0.75)) == ([255, 0, 0], [0, 0, 255])
    viewer.keyboard.press("Home")
    assert middle(0.25) == [0, 0, 255]
    viewer.keyboard.press("End")
    assert (slider.get_attribute("aria-valuenow"), middle(0.75)) == ("100", [255, 0, 0])
    place = viewer.locator(".compare-place").bounding_box()
    viewer.mouse.click(place["x"] + place["width"] * 0.1, place["y"] + 20)
    assert slider.get_attribute("aria-valuenow") == "10"
    viewer.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "12"


def test_a_toast_can_be_answered_and_goes(same_tab: Any) -> None:
    same_tab.evaluate(
        "async () => { window.undone = 0; "
        + TOAST
        + "('Gone.', { label: 'Undo', act: () => { undone += 1; } }); }"
    )
    toast = same_tab.locator(".easel-toast", has_text="Gone.")
    toast.get_by_role("button", name="Undo").click()
    assert same_tab.evaluate("undone") == 1 and not toast.count()
    same_tab.mouse.move(4, 4)  # one under the pointer stays
    same_tab.evaluate(f"async () => {{ {TOAST}('Short.', null, 0.2); }}")
    same_tab.wait_for_function("!document.querySelector('.easel-toast')")


COVERED = """() => { const of = (one) => one.getBoundingClientRect();
    const said = of(document.querySelector(".easel-toasts"));
    const kept = ".easel-head, [role=tablist], .easel-words, .easel-go, .stage-frame";
    return [...document.querySelectorAll(kept)].filter((one) => one.checkVisibility()).filter((one) => {
        const box = of(one);
        return Math.min(box.right, said.right) > Math.max(box.left, said.left) + 1
            && Math.min(box.bottom, said.bottom) > Math.max(box.top, said.top) + 1; }).map((one) => one.className); }"""


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_a_toast_covers_neither_tabs_prompt_generate_nor_picture(
    tab: Any, painter: FlatPainter, width: int, height: int
) -> None:
    tab.set_viewport_size({"width": width, "height": height})
    tab.locator("#txt2img-prompt textarea").fill("a lantern")
    paint(tab, painter)
    tab.locator(".stage-full:visible").wait_for()
    text = "The model “elsewhere” is not here; the one that is chosen stays."
    said = f"{TOAST}('{text}', {{ label: 'Undo', act() {{}} }}, 60)"
    tab.evaluate(f"async () => {{ {said}; }}")
    tab.locator(".easel-toast").wait_for()
    for down in (0, 300):
        tab.evaluate(
            """(down) => new Promise((go) => { scrollTo(0, down);
            requestAnimationFrame(() => requestAnimationFrame(go)); })""",
            down,
        )
        tab.wait_for_function(f"() => !({COVERED})().length")
