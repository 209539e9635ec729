"""Settings as text: pasted into a prompt, by the button at it, on PNG info, and in pictures that are dropped."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.ui.hands import choose, number, paint
from tests.ui.painter import FlatPainter
from tests.ui.test_acts import holds
from tests.ui.test_info import png

pytestmark = pytest.mark.browser

PROMPT = "#txt2img-prompt textarea"
TEXT = (
    "a castle, (dramatic light:1.2)\nNegative prompt: lowres\nSteps: 12, Sampler: Euler a, CFG scale: 6.5, "
    "Seed: 998877, Size: 256x192, Model hash: abcdef0123, Model: elsewhere, Mask blur: 4, Weather: fine"
)
PASTE = """(box, text) => { const data = new DataTransfer(); data.setData("text/plain", text); box.focus();
  const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
  if (box.dispatchEvent(event)) document.execCommand("insertText", false, text); }"""
DROP = """(place, [name, type, body]) => { const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(body), (one) => one.charCodeAt(0));
  data.items.add(new File([bytes], name, { type }));
  for (const kind of ["dragover", "drop"])
    place.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true })); }"""


def drop(tab: Any, file: Path, kind: str = "image/png") -> None:
    body = base64.b64encode(file.read_bytes()).decode()
    tab.locator(PROMPT).evaluate(DROP, [file.name, kind, body])


def test_a_text_with_settings_pasted_into_the_prompt_is_taken_and_what_was_not_is_listed(
    tab: Any, painter: FlatPainter
) -> None:
    box = tab.locator(PROMPT)
    box.fill("my words")
    box.evaluate(PASTE, TEXT)
    holds(tab, "txt2img-prompt", "a castle, (dramatic light:1.2)")
    told = tab.locator(".prompt-told:visible li").all_inner_texts()
    assert told == [
        "The model “elsewhere” is not here; the one that is chosen stays.",
        "Not known here: Weather.",
        "Not for this task: Mask blur.",
    ]
    request = paint(tab, painter)
    assert (request.negative_prompt, request.steps, request.sampler_name) == (
        *("lowres", 12),
        "Euler a",
    )
    assert (request.cfg_scale, request.seed) == (6.5, 998877)
    assert (request.width, request.height) == (256, 192)
    assert not tab.locator(".prompt-told:visible").count()  # a job has begun
    tab.get_by_role("button", name="Undo").click()
    holds(tab, "txt2img-prompt", "my words")
    holds(tab, "txt2img-width", 128)


def test_words_are_pasted_as_words_and_pairs_alone_leave_the_words(
    tab: Any, painter: FlatPainter
) -> None:
    box = tab.locator(PROMPT)
    box.fill("stairs, ")
    box.evaluate(PASTE, "size: huge, steps of stone")  # asked about, and no settings
    holds(tab, "txt2img-prompt", "stairs, size: huge, steps of stone")
    box.evaluate(PASTE, "Steps: 3, Sampler: Heun, CFG scale: 2, Seed: 9, Size: 64x64")
    holds(tab, "txt2img-width", 64)
    request = paint(tab, painter)
    assert (request.prompt, request.steps) == ("stairs, size: huge, steps of stone", 3)


def test_the_button_takes_what_stands_in_the_prompt_or_is_pasted_there(tab: Any) -> None:
    button = tab.get_by_role("button", name="Paste settings")
    box = tab.locator(PROMPT)
    box.fill(TEXT)
    button.click()
    holds(tab, "txt2img-prompt", "a castle, (dramatic light:1.2)")
    box.fill("other words")
    tab.evaluate("() => { navigator.clipboard.readText = async () => { throw new Error(); }; }")
    button.click()
    field = tab.get_by_role("textbox", name="Settings as text")
    field.fill("a mere prompt")
    tab.get_by_role("button", name="Take the settings").click()
    wrong = tab.locator(".panel-wrong:visible")
    wrong.filter(has_text="There are no settings in this text").wait_for()
    field.fill("a lake\nSteps: 5, Sampler: Heun, CFG scale: 2, Seed: 9, Size: 64x64")
    tab.get_by_role("button", name="Take the settings").click()
    holds(tab, "txt2img-prompt", "a lake")
    tab.locator(".easel-panel").first.wait_for(state="hidden")
    tab.evaluate("(text) => { navigator.clipboard.readText = async () => text; }", TEXT)
    button.click()
    holds(tab, "txt2img-prompt", "a castle, (dramatic light:1.2)")


def test_a_picture_dropped_on_the_prompt_gives_its_settings(tab: Any, tmp_path: Path) -> None:
    drop(tab, png(tmp_path / "a.png", parameters=TEXT))
    holds(tab, "txt2img-prompt", "a castle, (dramatic light:1.2)")
    (tmp_path / "t.txt").write_text("a lake\nSteps: 5, Seed: 9, Size: 64x64")
    drop(tab, tmp_path / "t.txt", "text/plain")
    holds(tab, "txt2img-prompt", "a lake")
    drop(tab, png(tmp_path / "p.png"))
    tab.locator(".easel-toast", has_text="This picture carries no settings.").wait_for()
    assert tab.locator(PROMPT).input_value() == "a lake"


def test_a_text_pasted_on_png_info_is_shown_and_sent(tab: Any) -> None:
    tab.get_by_role("tab", name="PNG info").click()
    field = tab.get_by_role("textbox", name="Settings as text")
    field.evaluate(PASTE, TEXT)
    tab.locator(".info-words", has_text="a castle, (dramatic light:1.2)").wait_for()
    row = tab.locator(".info-table > div", has_text="Seed")
    assert row.locator("dd").inner_text() == "998877"
    tab.get_by_role("button", name="Send to text to image").click()
    holds(tab, "txt2img-prompt", "a castle, (dramatic light:1.2)")
    number(tab, "txt2img-seed", 3)
    choose(tab, "Image to image")
    assert tab.locator("#img2img-prompt textarea").input_value() == ""
