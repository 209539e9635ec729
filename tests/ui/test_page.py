"""The page in real Chromium, with a painter for an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, generate, line, number, paint
from tests.ui.painter import FlatPainter, colour, until
from webui.types import RunningPicture

pytestmark = pytest.mark.browser


def shown_colour(tab: Any) -> list[int]:
    """The colour in the middle of the picture on the stage."""
    found: list[int] = tab.locator(".stage-picture:visible").evaluate(
        """async (image) => { await image.decode();
            const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
            const pen = canvas.getContext("2d");
            pen.drawImage(image, image.naturalWidth / 2, image.naturalHeight / 2, 1, 1, 0, 0, 1, 1);
            return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); }"""
    )
    return found


def test_generate_shows_the_saved_picture(tab: Any, painter: FlatPainter) -> None:
    tab.locator("#txt2img-prompt textarea").fill("a lighthouse")
    number(tab, "txt2img-seed", 21)
    generate(tab)
    line(tab, "1 picture in").wait_for()
    assert shown_colour(tab) == list(colour(21))
    (request,) = painter.submitted
    assert (request.prompt, request.seed, request.width, request.steps) == (
        "a lighthouse",
        21,
        128,
        4,
    )
    saved = next(iter(painter.outputs_dir.rglob("*-21.png")))
    tab.get_by_role("button", name="Download").click()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Original (PNG)").click()
    assert Path(download.value.path()).read_bytes() == saved.read_bytes()
    tab.locator(".stage-details summary").click()
    with Image.open(saved) as picture:
        assert tab.locator(".stage-details pre").text_content() == picture.info["parameters"]


def test_while_it_runs_there_are_steps_a_preview_and_cancel(tab: Any, painter: FlatPainter) -> None:
    painter.hold.clear()
    number(tab, "txt2img-seed", 30)
    generate(tab)
    line(tab, "Step 1 of 4, 1.0 s left").wait_for()
    tab.locator(".stage-picture[src^='data:image/jpeg']").wait_for()
    assert not tab.locator(".easel-generate:visible").count()
    tab.get_by_role("button", name="Cancel").click()
    line(tab, "Cancelled").wait_for()
    tab.locator(".easel-generate:visible").wait_for()
    assert not list(painter.outputs_dir.rglob("*-30.png"))


def test_of_several_pictures_each_is_seen_in_its_place(tab: Any, painter: FlatPainter) -> None:
    painter.hold.clear()
    number(tab, "txt2img-batch_size", 4)
    number(tab, "txt2img-seed", 60)
    generate(tab)
    line(tab, "Picture 1 of 4: Step 1 of 4, 1.0 s left").wait_for()
    tab.locator(".foot-queue", has_text="1 running").wait_for()
    job = painter.last_job
    first = painter._save(job, painter.submitted[0], 0, 0.1)
    two = (RunningPicture(1, 2, 4, 0.5), RunningPicture(2, 1, 4, 0.25))
    painter._set(job, "saved", pictures=(first,), running=two, made=1, step=2)
    line(tab, "Pictures 2 to 3 of 4: Step 2 of 4, 1.0 s left").wait_for()
    tab.locator("[data-state=running]:nth-child(3) img[src^='data:image/jpeg']").wait_for()
    cells = tab.locator(".stage-grid:visible > [role=listitem]")
    states = cells.evaluate_all("(all) => all.map((one) => one.dataset.state)")
    assert states == ["made", "running", "running", "waiting"]
    names = cells.evaluate_all("(all) => all.map((one) => one.firstElementChild.ariaLabel)")
    assert names == [
        "Picture 1",
        "Preview of picture 2",
        "Preview of picture 3",
        "Picture 4 waits",
    ]
    bars = cells.locator("i").evaluate_all("(all) => all.map((one) => one.style.width)")
    assert bars == ["50%", "25%"]
    wide = tab.viewport_size
    tab.set_viewport_size({"width": 320, "height": 844})
    cut = tab.locator(".easel-go button:visible, .stage-line:visible").evaluate_all(
        "(all) => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
    )
    assert not cut
    tab.set_viewport_size(wide)
    painter.hold.set()
    line(tab, "4 pictures in").wait_for()
    assert tab.locator(".stage-grid:visible button").count() == 4


def test_a_picture_is_skipped_and_the_next_one_kept_as_it_is(
    tab: Any, painter: FlatPainter
) -> None:
    painter.hold.clear()
    number(tab, "txt2img-batch_size", 3)
    number(tab, "txt2img-seed", 70)
    generate(tab)
    line(tab, "Picture 1 of 3: Step 1 of 4").wait_for()
    assert tab.locator(".easel-go button:visible").all_inner_texts() == [
        *("Cancel", "Pause", "Interrupt", "Skip", "Add another")
    ]
    tab.get_by_role("button", name="Skip").click()
    line(tab, "Picture 2 of 3: Step 1 of 4").wait_for()
    first = tab.locator(".stage-grid:visible > [role=listitem]").first
    assert (first.get_attribute("data-state"), first.text_content()) == ("skipped", "Skipped")
    tab.get_by_role("button", name="Interrupt").click()
    line(tab, "Interrupted; 1 picture in").wait_for()
    assert shown_colour(tab) == list(colour(71))
    tab.locator(".easel-generate:visible").wait_for()
    assert not list(painter.outputs_dir.rglob("*-70.png"))


def test_control_enter_generates_from_the_keyboard(same_tab: Any, painter: FlatPainter) -> None:
    same_tab.locator("#txt2img-prompt textarea").fill("by key")
    same_tab.keyboard.press("Control+Enter")
    line(same_tab, "1 picture in").wait_for()
    assert painter.submitted[0].prompt == "by key"


def test_every_press_counts_but_a_double_click_is_one(tab: Any, painter: FlatPainter) -> None:
    """Gradio drops what comes while an event's stream still closes; a picture is there before that."""
    tab.locator("#txt2img-prompt textarea").fill("pressed")
    button = tab.locator(".easel-task:visible .easel-generate")
    button.dblclick()
    line(tab, "1 picture in").wait_for()
    for pressed in range(2, 6):
        button.click()
        until(lambda count=pressed: len(painter.submitted) >= count, f"press {pressed}")  # type: ignore[misc]
        tab.locator(".easel-task:visible:not([data-running]) .easel-generate").wait_for()
    assert len(painter.submitted) == 5


