"""What the forms of a page hold, as its scripts keep it (assets/forms.js): Python gives the fields, fills them, and is
given their values when a job is asked for. The components only show them, and tell what somebody changes.

A value travels as its component has it: `raw` makes it of a control's.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.sentences import with_keys
from webui.settings import Settings
from webui.types import Choice, Control, Mask, ModelCard, Number, Picture, Seed, Switch, Text
from webui.ui.canvas import NOTHING
from webui.ui.controls import choices, option
from webui.ui.tab import PRIVATE, Tab, known_defaults, menu

__all__ = ["Forms", "form_fields"]


class Forms:
    """The component that carries all of it and shows nothing. Its event `put` comes when fields have other values than
    their components show, `renew` asks for what the forms show now, where that has changed since the page was drawn.
    """

    def __init__(
        self, tabs: Sequence[Tab], card: ModelCard | None, catalog: Catalog, settings: Settings
    ) -> None:
        self._numbers = itertools.count(1)  # because the page hears of changes alone
        self._tabs = tabs
        self._catalog = catalog
        self.component = gr.HTML(
            {"fields": form_fields(tabs, card, catalog, settings)},
            html_template="<i hidden></i>",
            js_on_load="Easel.forms(element, trigger, props, watch) // 'put' 'renew'",
            elem_id="easel-forms",
            elem_classes="easel-unseen",
            apply_default_css=False,
        )

    def wire(self, blocks: gr.Blocks, model: Any) -> None:
        """Connects the components; what is sent back and forth here stays in the page."""
        every = []
        for tab in self._tabs:
            for name, one in own_components(tab).items():
                told = (
                    f"(value) => Easel.told({json.dumps(tab.task.name)}, {json.dumps(name)}, value)"
                )
                one.change(None, [one], None, js=told, **PRIVATE)
                every.append(one)
        model.change(None, [model], None, js="(value) => Easel.chosen(value)", **PRIVATE)
        put = {"js": "() => Easel.put()", "trigger_mode": "multiple", **PRIVATE}
        self.component.put(None, None, [model, *every], **put)
        both = [model, *every]
        blocks.load(None, both, both, js="(...now) => Easel.restored(now)", **PRIVATE)

    def fill(
        self, tab: Tab, values: Mapping[str, Any], notes: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """What the component becomes so that a form takes values of its controls; the others stay. With `notes` it is
        told that settings were taken, and can be undone: they are sentences about what was not."""
        controls = {control.name: control for control in tab.task.flat_controls()}
        given = {
            name: value if isinstance(controls[name], Picture) else raw(controls[name], one, value)
            for name, one in own_components(tab).items()
            if name in values
            for value in [values[name]]
            if value is not None or isinstance(one, gr.Textbox)
        }
        message = {"number": next(self._numbers), "task": tab.task.name, "values": given}
        if values.get("model") and "model" in tab.form.components:
            message |= {"model": values["model"], "choices": menu(self._catalog, values["model"])}
        return message if notes is None else {**message, "says": True, "notes": with_keys(notes)}

    def rebase(
        self,
        of: object,
        asked: object,
        fields: Mapping[str, Any],
        suggested: Mapping[str, Any],
        sizes: Mapping[str, Any],
        model: Mapping[str, Any] | None,
    ) -> Any:
        """What the component becomes with what is usual with the model `of`: `fields`, examples by the name of
        the task, sizes by the id of their first side, and what the `model` draws (`model_line`). The page takes it if
        the model `asked` is chosen there."""
        message = {"of": of, "asked": asked, "number": next(self._numbers)}
        usual = {"fields": fields, "suggested": suggested, "sizes": sizes, "model": model}
        return gr.HTML(fresh={**message, **usual})

    def asked(self, tab: Tab) -> dict[str, Any]:
        """Of an event that asks for a job: inputs, and the script that gives them, which waits for the usual values
        of a model that was just chosen. The pictures are as their components have them."""
        pictures = [tab.form.components[name] for name in tab.form.pictures()]
        js = f"(...now) => Easel.request({json.dumps(tab.task.name)}, ...now)"
        return {"inputs": [self.component, *pictures], "js": js}


def own_components(tab: Tab) -> dict[str, Any]:
    """A form's components, without the model's menu, which is the whole page's."""
    return {name: one for name, one in tab.form.components.items() if name != "model"}


def form_fields(
    tabs: Sequence[Tab], card: ModelCard | None, catalog: Catalog, settings: Settings
) -> dict[str, dict[str, list[Any]]]:
    """[kind, label, value that is usual with a model] by the name of the control, by that of the task; of a choice also
    [value, label] where they are not the same."""
    found = {}
    for tab in tabs:
        defaults = known_defaults(tab.task, card, catalog, settings)
        drawn = own_components(tab)
        fields: dict[str, list[Any]] = {}
        found[tab.task.name] = fields
        for control in tab.task.flat_controls():
            if control.name in drawn and not isinstance(control, Mask):
                one = drawn[control.name]
                usual = raw(control, one, defaults.get(control.name, control.default))
                fields[control.name] = [kind(control, one), control.label, usual]
                if isinstance(control, Choice):
                    listed = choices(control, catalog)
                    known = any(value == usual for _, value in listed)
                    named = [[value, label] for label, value in listed if value != label]
                    fields[control.name] = [
                        "choice",
                        control.label,
                        usual if known else None,
                        named,
                    ]
    return found


def kind(control: Control, component: Any) -> str:
    """How a field is told of in the title of its group (assets/groups.js)."""
    match control:
        case Number():
            return "optional" if isinstance(component, gr.Textbox) else "number"
        case Seed():
            return "number"
        case Choice():
            return "choice"
        case Switch():
            return "switch"
        case Picture():
            return "picture"
    return "text"


def raw(control: Control, component: Any, value: Any) -> Any:
    """A control's value as its component has it: a number that may be left out is typed into a box of text."""
    match control:
        case Number() | Text() if isinstance(component, gr.Textbox):
            return "" if value is None else str(value)
        case Switch():
            return bool(value)
        case Seed():
            return -1 if value is None else value
        case Picture():
            return dict(NOTHING)
    return option(value)
