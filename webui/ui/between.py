"""What one choice does to all tabs: a model's own defaults in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.settings import BUILT_IN, Settings
from webui.types import ModelCard
from webui.ui.groups import usual_values
from webui.ui.sizes import shapes
from webui.ui.tab import Tab, best_card, card_of, examples, known_defaults, menu

__all__ = ["form_state", "model_updates", "usual_of"]


def usual_of(
    tabs: Sequence[Tab], card: ModelCard | None, catalog: Catalog, settings: Settings
) -> dict[str, Any]:
    """What the titles of folded groups do not mention, with a model."""
    drawn = [(tab.task, known_defaults(tab.task, card, catalog, settings)) for tab in tabs]
    return usual_values(drawn, catalog)


def form_state(tabs: Sequence[Tab], catalog: Catalog, settings: Settings) -> Any:
    """Of what a form shows at first, everything that may change while the page is served; to be compared."""
    card = best_card(catalog)
    shown = [examples(tab.task, card) for tab in tabs]
    name = card.name if card is not None else None
    return menu(catalog, name), name, shown, usual_of(tabs, card, catalog, settings)


def model_updates(
    tabs: Sequence[Tab], usual: Any, catalog: Catalog, settings: Settings
) -> tuple[list[Any], list[Any], Any]:
    """What choosing a model does: the components whose values it asks for after the model's, those that it
    updates, and the function.

    A value that is still the usual one of the model before gives way to the new model's; what somebody has changed
    stays. `usual` knows which model's those are: the one whose defaults the page shows.
    """
    values = [name for name in BUILT_IN if name != "prompt"]
    fields = [
        (tab, name, tab.form.components[name])
        for tab in tabs
        for name in values
        if name in tab.form.components
    ]
    inputs = [usual, *(component for _, _, component in fields)]
    outputs = [component for _, _, component in fields]
    for tab in tabs:
        outputs += [tab.stage, *([tab.shapes] if tab.shapes is not None else [])]
    outputs.append(usual)

    def update(model: Any, before: Any, *current: Any) -> list[Any]:
        card = card_of(model, catalog)
        now = {tab.task.name: known_defaults(tab.task, card, catalog, settings) for tab in tabs}
        former = before if isinstance(before, Mapping) else {}
        updates: list[Any] = []
        for (tab, name, component), value in zip(fields, current, strict=True):
            new = now[tab.task.name][name]
            old = former.get(f"{tab.task.name}-{name}", [None])[-1]
            untouched = plain(value) == plain(old)
            if isinstance(component, gr.Textbox):  # may be an empty number
                new = "" if new is None else str(new)
            updates.append(new if untouched and plain(new) != plain(value) else gr.skip())
        for tab in tabs:
            updates.append(gr.HTML(suggested=examples(tab.task, card)))
            if tab.shapes is not None:
                own = now[tab.task.name]
                updates.append({"shapes": shapes(int(own["width"]), int(own["height"]))})
        updates.append(usual_of(tabs, card, catalog, settings))
        return updates

    return inputs, outputs, update


def plain(value: Any) -> str:
    """A control's value in a form in which the browser's and ours can be compared: 7 is 7.0, nothing is ""."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value)) if number else "" if value is None else str(value)
