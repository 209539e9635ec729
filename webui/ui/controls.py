"""One Gradio component for each control of a task, and what their values mean.

Everything here follows from the kind of a control; no task is known by name. Numbers and names are not
checked here: whatever the browser sends goes to `webui.defaults` as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

from webui.defaults import FIELDS
from webui.registry import Catalog
from webui.types import (
    Choice,
    Control,
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
from webui.ui.translations import key

__all__ = ["Form", "choices", "draw", "main_picture", "option", "request_values"]

FILES = ("models", "vaes")  # what these menus list is called as somebody called it


def choices(control: Choice, catalog: Catalog) -> list[tuple[str, Any]]:
    """(label, value) pairs as a menu takes them: its own, then those of its registry, which are asked for anew."""
    own = [(label, option(value)) for label, value in control.choices]
    match control.source:
        case "models":
            return own + [(card.name, card.name) for card in catalog.list_models()]
        case "samplers":
            return own + [(name, name) for name in catalog.samplers]
        case "schedules":
            return own + [(s.label or name, name) for name, s in catalog.schedules.items()]
        case "vaes":
            return own + [(name, name) for name in catalog.list_vaes()]
        case "upscalers":
            return own + [(u.label or name, name) for name, u in catalog.upscalers.items()]
    return own


def option(value: Any) -> Any:
    """A choice's value as a menu takes it: Gradio knows texts and numbers, so a list or an object is written as JSON,
    which `Choice.read` finds again."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def main_picture(task: Task) -> Picture | None:
    """The picture that a task starts from, if it does: `image`, else the first that stands in no group.
    One in a group (a ControlNet's) is a setting like others."""
    pictures = [c for c in task.flat_controls() if isinstance(c, Picture) and not c.hidden]
    loose = [c for c in pictures if c in task.controls]
    return next((c for c in pictures if c.name == "image"), loose[0] if loose else None)


def draw(
    control: Control,
    value: Any,
    catalog: Catalog,
    elem_id: str,
    kind: Literal["view", "mask", "sketch"] = "view",
    css_class: str = "",
) -> Any:
    """The component of one control; `kind` is that of a picture's canvas. Numbers and menus take half the width of
    their group, unless they say otherwise."""
    half = (control.width or ("half" if isinstance(control, Number | Choice) else "")) == "half"
    common = {
        "label": key(control.label),
        "info": key(control.info or None),
        "elem_id": elem_id,
        "elem_classes": [name for name in (css_class, "easel-half" if half else "") if name],
        "interactive": True,
    }
    match control:
        case Text():
            text = "" if value is None else value
            words = {**common, "info": None, "placeholder": key(control.info or None)}
            return gr.Textbox(text, lines=control.lines, max_lines=12, **words)
        case Number() if value is None:  # may stay empty: Gradio 6.31 makes an empty gr.Number 0
            return gr.Textbox("", lines=1, max_lines=1, **common)
        case Number():
            # Without Gradio's button to reset: it knows the defaults of the first model only.
            span = {"step": control.step, "buttons": []}
            return gr.Slider(control.minimum, control.maximum, value, **span, **common)
        case Choice():
            listed, value = choices(control, catalog), option(value)
            known = value if any(v == value for _, v in listed) else None
            files = set(listed) - set(control.choices) if control.source in FILES else set()
            listed = [(one[0] if one in files else key(one[0]), one[1]) for one in listed]
            return gr.Dropdown(listed, value=known, **common)
        case Switch():
            return gr.Checkbox(bool(value), **common)
        case Seed():
            return gr.Number(-1 if value is None else value, precision=0, **common)
        case Picture():
            return canvas(control.label, elem_id, kind)
    raise TypeError(f"{control!r}: no face knows this kind of control")


@dataclass(frozen=True, slots=True)
class Form:
    """A task's controls as drawn. A mask lives in the component of the picture it lies over."""

    task: Task
    components: Mapping[str, Any]

    def pictures(self) -> list[str]:
        """The names of its pictures."""
        controls = self.task.flat_controls()
        return [c.name for c in controls if isinstance(c, Picture) and c.name in self.components]

    def values(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """What `complete` takes, from the components' values as the browser sent them."""
        found = {name: raw.get(name) for name in self.components}
        for mask in self.task.flat_controls():
            if isinstance(mask, Mask):
                painted = found.get(mask.over)
                found[mask.name] = painted.get("mask") if isinstance(painted, Mapping) else None
        for picture in self.task.flat_controls():
            if isinstance(picture, Picture):
                given = found.get(picture.name)
                found[picture.name] = given.get("image") if isinstance(given, Mapping) else None
        for number in self.task.flat_controls():
            typed = found.get(number.name)
            if isinstance(number, Number) and isinstance(typed, str):
                found[number.name] = _typed(typed)
        return request_values(self.task.flat_controls(), found)


def _typed(text: str) -> int | float | str | None:
    """The number that somebody typed, None for nothing; what is no number stays as it is, to be refused."""
    if not text.strip():
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def request_values(controls: Iterable[Control], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with pictures as paths or bytes, and with values of no request field under `extras`."""
    values: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    kinds = {control.name: control for control in controls}

    def read(name: str, value: Any) -> Any:
        return given_file(value, name) if isinstance(kinds.get(name), Picture | Mask) else value

    for name, value in given.items():
        if name in FIELDS:
            values[name] = read(name, value)
        elif value is not None:
            extras[name] = read(name, value)
    nested = values.get("extras")
    if isinstance(nested, Mapping):  # as a client sends them
        values["extras"] = {**extras, **{name: read(name, v) for name, v in nested.items()}}
    elif extras:
        values["extras"] = extras
    return values
