"""The code of docs/samplers.md runs, and its tables tell the truth."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engine.samplers.gaussian import calls, geometric, order
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES

PAGE = (Path(__file__).parents[3] / "docs" / "samplers.md").read_text(encoding="utf-8")


def rows(width: int) -> list[list[str]]:
    """The cells of the page's table rows that have `width` columns."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if len(row) == width]


def test_the_example_runs_and_is_of_second_order():
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    sampler = names["MIDPOINT"]
    assert calls(sampler.make, 10) == 19
    assert 1.9 < order(sampler.make, geometric, 64) < 2.1


def test_every_sampler_is_listed_with_its_usual_schedule_and_calls():
    listed = {row[0]: row[1:3] for row in rows(5) if row[0] != "Name"}
    counts = {"n": 10, "2n - 1": 19, "n + 1": 11}
    assert {name: (s.schedule, calls(s.make, 10)) for name, s in SAMPLERS.items()} == {
        name: (schedule, counts[count]) for name, (schedule, count) in listed.items()
    }


def test_every_schedule_is_listed_with_its_label():
    listed = {row[0]: row[1] for row in rows(3) if row[0] != "Name"}
    assert {name: schedule.label for name, schedule in SCHEDULES.items()} == listed


@pytest.mark.parametrize("row", [row for row in rows(6) if row[0]], ids=lambda row: row[0])
def test_the_orders_are_the_measured_ones(row):
    for n, stated in zip((16, 32, 64, 128, 256), row[1:], strict=True):
        observed = order(SAMPLERS[row[0]].make, lambda n: geometric(n + 1), n)
        assert observed == pytest.approx(float(stated), abs=0.006)
