"""Which numbers each control takes, for the page: it sets what was typed out of range to the nearest, and says so
(assets/numbers.js). Gradio's own sliders would do that without a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from webui.types import Control, Mask, Number, Seed, Side, Task

__all__ = ["draw_limits", "limits"]


def limits(tasks: Iterable[Task]) -> dict[str, list[Any]]:
    """[label, lowest, highest, step] by the control's id. The step is what a request must keep to, counted from 0, and
    0 where it may be any number; a slider's own step is only for the hand."""
    found: dict[str, list[Any]] = {}
    for task in tasks:
        for control in task.flat_controls():
            said = limit(control)
            if said and not control.hidden:
                found[f"{task.name}-{control.name}"] = [control.label, *said]
    return found


def limit(control: Control) -> tuple[float, float, float] | None:
    match control:
        case Side(minimum=low, maximum=high, step=step):
            return low, high, step
        case Number(minimum=low, maximum=high, whole=whole):
            return low, high, int(whole)
        case Seed(maximum=high):
            return -1, high, 1
        case Mask():
            return None
    return None


def draw_limits(tasks: Iterable[Task]) -> Any:
    """A component that shows nothing and keeps watch."""
    return gr.HTML(
        limits(tasks),
        html_template="<i hidden></i>",
        js_on_load="Easel.limits(props.value)",
        elem_classes="easel-unseen",
        apply_default_css=False,
    )