def test_an_error_is_said_once_at_its_control_by_its_label_until_it_is_mended(
    same_tab: Any, painter: FlatPainter
) -> None:
    tab, words = same_tab, same_tab.locator("#txt2img-prompt textarea")
    sentence = "Prompt: 20001 characters; use at most 20000"
    for _ in range(2):  # the same error is said again
        words.fill("x" * 20_001)
        generate(tab)
        tab.locator("#txt2img-prompt .easel-error", has_text=sentence).wait_for()
        assert words.get_attribute("aria-invalid") == "true"
        assert tab.get_by_text(sentence).count() == 1
        assert not tab.locator(".easel-toast, .easel-problem-line:visible").count()
        words.fill("short")
        tab.locator(".easel-error").wait_for(state="detached")
        assert "easel-wrong" not in tab.locator("#txt2img-prompt").get_attribute("class")
    assert not painter.submitted
    assert paint(tab, painter).prompt == "short"


def test_what_fails_while_painting_is_shown_as_text(same_tab: Any, painter: FlatPainter) -> None:
    same_tab.locator("#txt2img-prompt textarea").fill("please fail now")
    paint(same_tab, painter)
    same_tab.locator(".easel-problem-line:visible", has_text="the paint <b>dried</b> up").wait_for()
    same_tab.locator("#txt2img-prompt textarea").fill("")


def test_an_example_fills_the_prompt_and_paints(tab: Any, painter: FlatPainter) -> None:
    tab.get_by_role("button", name="a blue square").click()
    line(tab, "1 picture in").wait_for()
    assert painter.submitted[0].prompt == "a blue square"
    assert tab.locator("#txt2img-prompt textarea").input_value() == "a blue square"


