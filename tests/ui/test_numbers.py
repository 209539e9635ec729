"""Numbers in real Chromium: clamped with a note, sizes by a click, seeds by dice; a model's defaults in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.ui.hands import choose, generate, line, number, paint
from tests.ui.painter import FlatPainter, until

pytestmark = pytest.mark.browser


def value(tab: Any, name: str) -> str:
    found: str = tab.locator(f"#{name} input[type=number]").input_value()
    return found


def note(tab: Any, name: str) -> Any:
    return tab.locator(f"#{name} .easel-remark:visible")


@pytest.mark.parametrize(
    ("name", "typed", "kept", "sentence"),
    [
        ("width", "4000", "2048", "Width: 4000 is more than 2048; set to 2048"),
        (
            "batch_size",
            "2.6",
            "3",
            "Number of pictures: 2.6 is not a whole number; set to 3",
        ),
    ],
)
def test_a_number_out_of_range_is_set_with_a_note(
    same_tab: Any, name: str, typed: str, kept: str, sentence: str
) -> None:
    tab, box = same_tab, same_tab.locator(f"#txt2img-{name} input[type=number]")
    before = box.input_value()
    box.fill(typed)
    box.press("Tab")
    note(tab, f"txt2img-{name}").wait_for()
    assert note(tab, f"txt2img-{name}").text_content() == sentence
    assert value(tab, f"txt2img-{name}") == kept
    box.press_sequentially("1")  # typing takes the note away
    assert not note(tab, f"txt2img-{name}").count()
    box.fill(typed)
    box.press("Tab")
    note(tab, f"txt2img-{name}").wait_for()
    number(tab, f"txt2img-{name}", int(before))  # and so does another value
    assert not note(tab, f"txt2img-{name}").count()


def test_a_note_goes_with_its_cause_wherever_another_value_comes_from(
    same_tab: Any, painter: FlatPainter
) -> None:
    box = same_tab.locator("#txt2img-width input[type=number]")
    box.fill("99999")
    box.press("Tab")
    note(same_tab, "txt2img-width").wait_for()
    same_tab.get_by_role("button", name="3:2, 160 × 104").click()
    note(same_tab, "txt2img-width").wait_for(state="hidden")
    number(same_tab, "txt2img-width", 128)
    number(same_tab, "txt2img-height", 128)


def test_what_is_sent_is_what_the_note_says(same_tab: Any, painter: FlatPainter) -> None:
    """With Ctrl+Enter too, while the field still has the focus."""
    tab, box = same_tab, same_tab.locator("#txt2img-width input[type=number]")
    box.fill("100")
    tab.keyboard.press("Control+Enter")
    until(lambda: painter.submitted, "the job is with the engine")
    assert painter.submitted[0].width == 104
    number(tab, "txt2img-width", 128)


def test_a_number_between_the_sliders_steps_is_kept(same_tab: Any, painter: FlatPainter) -> None:
    tab = same_tab
    tab.get_by_role("button", name="Sampling").click()
    box = tab.locator("#txt2img-cfg_scale input[type=number]")
    box.fill("7.25")
    box.press("Tab")
    assert paint(tab, painter).cfg_scale == 7.25
    assert not note(tab, "txt2img-cfg_scale").count()
    box.fill("5")
    box.press("Tab")
    tab.get_by_role("button", name="Sampling").click()


def test_sizes_by_a_click_and_swapped(same_tab: Any, painter: FlatPainter) -> None:
    tab = same_tab
    tab.get_by_role("button", name="3:2, 160 × 104").click()
    tab.get_by_role("button", name="Swap width and height").click()
    request = paint(tab, painter)
    assert (request.width, request.height) == (104, 160)
    pressed = tab.locator(".easel-shapes button[aria-pressed=true]:visible")
    until(lambda: pressed.count() == 1, "the size of that shape is marked")
    assert pressed.get_attribute("aria-label") == "2:3, 104 × 160"
    tab.get_by_role("button", name="1:1, 128 × 128").click()
    assert paint(tab, painter).width == 128


def test_dice_and_the_seed_of_the_picture_that_is_shown(
    same_tab: Any, painter: FlatPainter
) -> None:
    tab = same_tab
    seed = tab.locator("#txt2img-seed").locator(
        "xpath=ancestor::*[contains(@class, 'easel-seed')][1]"
    )
    seed.get_by_role("button", name="Random seed").click()
    first = paint(tab, painter).seed
    seed.get_by_role("button", name="Reuse seed").click()
    assert value(tab, "txt2img-seed") == str(first)
    assert paint(tab, painter).seed == first
    seed.get_by_role("button", name="Random seed").click()
    assert paint(tab, painter).seed != first


def test_without_a_picture_there_is_no_seed_to_reuse(tab: Any) -> None:
    tab.get_by_role("button", name="Reuse seed").first.click()
    note(tab, "txt2img-seed").wait_for()
    assert note(tab, "txt2img-seed").text_content() == "No picture is shown yet"


def test_a_new_models_defaults_spare_what_was_changed(tab: Any, painter: FlatPainter) -> None:
    number(tab, "txt2img-height", 64)
    tab.get_by_role("button", name="Sampling").click()
    number(tab, "txt2img-steps", 9)
    tab.locator("#easel-model input").click()
    tab.get_by_role("option", name="wide").click()
    tab.wait_for_function(
        "document.querySelector('#txt2img-width input[type=number]').value == '192'"
    )
    request = paint(tab, painter)
    assert (request.model, request.width, request.height, request.steps, request.cfg_scale) == (
        "wide",
        192,
        64,
        9,
        7.0,
    )
    tab.get_by_role("button", name="3:2, 192 × 128").wait_for()  # the new model's own size
    choose(tab, "Image to image")  # nobody had opened it before
    assert value(tab, "img2img-width") == "192" and value(tab, "img2img-steps") == "6"
    # Back again: what is still the model's gives way, what was changed stays.
    choose(tab, "Text to image")
    tab.locator("#easel-model input").click()
    tab.get_by_role("option", name="flat").click()
    tab.wait_for_function(
        "document.querySelector('#txt2img-width input[type=number]').value == '128'"
    )
    assert value(tab, "txt2img-height") == "64" and value(tab, "txt2img-steps") == "9"
    tab.get_by_role("button", name="Sampling").click()


@contextmanager
def asking(tab: Any, model: str) -> Iterator[None]:
    """Chooses a model whose defaults come only when the block has ended."""
    held: list[Any] = []
    tab.route("**/queue/join*", lambda route: held.append(route))
    with tab.expect_request("**/queue/join*"):
        choose_model(tab, model)
    yield
    for one in held:
        one.continue_()
    tab.unroute("**/queue/join*")  # a route would need this thread, which waits for the painter


def choose_model(tab: Any, name: str) -> None:
    tab.locator("#easel-model input").click()
    tab.get_by_role("option", name=name).click()


def test_what_is_written_while_a_models_defaults_are_on_their_way_stays(
    tab: Any, painter: FlatPainter
) -> None:
    with asking(tab, "wide"):
        number(tab, "txt2img-height", 64)
        number(tab, "txt2img-width", 256)
    tab.get_by_role("button", name="3:2, 192 × 128").wait_for()  # they are there
    request = paint(tab, painter)
    assert (request.model, request.width, request.height, request.steps) == ("wide", 256, 64, 6)


def test_of_models_chosen_one_after_the_other_the_last_ones_defaults_hold(
    tab: Any, painter: FlatPainter
) -> None:
    def of_flat(request: Any) -> bool:
        return '["flat"]' in (request.post_data or "")

    with tab.expect_request(of_flat), asking(tab, "wide"):
        choose_model(tab, "flat")
    tab.get_by_role("button", name="3:2, 160 × 104").wait_for()
    request = paint(tab, painter)
    assert (request.model, request.width, request.steps) == ("flat", 128, 4)


def test_a_press_while_a_models_defaults_are_on_their_way_paints_with_them(
    tab: Any, painter: FlatPainter
) -> None:
    with asking(tab, "wide"):
        number(tab, "txt2img-height", 64)
        generate(tab)
        generate(tab)  # of an impatient person
    tab.get_by_role("button", name="3:2, 192 × 128").wait_for()
    line(tab, "1 picture in").wait_for()
    request = paint(tab, painter)  # the next press is another job
    assert len(painter.submitted) == 2
    first = painter.submitted[0]
    for one in (first, request):
        assert (one.model, one.width, one.height, one.steps) == ("wide", 192, 64, 6)
