"""The gallery's rows: how pictures are laid out, in numbers (assets/gallery-rows.js); and which days a choice means."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.ui.hands import module

pytestmark = pytest.mark.browser
SIZE = {"height": 200, "gap": 8, "heading": 48}
LAY = (
    f"async ([some, width, size, breaks]) => {module('gallery-rows.js')}"
    ".rows(some, width, size, new Set(breaks))"
)


def album(seed: int, number: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "id": i,
            "width": chance.randint(16, 2048),
            "height": chance.randint(16, 2048),
            "day": f"2026-01-{9 - i * 7 // number:02}",
        }
        for i in range(number)
    ]


@pytest.mark.parametrize("width", [320, 358, 800, 1230, 1800])
def test_rows_hold_every_picture_once_and_fill_the_width(same_tab: Any, width: int) -> None:
    some = album(width, 250)
    laid = same_tab.evaluate(LAY, [some, width, SIZE, []])
    rows = [block for block in laid["blocks"] if "day" not in block]
    held = [i for row in rows for i in range(row["from"], row["to"])]
    assert held == list(range(250))
    for row in rows:
        days = {some[i]["day"] for i in range(row["from"], row["to"])}
        assert len(days) == 1
        ends = [left + wide for left, wide in zip(row["lefts"], row["widths"], strict=True)]
        assert ends[-1] <= width + 1
        last = row["to"] == 250 or some[row["to"]]["day"] not in days
        assert last or abs(ends[-1] - width) <= 1
        for end, left in zip(ends, row["lefts"][1:], strict=False):
            assert abs(left - end - SIZE["gap"]) <= 1
        assert 60 <= row["height"] <= SIZE["height"] * 1.36


def test_blocks_stand_below_each_other(same_tab: Any) -> None:
    laid = same_tab.evaluate(LAY, [album(3, 120), 1000, SIZE, []])
    end = 0
    for block in laid["blocks"]:
        assert block["y"] == end
        end = block["y"] + block["height"] + (0 if "day" in block else SIZE["gap"])
    assert laid["height"] == end
    headings = [block["day"] for block in laid["blocks"] if "day" in block]
    assert headings == sorted(set(headings), reverse=True)


def test_a_break_keeps_the_rows_behind_it(same_tab: Any) -> None:
    some = [{**one, "day": "2026-01-01"} for one in album(5, 60)]
    new = [{**some[0], "id": 1000 + i} for i in range(2)]
    before = same_tab.evaluate(LAY, [some, 1000, SIZE, []])["blocks"]
    after = same_tab.evaluate(LAY, [[*new, *some], 1000, SIZE, [some[0]["id"]]])["blocks"]
    widths = [row["widths"] for row in before if "day" not in row]
    assert [row["widths"] for row in after if "day" not in row][-len(widths) :] == widths


def test_no_pictures_take_no_room(same_tab: Any) -> None:
    assert same_tab.evaluate(LAY, [[], 1000, SIZE, []]) == {"blocks": [], "height": 0}


@pytest.mark.parametrize(
    ("choice", "days"),
    [
        ({"when": ""}, ["", ""]),
        ({"when": "today"}, ["2026-11-20", ""]),
        ({"when": "week"}, ["2026-11-16", ""]),  # a Monday
        ({"when": "month"}, ["2026-11-01", ""]),
        ({"when": "days", "from": "2026-02-03", "to": ""}, ["2026-02-03", ""]),
        ({"when": "days", "from": "2026-03-01", "to": "2026-02-01"}, ["2026-02-01", "2026-03-01"]),
    ],
)
def test_a_choice_of_days_is_two_days(
    same_tab: Any, choice: dict[str, str], days: list[str]
) -> None:
    asked = {"from": "", "to": "", **choice}
    found = same_tab.evaluate(
        f"async (asked) => {module('days.js')}.days(asked, '2026-11-20')", asked
    )
    assert found == days
