"""The usual values of controls with a model: what the titles of folded groups do not mention (assets/groups.js), and
what a change of the model may replace (`webui.ui.model_defaults`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.types import Choice, Control, Mask, Number, Picture, Seed, Switch, Task
from webui.ui.controls import choices, option

__all__ = ["draw_usual", "usual_values"]


def draw_usual(value: Mapping[str, Any]) -> Any:
    """A component that shows nothing and keeps the titles. Its event `renew` asks for what the forms show now, where
    they have changed since the page was drawn; `replace` comes when `fresh` values are to take the place of its own,
    `restore` when the page was loaded anew and what was changed before is put back (assets/forms.js)."""
    return gr.HTML(
        dict(value),
        html_template="<i hidden></i>",
        js_on_load="Easel.groups(element, trigger, props, watch) // 'renew' 'replace' 'restore'",
        elem_classes="easel-unseen",
        apply_default_css=False,
    )


def usual_values(
    drawn: Iterable[tuple[Task, Mapping[str, Any]]], catalog: Catalog
) -> dict[str, list[Any]]:
    """[kind, label, value as it is shown, value] by the control's id, from each task and its defaults."""
    found: dict[str, list[Any]] = {}
    for task, defaults in drawn:
        for control in task.flat_controls():
            usual = option(defaults.get(control.name, control.default))
            if not isinstance(control, Mask):
                value = None if isinstance(control, Picture) else usual
                found[f"{task.name}-{control.name}"] = [*shown(control, usual, catalog), value]
    return found


def shown(control: Control, usual: Any, catalog: Catalog) -> list[Any]:
    match control:
        case Number() if usual is None:
            return ["optional", control.label, ""]
        case Number() | Seed():
            return ["number", control.label, usual]
        case Choice():
            labels = [label for label, value in choices(control, catalog) if value == usual]
            return ["choice", control.label, labels[0] if labels else ""]
        case Switch():
            return ["switch", control.label, bool(usual)]
        case Picture():
            return ["picture", control.label, False]
    return ["text", control.label, usual or ""]
