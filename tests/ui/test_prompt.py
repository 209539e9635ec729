"""Prompt boxes in real Chromium: weights by keys, tokens counted, what was generated walked through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ui.hands import line, module, paint
from tests.ui.painter import FlatPainter, until

pytestmark = pytest.mark.browser

PROMPT = "#txt2img-prompt textarea"
HISTORY = module("history.js") + ".promptHistory"
NEGATIVE = "#txt2img-negative_prompt textarea"


def test_weight_keys_are_undone_as_typing_is(same_tab: Any, painter: FlatPainter) -> None:
    tab, box = same_tab, same_tab.locator(PROMPT)
    box.fill("")
    box.press_sequentially("a cat")
    tab.keyboard.press("Control+ArrowUp")
    tab.keyboard.press("Control+ArrowUp")
    assert box.input_value() == "a (cat:1.2)"
    assert paint(tab, painter).prompt == "a (cat:1.2)"  # Gradio has heard of it
    box.focus()
    tab.keyboard.press("Control+z")
    assert box.input_value() == "a (cat:1.1)"
    tab.keyboard.press("Control+z")
    assert box.input_value() == "a cat"
    tab.keyboard.press("Control+Shift+z")
    assert box.input_value() == "a (cat:1.1)"


def test_tokens_are_counted_as_they_are_typed(same_tab: Any) -> None:
    tab = same_tab
    count = tab.locator(".prompt-count[data-for=txt2img-prompt]")
    tab.locator(PROMPT).fill("one two three")
    tab.wait_for_function("document.querySelector('.prompt-count').textContent === '3/75'")
    tab.locator(PROMPT).fill("word " * 80)
    tab.wait_for_function("document.querySelector('.prompt-count').textContent === '80/150'")
    assert count.get_attribute("title") == "80 tokens, read in 2 parts of 75"
    tab.locator(NEGATIVE).fill("blurry")
    tab.locator(".prompt-count[data-for=txt2img-negative_prompt]", has_text="1/75").wait_for()
    tab.locator(PROMPT).fill("")
    tab.wait_for_function("document.querySelector('.prompt-count').textContent === ''")


def test_a_late_answer_to_an_older_text_is_dropped(tab: Any) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        if "slow" in json.loads(route.request.post_data)["text"]:
            held.append(route)
        else:
            route.continue_()

    tab.route("**/api/tokens", hold)
    with tab.expect_request("**/api/tokens"):
        tab.locator(PROMPT).fill("a slow text of five")
    tab.locator(PROMPT).fill("two words")
    tab.wait_for_function("document.querySelector('.prompt-count').textContent === '2/75'")
    with tab.expect_response("**/api/tokens") as answered:
        held[0].continue_()
    answered.value.finished()
    tab.evaluate("() => new Promise(requestAnimationFrame)")
    assert tab.locator(".prompt-count").first.text_content() == "2/75"


def test_what_was_generated_is_walked_through(tab: Any, painter: FlatPainter) -> None:
    box = tab.locator(PROMPT)
    for words in ("first", "second", "first", "third"):
        box.fill(words)
        tab.locator(NEGATIVE).fill(f"no {words}")
        paint(tab, painter)
    kept = tab.evaluate(f"async () => {HISTORY}.all().slice(0, 3)")
    assert kept == [["third", "no third"], ["first", "no first"], ["second", "no second"]]
    box.fill("not yet")
    tab.keyboard.press("Alt+ArrowUp")
    assert (box.input_value(), tab.locator(NEGATIVE).input_value()) == ("third", "no third")
    tab.keyboard.press("Alt+ArrowUp")
    assert box.input_value() == "first"
    tab.keyboard.press("Alt+ArrowDown")
    tab.keyboard.press("Alt+ArrowDown")
    assert box.input_value() == "not yet"
    # With arrows alone, from the very start of the box; elsewhere they move the caret.
    box.evaluate("(box) => box.setSelectionRange(0, 0)")
    tab.keyboard.press("ArrowUp")
    tab.wait_for_function("document.querySelector('#txt2img-prompt textarea').value === 'third'")
    box.evaluate("(box) => box.setSelectionRange(2, 2)")
    tab.keyboard.press("ArrowUp")
    assert box.input_value() == "third"
    box.evaluate("(box) => box.setSelectionRange(0, 0)")
    tab.keyboard.press("ArrowDown")
    tab.wait_for_function("document.querySelector('#txt2img-prompt textarea').value === 'not yet'")


def test_the_list_of_prompts_is_searched_chosen_from_and_forgotten(tab: Any) -> None:
    kept = [["a fox", "blurry"], ["an owl", ""], ["a red fox", ""]]
    tab.evaluate(f"async (kept) => {HISTORY}.keep(kept)", kept)
    tab.get_by_role("button", name="History").click()
    picks = tab.locator(".panel-pick:visible")
    until(lambda: picks.count() == 3, "three prompts are listed")
    tab.keyboard.type("FOX")
    until(lambda: picks.count() == 2, "two prompts are found")
    tab.get_by_role("button", name="Forget this prompt").last.click()
    assert tab.evaluate(f"async () => {HISTORY}.all()") == kept[:2]
    tab.locator("input[type=search]:visible").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert tab.locator(PROMPT).input_value() == "a fox"
    assert tab.locator(NEGATIVE).input_value() == "blurry"
    assert not tab.locator(".easel-panel:visible").count()


def test_an_example_is_remembered_too(tab: Any, painter: FlatPainter) -> None:
    tab.evaluate(f"async () => {HISTORY}.keep([])")
    tab.get_by_role("button", name="a blue square").click()
    line(tab, "1 picture in").wait_for()
    assert tab.evaluate(f"async () => {HISTORY}.all()") == [["a blue square", ""]]


def test_what_is_written_outlives_a_reload_and_leaves_the_other_tabs_alone(tab: Any) -> None:
    tab.locator(PROMPT).fill("a lighthouse")
    tab.locator(NEGATIVE).fill("people")
    tab.reload()
    tab.wait_for_function(f"() => document.querySelector('{PROMPT}')?.value === 'a lighthouse'")
    assert tab.locator(NEGATIVE).input_value() == "people"
    tab.get_by_role("tab", name="Image to image").click()
    tab.locator("#img2img-prompt textarea").wait_for()
    assert tab.locator("#img2img-prompt textarea").input_value() == ""


def test_what_is_written_again_after_a_reload_is_what_is_painted(
    tab: Any, painter: FlatPainter
) -> None:
    tab.locator(PROMPT).fill("a lighthouse")
    tab.reload()
    tab.wait_for_function(f"() => document.querySelector('{PROMPT}')?.value === 'a lighthouse'")
    paint(tab, painter)
    assert painter.submitted[-1].prompt == "a lighthouse"
