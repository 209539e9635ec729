"""One Gradio component for each control of a task, and what their values mean.

Everything here follows from the kind of a control; no task is known by name. Numbers and names are not
checked here: whatever the browser sends goes to `webui.defaults` as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.types import (
    Choice,
    Control,
    GenerationRequest,
    Mask,
    Number,
    Picture,
    Seed,
    Switch,
    Task,
    Text,
)
from webui.ui.canvas import canvas
from webui.ui.files import given_file

__all__ = ["FIELDS", "Form", "choices", "draw", "request_values"]

FIELDS = frozenset(f.name for f in fields(GenerationRequest))


def choices(control: Choice, catalog: Catalog) -> list[tuple[str, Any]]:
    """(label, value) pairs; those of a registry are asked for anew."""
    if control.source == "models":
        return [(card.name, card.name) for card in catalog.list_models()]
    if control.source == "samplers":
        return [(name, name) for name in catalog.samplers]
    if control.source == "schedules":
        return [(s.label or name, name) for name, s in catalog.schedules.items()]
    return list(control.choices)


def draw(control: Control, value: Any, catalog: Catalog, elem_id: str, masked: bool = False) -> Any:
    """The component of one control. `masked`: a picture over which a mask is painted as well."""
    common = {
        "label": control.label,
        "info": control.info or None,
        "elem_id": elem_id,
        "interactive": True,
    }
    match control:
        case Text():
            text = "" if value is None else value
            words = {**common, "info": None, "placeholder": control.info or None}
            return gr.Textbox(text, lines=control.lines, max_lines=12, **words)
        case Number() if value is None:  # may stay empty: a slider cannot
            return gr.Number(
                None, minimum=control.minimum, maximum=control.maximum, step=control.step, **common
            )
        case Number():
            return gr.Slider(control.minimum, control.maximum, value, step=control.step, **common)
        case Choice():
            listed = choices(control, catalog)
            known = value if any(v == value for _, v in listed) else None
            return gr.Dropdown(listed, value=known, **common)
        case Switch():
            return gr.Checkbox(bool(value), **common)
        case Seed():
            return gr.Number(-1 if value is None else value, precision=0, **common)
        case Picture():
            return canvas(control.label, elem_id, masked)
    raise TypeError(f"{control!r}: no face knows this kind of control")


@dataclass(frozen=True, slots=True)
class Form:
    """A task's controls as drawn. A mask lives in the component of the picture it lies over."""

    task: Task
    components: Mapping[str, Any]

    def inputs(self) -> list[Any]:
        return list(self.components.values())

    def values(self, raw: Sequence[Any]) -> dict[str, Any]:
        """What `complete` takes, from the components' values as the browser sent them."""
        found = dict(zip(self.components, raw, strict=True))
        for mask in self.task.flat_controls():
            if isinstance(mask, Mask):
                painted = found.get(mask.over)
                found[mask.name] = painted.get("mask") if isinstance(painted, Mapping) else None
        for picture in self.task.flat_controls():
            if isinstance(picture, Picture):
                given = found.get(picture.name)
                found[picture.name] = given.get("image") if isinstance(given, Mapping) else None
        return request_values(self.task.flat_controls(), found)


def request_values(controls: Iterable[Control], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with pictures as paths or bytes, and with values of no request field under `extras`."""
    values: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    kinds = {control.name: control for control in controls}
    for name, value in given.items():
        if isinstance(kinds.get(name), Picture | Mask):
            value = given_file(value, name)
        if name in FIELDS:
            values[name] = value
        elif value is not None:
            extras[name] = value
    if extras:
        values["extras"] = {**extras, **(values.get("extras") or {})}
    return values
