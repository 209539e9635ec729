"""What one choice does to all tabs: a model's own defaults in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from webui.registry import Catalog
from webui.settings import Settings
from webui.ui.forms import Forms, form_fields
from webui.ui.model_line import model_line
from webui.ui.sizes import shapes
from webui.ui.tab import Tab, best_card, card_of, examples, known_defaults, menu

__all__ = ["form_state", "model_updates"]


def form_state(tabs: Sequence[Tab], catalog: Catalog, settings: Settings) -> Any:
    """Of what a form shows at first, everything that may change while the page is served; to be compared."""
    card = best_card(catalog)
    shown = [examples(tab.task, card) for tab in tabs]
    name = card.name if card is not None else None
    return (
        menu(catalog, name),
        name,
        model_line(card),
        shown,
        form_fields(tabs, card, catalog, settings),
    )


def model_updates(
    tabs: Sequence[Tab], forms: Forms, catalog: Catalog, settings: Settings
) -> Callable[..., Any]:
    """What choosing a model does to the forms' component: the function of the model's name, and of the name that the
    page asked for where that model is gone. It is one message, so that the page takes all of it or, where another model
    has been chosen since, nothing.

    A value that is still the usual one of the model before gives way to the new model's; what somebody has changed
    stays. Which those are is seen in the page when the answer is there (assets/form-store.js), so that what is changed
    while the server is asked stays too.
    """

    def update(model: Any, asked: Any = None) -> Any:
        card = card_of(model, catalog)
        suggested, sizes = {}, {}
        for tab in tabs:
            suggested[tab.task.name] = examples(tab.task, card)
            own = known_defaults(tab.task, card, catalog, settings)
            for sides in tab.shapes:
                found = shapes(*(int(own[side] or 0) for side in sides))
                sizes[f"{tab.task.name}-{sides[0]}"] = found
        fields = form_fields(tabs, card, catalog, settings)
        return forms.rebase(model, asked or model, fields, suggested, sizes, model_line(card))

    return update
