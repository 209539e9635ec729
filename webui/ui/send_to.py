"""Settings and a picture handed to a task's form, from wherever on the page (assets/send-to.js).

The page says what it wants with addresses of our own; nothing is opened here, and nothing is generated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import gradio as gr

from webui.defaults import from_infotext, task_of
from webui.errors import Sentence
from webui.registry import Catalog
from webui.sentences import Sentence
from webui.types import DEFAULTS, FIELDS, Seed
from webui.ui.forms import Forms
from webui.ui.tab import PRIVATE, Tab

__all__ = ["FORGET", "draw_send_to", "given_picture", "said", "wire_send_to"]

TEXT_MAX = 200_000  # characters of an infotext; longer ones are no settings
TOO_LONG = Sentence("The picture's text is too long for settings; it is shown in PNG info.")
# So that each picture is a new one: no seed of old, nor what mixes another into it.
SEEDS = [control for control in FIELDS.values() if isinstance(control, Seed)]
FORGET = {name: DEFAULTS[name] for one in SEEDS for name in (one.name, one.when) if name}


def draw_send_to() -> Any:
    """A component that shows nothing: its event `hand` carries what is handed over, its value says when that is
    in place."""
    return gr.HTML(
        {"number": 0, "to": ""},
        html_template="<i hidden></i>",
        js_on_load="Easel.sending(element, trigger, props, watch) // 'hand'",
        elem_classes="easel-unseen",
        apply_default_css=False,
    )


def wire_send_to(
    messenger: Any, tabs: Sequence[Tab], forms: Forms, bar: Any, catalog: Catalog
) -> None:
    """Lets the messenger fill every task's form."""
    by_task = {tab.task.name: tab for tab in tabs}
    outputs = [bar, messenger, forms.component]
    numbers = itertools.count(1)

    def hand(event: gr.EventData) -> list[Any]:
        text = said(event, "parameters")
        notes: list[str] = []
        if len(text) > TEXT_MAX:
            text, notes = "", [TOO_LONG]
        to = said(event, "to")
        if to not in by_task:
            to = task_of(text, catalog)
        if to not in by_task:
            return [gr.skip()] * len(outputs)
        tab = by_task[to]
        taken = from_infotext(text, tab.task, catalog) if text.strip() else None
        values = dict(taken.values) if taken else {}
        picture = given_picture(event)
        if picture is not None and tab.picture is not None:
            sized = "width" in values
            # Something new is to be made of it, and something else with every press of Generate.
            values |= FORGET
            values.pop("resize_mode", None)  # which was about the picture that this one was made of
            values[name_of(tab)] = {**picture, "image": {**picture["image"], "sized": sized}}
        notes += taken.notes if taken is not None else ()
        done = {"number": next(numbers), "to": to}
        return [gr.Tabs(selected=to), done, forms.fill(tab, values, notes)]

    messenger.hand(hand, None, outputs, trigger_mode="multiple", **PRIVATE)


def name_of(tab: Tab) -> str:
    """The name of the picture that a task starts from."""
    components = tab.form.components
    return next(name for name, component in components.items() if component is tab.picture)


def given_picture(event: gr.EventData) -> dict[str, Any] | None:
    """The value of a picture's component (`webui.ui.canvas`) for what the page hands over, None for settings
    alone. An upload keeps its path; who may open what is asked when it is used."""
    url, path = said(event, "url"), said(event, "path")
    if not url:
        return None
    sides = [getattr(event, name, 0) for name in ("width", "height")]
    width, height = (side if isinstance(side, int) else 0 for side in sides)
    image = {"path": path, "url": url}
    return {"image": image, "mask": "", "width": width, "height": height}


def said(event: gr.EventData, name: str) -> str:
    """What the page sent under a name, "" for anything but text."""
    value = getattr(event, name, "")
    return value if isinstance(value, str) else ""
