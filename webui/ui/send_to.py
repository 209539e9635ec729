"""Settings and a picture handed to a task's form, from wherever on the page (assets/send-to.js).

The page says what it wants with addresses of our own; nothing is opened here, and nothing is generated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import gradio as gr

from webui.defaults import NO_SETTINGS, from_infotext, pasted, task_of
from webui.errors import EaselError, RequestError
from webui.images import texts_in
from webui.metadata import is_settings, parse, settings_of
from webui.registry import Catalog
from webui.sentences import Sentence, with_keys
from webui.types import DEFAULTS, FIELDS, Seed
from webui.ui.files import given_file
from webui.ui.forms import Forms
from webui.ui.pictures import OwnPictures
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
    messenger: Any,
    tabs: Sequence[Tab],
    forms: Forms,
    bar: Any,
    catalog: Catalog,
    own: OwnPictures,
) -> None:
    """Lets the messenger fill every task's form."""
    by_task = {tab.task.name: tab for tab in tabs}
    outputs = [bar, messenger, forms.component]
    numbers = itertools.count(1)

    def answered(asked: int, problem: str = "") -> dict[str, Any]:
        answer = {"asked": asked, "read": not problem, "problem": with_keys(problem)}
        return {"number": next(numbers), "to": "", "answer": answer}

    def read(event: gr.EventData, request: gr.Request, asked: int) -> list[Any]:
        """Settings that somebody pasted or dropped, for the form where that was."""
        tab = by_task.get(said(event, "to"))
        try:
            text = written(event, own, request)
            if tab is None or not is_settings(parse(text)):
                raise RequestError(NO_SETTINGS)
        except EaselError as error:
            return [gr.skip(), answered(asked, str(error)), gr.skip()]
        taken = pasted(text, tab.task, catalog)
        return [gr.skip(), answered(asked), forms.fill(tab, taken.values, taken.notes)]

    def hand(request: gr.Request, event: gr.EventData) -> list[Any]:
        asked = getattr(event, "asked", 0)
        if isinstance(asked, int) and asked:
            return read(event, request, asked)
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


def written(event: gr.EventData, own: OwnPictures, request: gr.Request) -> str:
    """The text of settings that the page sent, or that stands in the picture which it sent; "" where none does."""
    text = said(event, "parameters")
    if text or not said(event, "url"):
        if len(text) > TEXT_MAX:
            raise RequestError(TOO_LONG)
        return text
    image = {"path": said(event, "path"), "url": said(event, "url")}
    held = own.opened({"image": image}, "image", request)
    given = given_file(held["image"], "image")
    found = None if given is None else settings_of(texts_in(given, "image")[0])
    if not found:
        raise RequestError(Sentence("This picture carries no settings."))
    return found


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
