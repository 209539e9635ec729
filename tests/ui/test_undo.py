"""What fills a form can be undone whole, and what somebody typed stays theirs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ui.hands import choose, module, number, paint
from tests.ui.painter import FlatPainter
from tests.ui.test_acts import holds, settled

pytestmark = pytest.mark.browser

PROMPT = "#txt2img-prompt textarea"
NEGATIVE = "#txt2img-negative_prompt textarea"
SENT = (
    "a boat\nNegative prompt: fog\nSteps: 12, Sampler: Heun, CFG scale: 3.5, Seed: 5, "
    "Size: 256x192, Model: wide, Weather: fine"
)


def send(tab: Any, parameters: str = SENT, to: str = "txt2img") -> None:
    sending = f"{module('send-to.js')}.sendTo({{ to, parameters }})"
    tab.evaluate(f"async ([to, parameters]) => {sending}", [to, parameters])


def test_settings_that_were_taken_are_undone_by_the_toast(tab: Any, painter: FlatPainter) -> None:
    tab.locator(PROMPT).fill("a long new prompt")
    number(tab, "txt2img-width", 192)
    send(tab)
    holds(tab, "txt2img-prompt", "a boat")
    holds(tab, "easel-model", "wide")
    tab.locator(".prompt-told li", has_text="Not known here: Weather.").wait_for()
    tab.locator(NEGATIVE).fill("fog and rain")  # what was done since goes, too
    toast = tab.locator(".easel-toast", has_text="Settings taken.")
    toast.get_by_role("button", name="Undo").click()
    holds(tab, "txt2img-prompt", "a long new prompt")
    holds(tab, "txt2img-negative_prompt", "")
    holds(tab, "easel-model", "flat")
    tab.locator(".prompt-told").first.wait_for(state="hidden")
    assert not toast.count()
    request = paint(tab, painter)
    assert (request.prompt, request.width, request.model) == ("a long new prompt", 192, "flat")
    assert (request.steps, request.sampler_name, request.cfg_scale) == (4, "DPM++ 2M", 5)


def test_control_z_undoes_typing_then_the_fill_then_what_was_typed_before(
    tab: Any, painter: FlatPainter
) -> None:
    box = tab.locator(PROMPT)
    box.press_sequentially("a fox")
    send(tab)
    holds(tab, "txt2img-prompt", "a boat")
    box.click()
    box.press("End")
    box.press_sequentially(" at sea")
    for _ in " at sea":  # in as many steps as the browser makes of it
        if box.input_value() != "a boat":
            box.press("Control+z")
    assert box.input_value() == "a boat"
    box.press("Control+z")
    holds(tab, "txt2img-prompt", "a fox")
    holds(tab, "txt2img-width", 128)
    box.press("Control+Shift+z")
    holds(tab, "txt2img-prompt", "a boat")
    holds(tab, "txt2img-width", 256)
    box.press("Control+z")
    holds(tab, "txt2img-prompt", "a fox")
    box.press("Control+z")
    holds(tab, "txt2img-prompt", "")
    box.press_sequentially("an owl")
    assert paint(tab, painter).prompt == "an owl"


def test_an_examples_words_are_undone_where_the_focus_is_on_a_button(
    tab: Any, painter: FlatPainter
) -> None:
    tab.locator(PROMPT).fill("my own words")
    tab.get_by_role("button", name="a blue square").click()
    holds(tab, "txt2img-prompt", "a blue square")
    settled(tab)
    tab.locator(".easel-generate:visible").focus()
    tab.keyboard.press("Control+z")
    holds(tab, "txt2img-prompt", "my own words")
    tab.keyboard.press("Control+y")
    holds(tab, "txt2img-prompt", "a blue square")


def test_a_picture_and_its_mask_come_back(tab: Any, painter: FlatPainter) -> None:
    number(tab, "txt2img-seed", 31)
    paint(tab, painter)
    tab.get_by_role("button", name="To inpaint").click()
    tab.locator("#inpaint-image canvas:visible").wait_for()
    tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
    tab.locator("#inpaint-image").get_by_role("button", name="Mask everything").click()
    number(tab, "inpaint-width", 64)
    choose(tab, "Text to image")
    number(tab, "txt2img-seed", 32)
    paint(tab, painter)
    tab.get_by_role("button", name="To inpaint").click()
    tab.locator(".easel-toast", has_text="Settings taken.").wait_for()
    holds(tab, "inpaint-width", 128)
    tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
    tab.get_by_role("button", name="Undo", exact=True).last.click()
    holds(tab, "inpaint-width", 64)
    tab.wait_for_function(
        """() => { const canvas = document.querySelector("#inpaint-image");
            return !canvas.matches("[data-busy]") && !canvas.querySelector("[data-busy]"); }"""
    )
    request = paint(tab, painter)
    assert request.image is not None and request.mask is not None
    assert request.mask.getextrema() == (255, 255) and request.width == 64


def test_a_picture_goes_where_there_was_none_though_its_mask_is_sent_meanwhile(
    tab: Any, painter: FlatPainter
) -> None:
    paint(tab, painter)
    tab.get_by_role("button", name="To inpaint").click()
    tab.locator("#inpaint-image canvas:visible").wait_for()
    tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
    tab.locator("#inpaint-image").get_by_role("button", name="Mask everything").click()
    tab.locator(".easel-generate:visible").focus()
    tab.keyboard.press("Control+z")
    tab.locator("#inpaint-image canvas").first.wait_for(state="hidden")
    held = f"{module('forms.js')}.formOf('inpaint').value('image')"
    assert tab.evaluate(f"async () => {held}")["image"] is None
