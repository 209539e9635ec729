"""What one tab does to another: a picture handed on, and a model chosen for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.settings import BUILT_IN, Settings
from webui.types import ModelCard
from webui.ui.groups import usual_values
from webui.ui.tab import PRIVATE, Tab, card_of, examples, known_defaults

__all__ = ["model_updates", "usual_of", "wire_sends"]

WORDS = ("prompt", "negative_prompt")


def wire_sends(tabs: Sequence[Tab], bar: Any) -> None:
    """Lets every stage hand its picture, with the words, to each other task that takes a picture."""
    for tab in tabs:
        targets = [t for t in tabs if t is not tab and t.picture is not None]
        words = [name for name in WORDS if name in tab.form.components]
        inputs = [tab.form.components[name] for name in words]
        outputs = [bar]
        for target in targets:
            outputs += [target.picture, *(target.form.components[n] for n in shared(words, target))]
        tab.stage.send(sender(targets, words), inputs, outputs, **PRIVATE)


def shared(words: Sequence[str], target: Tab) -> list[str]:
    return [name for name in words if name in target.form.components]


def sender(targets: Sequence[Tab], words: Sequence[str]) -> Callable[..., list[Any]]:
    def send(event: gr.EventData, *texts: Any) -> list[Any]:
        said = dict(zip(words, texts, strict=True))
        image = {"path": event.path, "url": event.url}
        given = {"image": image, "mask": "", "width": event.width, "height": event.height}
        updates: list[Any] = [gr.Tabs(selected=event.to)]
        for target in targets:
            values = [given, *(said[name] for name in shared(words, target))]
            chosen = target.task.name == event.to
            updates += values if chosen else [gr.skip()] * len(values)
        return updates

    return send


def usual_of(
    tabs: Sequence[Tab], card: ModelCard | None, catalog: Catalog, settings: Settings
) -> dict[str, Any]:
    """What the titles of folded groups do not mention, with a model."""
    drawn = [(tab.task, known_defaults(tab.task, card, catalog, settings)) for tab in tabs]
    return usual_values(drawn, catalog)


def model_updates(
    tabs: Sequence[Tab], usual: Any, catalog: Catalog, settings: Settings
) -> tuple[list[Any], Any]:
    """The components that depend on the model, and the function of its name that updates them: every
    value for which any model has a default of its own, the example prompts, and the `usual` values."""
    values = [name for name in BUILT_IN if name != "prompt"]
    outputs: list[Any] = []
    for tab in tabs:
        outputs += [tab.form.components[n] for n in values if n in tab.form.components]
        outputs.append(tab.stage)
    outputs.append(usual)

    def update(model: Any) -> list[Any]:
        cards = catalog.list_models()
        own = {name for card in cards for name in card.defaults}
        card = card_of(model, catalog)
        updates: list[Any] = []
        for tab in tabs:
            shown = known_defaults(tab.task, card, catalog, settings)
            for name in values:
                if name in tab.form.components:
                    value = shown[name]
                    if isinstance(tab.form.components[name], gr.Textbox):  # may be an empty number
                        value = "" if value is None else str(value)
                    updates.append(value if name in own else gr.skip())
            updates.append(gr.HTML(suggested=examples(tab.task, card)))
        updates.append(usual_of(tabs, card, catalog, settings))
        return updates

    return outputs, update
