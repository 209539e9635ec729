"""What one choice does to all tabs: a model's own defaults in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.settings import Settings
from webui.ui.forms import Forms, form_fields
from webui.ui.sizes import shapes
from webui.ui.tab import Tab, best_card, card_of, examples, known_defaults, menu

__all__ = ["form_state", "model_updates"]


def form_state(tabs: Sequence[Tab], catalog: Catalog, settings: Settings) -> Any:
    """Of what a form shows at first, everything that may change while the page is served; to be compared."""
    card = best_card(catalog)
    shown = [examples(tab.task, card) for tab in tabs]
    name = card.name if card is not None else None
    return menu(catalog, name), name, shown, form_fields(tabs, card, catalog, settings)


def model_updates(
    tabs: Sequence[Tab], forms: Forms, catalog: Catalog, settings: Settings
) -> tuple[list[Any], Callable[[Any], list[Any]]]:
    """What choosing a model does: the components that it updates, and the function of the model's name.

    A value that is still the usual one of the model before gives way to the new model's; what somebody has changed
    stays. Which those are is seen in the page when the answer is there (assets/form-store.js), so that what is changed
    while the server is asked stays too.
    """
    outputs: list[Any] = []
    for tab in tabs:
        outputs += [tab.stage, *tab.shapes.values()]
    outputs.append(forms.component)

    def update(model: Any) -> list[Any]:
        card = card_of(model, catalog)
        updates: list[Any] = []
        for tab in tabs:
            updates.append(gr.HTML(suggested=examples(tab.task, card)))
            own = known_defaults(tab.task, card, catalog, settings)
            for sides in tab.shapes:
                updates.append({"shapes": shapes(*(int(own[side] or 0) for side in sides))})
        updates.append(forms.rebase(model, form_fields(tabs, card, catalog, settings)))
        return updates

    return outputs, update
