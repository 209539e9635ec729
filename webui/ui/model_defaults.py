"""What one choice does to all tabs: a model's own defaults in place."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.settings import Settings
from webui.types import DEFAULTS, ModelCard, Picture
from webui.ui.groups import usual_values
from webui.ui.sizes import shapes
from webui.ui.tab import PRIVATE, Tab, best_card, card_of, examples, known_defaults, menu

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
) -> tuple[list[Any], Any]:
    """What choosing a model does: the components that it updates, and the function of the model's name. And what a
    reload of the page does: what was changed is put back by the page alone (assets/forms.js).

    A value that is still the usual one of the model before gives way to the new model's; what somebody has changed
    stays. Which those are is seen in the page when the answer is there (assets/groups.js), so that what is changed
    while the server is asked stays too.
    """
    fields = {
        f"{tab.task.name}-{name}": component
        for tab in tabs
        for name, component in tab.form.components.items()
        if name in DEFAULTS and name != "prompt"
    }
    kept = {  # what a reload keeps
        f"{tab.task.name}-{control.name}": tab.form.components[control.name]
        for tab in tabs
        for control in tab.task.flat_controls()
        if control.name in tab.form.components
        and control.name not in ("model", "prompt")
        and not isinstance(control, Picture)
    }
    outputs: list[Any] = []
    for tab in tabs:
        outputs += [tab.stage, *tab.shapes.values()]
    outputs.append(usual)
    numbers = itertools.count(1)

    def update(model: Any) -> list[Any]:
        card = card_of(model, catalog)
        updates: list[Any] = []
        for tab in tabs:
            updates.append(gr.HTML(suggested=examples(tab.task, card)))
            own = known_defaults(tab.task, card, catalog, settings)
            for sides in tab.shapes:
                updates.append({"shapes": shapes(*(int(own[side] or 0) for side in sides))})
        values = usual_of(tabs, card, catalog, settings)
        # the number, because the page hears of changes alone
        updates.append(gr.HTML(fresh={"of": model, "usual": values, "number": next(numbers)}))
        return updates

    both = [usual, *fields.values()]
    replace = f"(...now) => Easel.replaced({json.dumps([*fields])}, now)"
    usual.replace(None, both, both, js=replace, trigger_mode="multiple", **PRIVATE)
    chosen = next(tab.form.components["model"] for tab in tabs if "model" in tab.form.components)
    all_kept = [usual, chosen, *kept.values()]
    restore = f"(...now) => Easel.restored({json.dumps([*kept])}, now)"
    usual.restore(None, all_kept, all_kept, js=restore, trigger_mode="multiple", **PRIVATE)
    return outputs, update
