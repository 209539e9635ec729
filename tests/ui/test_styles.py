"""Styles on the page: applied to the boxes, kept, edited and deleted, with the file as the witness."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.painter import FlatPainter, until

pytestmark = pytest.mark.browser

PROMPT = "#txt2img-prompt textarea"
NEGATIVE = "#txt2img-negative_prompt textarea"
START = 'name,prompt,negative_prompt\nOil,"oil painting of {prompt}, thick",photo\nInk,ink drawing,\nodd,1,2,3\n'


@pytest.fixture
def file(painter: FlatPainter) -> Iterator[Path]:
    path = painter.outputs_dir.parent / "styles.csv"
    path.write_text(START, encoding="utf-8")
    yield path
    path.unlink()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def style(panel: Any, name: str) -> Any:
    """What a click on takes the style of this name."""
    return panel.locator(".panel-pick", has=panel.page.get_by_text(name, exact=True))


@pytest.fixture
def panel(tab: Any, file: Path) -> Any:
    tab.locator(PROMPT).fill("a cat")
    tab.get_by_role("button", name="Styles").click()
    found = tab.locator(".easel-panel:visible")
    found.locator(".panel-pick").first.wait_for()
    return found


def test_a_style_is_merged_into_the_boxes_and_undone(tab: Any, panel: Any) -> None:
    tab.locator(NEGATIVE).fill("blurry")
    style(panel, "Oil").click()
    box = tab.locator(PROMPT)
    assert box.input_value() == "oil painting of a cat, thick"
    assert tab.locator(NEGATIVE).input_value() == "blurry, photo"
    box.focus()
    tab.keyboard.press("Control+z")
    assert box.input_value() == "a cat"
    tab.keyboard.press("Control+z")
    assert tab.locator(NEGATIVE).input_value() == "blurry"


def test_damaged_lines_are_told_of(panel: Any) -> None:
    assert panel.locator(".panel-wrong").text_content() == (
        "styles.csv, line 4: 4 columns instead of 3"
    )


def test_the_current_words_are_kept_as_a_style(tab: Any, panel: Any, file: Path) -> None:
    panel.get_by_role("button", name="Save the current words").click()
    panel.get_by_label("Name").fill("Cats")
    panel.get_by_label("Name").press("Enter")
    style(panel, "Cats").wait_for()
    assert rows(file)[-1] == {"name": "Cats", "prompt": "a cat", "negative_prompt": ""}
    panel.get_by_role("button", name="Save the current words").click()
    panel.get_by_label("Name").fill("Cats")
    panel.get_by_role("button", name="Save", exact=True).click()
    panel.locator(".panel-wrong", has_text="There is a style called Cats already").wait_for()


def test_a_style_is_edited_and_renamed(panel: Any, file: Path) -> None:
    panel.get_by_role("button", name="Edit Ink", exact=True).click()
    panel.get_by_label("Name").fill("Pen")
    panel.locator("textarea").first.fill("pen drawing")
    panel.get_by_role("button", name="Save", exact=True).click()
    style(panel, "Pen").wait_for()
    assert [row["name"] for row in rows(file)] == ["Oil", "Pen"]
    assert rows(file)[1]["prompt"] == "pen drawing"


def test_a_deleted_style_comes_back_to_its_place(tab: Any, panel: Any, file: Path) -> None:
    panel.get_by_role("button", name="Delete Oil").click()
    until(lambda: [row["name"] for row in rows(file)] == ["Ink"], "it is deleted")
    tab.get_by_role("button", name="Undo").click()
    until(lambda: [row["name"] for row in rows(file)] == ["Oil", "Ink"], "it is back")
    assert rows(file)[0]["prompt"] == "oil painting of {prompt}, thick"


def test_styles_are_searched(tab: Any, panel: Any) -> None:
    tab.keyboard.type("ink drawing")
    until(lambda: panel.locator(".panel-pick").count() == 2, "one's own and ours are found")
    assert panel.locator("h3").all_inner_texts() == ["Your styles", "Drawing and painting"]
    tab.keyboard.type("\b" * 11 + "no such style")
    panel.get_by_text("Nothing found").wait_for()
    tab.keyboard.press("Escape")
    assert not tab.locator(".easel-panel:visible").count()


def test_styles_that_come_with_easel_stand_in_groups_below_ones_own(panel: Any) -> None:
    groups = panel.locator("h3").all_inner_texts()
    assert groups[:3] == ["Your styles", "Starter model", "Photography"]
    assert panel.get_by_role("button", name="Edit Oil", exact=True).count() == 1
    assert not panel.get_by_role("button", name="Delete Watercolor").count()
    style(panel, "Watercolor").click()
    box = panel.page.locator(PROMPT)
    assert box.input_value().startswith("watercolor of a cat, ")


def test_a_style_of_easels_is_edited_as_ones_own_and_comes_back(panel: Any, file: Path) -> None:
    panel.get_by_role("button", name="Make Watercolor your own").click()
    panel.locator("textarea").first.fill("pale watercolor of {prompt}")
    panel.get_by_role("button", name="Save", exact=True).click()
    gone = panel.get_by_role("button", name="Delete Watercolor", exact=True)
    gone.wait_for()
    assert rows(file)[-1]["prompt"] == "pale watercolor of {prompt}"
    assert style(panel, "Watercolor").count() == 1
    gone.click()
    panel.get_by_role("button", name="Make Watercolor your own").wait_for()
    assert [row["name"] for row in rows(file)] == ["Oil", "Ink"]