def test_choosing_a_model_puts_its_defaults_in_place(tab: Any, painter: FlatPainter) -> None:
    tab.locator("#easel-model input").click()
    tab.get_by_role("option", name="wide").click()
    tab.wait_for_function(
        "document.querySelector('#txt2img-width input[type=number]').value == '192'"
    )
    generate(tab)
    line(tab, "1 picture in").wait_for()
    (request,) = painter.submitted
    assert (request.model, request.width, request.height, request.steps) == ("wide", 192, 128, 6)


def test_a_closed_tab_does_not_stop_its_job(tab: Any, painter: FlatPainter) -> None:
    painter.hold.clear()
    number(tab, "txt2img-seed", 41)
    generate(tab)
    line(tab, "Step 1 of 4").wait_for()
    tab.goto("about:blank")
    painter.hold.set()
    until(lambda: list(painter.outputs_dir.rglob("*-41.png")), "its picture is saved")


def test_a_reloaded_tab_shows_its_job_again(tab: Any, painter: FlatPainter) -> None:
    painter.hold.clear()
    number(tab, "txt2img-seed", 42)
    generate(tab)
    line(tab, "Step 1 of 4").wait_for()
    tab.reload()
    line(tab, "Step 1 of 4").wait_for()
    tab.locator(".easel-cancel:visible").wait_for()
    painter.hold.set()
    line(tab, "1 picture in").wait_for()
    assert shown_colour(tab) == list(colour(42))
    assert len(painter.submitted) == 1


def test_png_info_shows_the_settings(same_tab: Any, painter: FlatPainter) -> None:
    tab = same_tab
    tab.locator("#txt2img-prompt textarea").fill("a lantern")
    number(tab, "txt2img-seed", 51)
    paint(tab, painter)
    tab.get_by_role("tab", name="PNG info").click()
    saved = next(iter(painter.outputs_dir.rglob("*-51.png")))
    tab.locator("#png_info-image input[type=file]").set_input_files(saved)
    tab.wait_for_function(
        "document.querySelector('#png_info-text textarea').value.startsWith('a lantern')"
    )
    choose(tab, "Text to image")


def test_every_control_has_a_name(same_tab: Any) -> None:
    """No nameless button or field in any tab, as a screen reader would name them."""
    tab = same_tab
    for name in ("Text to image", "Image to image", "Inpaint", "Poster", "PNG info", "Extensions"):
        tab.get_by_role("tab", name=name).click()
        tab.wait_for_timeout(150)
        for group in tab.locator(".easel-group > button:visible").all():
            if group.get_attribute("aria-expanded") == "false":
                group.click()
        nameless = tab.evaluate(
            """() => [...document.querySelectorAll("button, input, textarea, select, a[href]")]
                .filter((one) => one.offsetParent !== null && one.getAttribute("aria-hidden") !== "true")
                .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.title || one.placeholder
                    || [...(one.labels || [])].some((label) => label.textContent.trim())))
                .map((one) => one.outerHTML.slice(0, 120))"""
        )
        assert nameless == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(same_tab: Any, width: int) -> None:
    tab = same_tab
    for name in ("Inpaint", "Text to image"):
        tab.set_viewport_size({"width": 1280, "height": 800})
        choose(tab, name)
        tab.set_viewport_size({"width": width, "height": 800})
        tab.wait_for_timeout(100)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_prompt_picture_and_button_are_visible_together(
    same_tab: Any, painter: FlatPainter
) -> None:
    tab = same_tab
    tab.set_viewport_size({"width": 1280, "height": 720})
    choose(tab, "Text to image")
    paint(tab, painter)
    for part in ("#txt2img-prompt", ".easel-generate:visible", ".stage-picture:visible"):
        box = tab.locator(part).bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 720, part


def test_the_page_is_called_easel(same_tab: Any) -> None:
    assert same_tab.title() == "Easel"


def test_the_chosen_tab_stays_in_sight_when_the_window_gets_narrow(tab: Any) -> None:
    tab.get_by_role("tab", name="Queue", exact=True).click()
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.wait_for_function(
        """() => { const chosen = document.querySelector(".easel-tabs [role=tab][aria-selected=true]")
        .getBoundingClientRect(); return chosen.left >= 0 && chosen.right <= innerWidth; }"""
    )
