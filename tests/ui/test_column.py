"""The column of settings: where controls stand follows from what they say of themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import gradio as gr
import pytest

import webui.ui
from webui.types import COMMON, FIELDS, PLACED, Control, Group, Number, Side, Switch, Task
from webui.ui.column import draw_column, rows

UI = Path(webui.ui.__file__).parent


def number(name: str, beside: str = "", advanced: str = "") -> Number:
    return Number(name=name, label=name, minimum=0, maximum=1, beside=beside, advanced=advanced)


def test_what_stands_beside_another_shares_its_row() -> None:
    given = [number(*pair) for pair in (("a",), ("b",), ("c", "a"), ("d", "c"), ("e", "gone"))]
    assert [[one.name for one in row] for row in rows(given)] == [["a", "c", "d"], ["b"], ["e"]]


def test_controls_stand_where_they_say() -> None:
    sides = [Side(name="x", label="x", minimum=8, maximum=64, step=8)]
    sides.append(Side(name="y", label="y", minimum=8, maximum=64, step=8, beside="x"))
    shared = Switch(name="all", label="all", shared=True)
    group = Group("g", (number("few", "", "Rarely"), *sides, number("one"), shared), open=True)
    order: list[str] = []

    def put(control: Control) -> None:
        order.append(control.name)
        gr.HTML(elem_id=control.name)

    with gr.Blocks() as blocks:
        shapes = draw_column(Task("t", "T", lambda *_: iter(())), [group], {}, put)  # type: ignore[arg-type,return-value]
    assert order == ["all", "x", "y", "one", "few"]
    assert list(shapes) == [("x", "y")]
    folded = [b for b in blocks.blocks.values() if isinstance(b, gr.Accordion) and not b.open]
    assert ["Rarely" in str(one.label) for one in folded] == [True]


def test_sampling_begins_with_method_and_steps_and_ends_with_the_vae() -> None:
    (sampling,) = [one for one in COMMON if isinstance(one, Group) and one.label == "Sampling"]
    names = [one.name for one in sampling.controls if not one.shared]
    assert names[:2] == ["sampler_name", "steps"] and names[-1] == "vae"


@pytest.mark.parametrize("module", ["column", "controls", "sizes", "limits", "signatures"])
def test_what_draws_controls_knows_no_field_by_name(module: str) -> None:
    tree = ast.parse((UI / f"{module}.py").read_text(encoding="utf-8"))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not words & (
        {*FIELDS, *PLACED} - {"image", "mask", "extras"}
    )  # parts of a picture's value
