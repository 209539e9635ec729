"""A task's tab: its form, its buttons and its stage. What they do is in `wiring`.

Drawn from the task's controls; a task of an extension gets the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import gradio as gr

from webui.defaults import defaults_of
from webui.errors import ModelFileError
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import (
    IMAGE,
    STRENGTH,
    WIDTH,
    Control,
    Group,
    Mask,
    ModelCard,
    Picture,
    Task,
    Text,
)
from webui.ui.column import draw_column
from webui.ui.controls import Form, draw, main_picture
from webui.ui.model_line import model_line
from webui.ui.stage import stage
from webui.ui.translations import key
from webui.ui.words import PROMPT, draw_tools

__all__ = [
    "IN_TURN",
    "PRIVATE",
    "Tab",
    "best_card",
    "card_of",
    "draw_tab",
    "examples",
    "fit",
    "known_defaults",
    "menu",
]

PROBLEM = '<p class="easel-problem-line" role="alert" hidden></p>'
EXAMPLES = 6
MENU = 300  # names; Gradio writes each of them five times into the page
PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}
# Of events that change the same part of a page: one after the other, so that an older answer never comes last.
IN_TURN = {**PRIVATE, "concurrency_id": "defaults", "concurrency_limit": 1}


@dataclass(frozen=True, slots=True)
class Tab:
    """What was drawn for a task. `shapes` are the buttons of its sizes by the names of their sides."""

    form: Form
    stage: Any
    generate: Any
    cancel: Any
    pause: Any
    resume: Any
    interrupt: Any
    skip: Any
    add: Any
    problem: Any
    root: Any
    shapes: Mapping[tuple[str, str], Any]

    @property
    def task(self) -> Task:
        return self.form.task

    @property
    def picture(self) -> Any | None:
        """The component of the picture that the task starts from, if it does."""
        control = main_picture(self.task)
        return None if control is None else self.form.components[control.name]


# --- Drawing -------------------------------------------------------------------------------------


def best_card(catalog: Catalog) -> ModelCard | None:
    """The model that a request without one gets: the first that can be used."""
    return next((card for card in catalog.list_models() if card.problem is None), None)


def menu(catalog: Catalog, chosen: str | None = None) -> list[str]:
    """The names in the page's menu of models, in the list's order: all, or where there are very many, the first, the
    chosen one and the newest. The Models tab finds the others and puts the one that is chosen there into the menu."""
    cards = catalog.list_models()
    if len(cards) <= MENU:
        return [card.name for card in cards]
    newest = sorted(cards[1:], key=lambda card: card.modified, reverse=True)[: MENU - 1]
    wanted = {chosen, cards[0].name, *(card.name for card in newest)}
    return [card.name for card in cards if card.name in wanted]


def known_defaults(
    task: Task, card: ModelCard | None, catalog: Catalog, settings: Settings
) -> dict[str, Any]:
    """What the form shows for a model; for one whose own defaults are wrong, what there is without it
    (generating then says what is wrong)."""
    try:
        return defaults_of(task.name, card, catalog, settings)
    except ModelFileError:
        return defaults_of(task.name, None, catalog, settings)


def draw_tab(task: Task, model: Any, catalog: Catalog, settings: Settings) -> Tab:
    """Draws a task's tab. `model` is the page's model menu, which stands for a control of that name."""
    card = best_card(catalog)
    defaults = known_defaults(task, card, catalog, settings)
    components: dict[str, Any] = {}

    def put(control: Control) -> None:
        if isinstance(control, Mask) or control.hidden:
            return
        if control.shared:
            components["model"] = model
            return
        value = defaults.get(control.name, control.default)
        elem_id = f"{task.name}-{control.name}"
        components[control.name] = draw(
            control,
            value,
            catalog,
            elem_id,
            _kind(control, task),
            PROMPT if control in words else "",
        )

    loose = [c for c in task.controls if not isinstance(c, Group) and not c.hidden]
    words = [c for c in loose if isinstance(c, Text)]
    pictures = [c for c in loose if isinstance(c, Picture)]
    kinds = ["easel-task"] if words else ["easel-task", "easel-wordless"]
    if words and any(_kind(c, task) == "mask" for c in pictures):
        kinds.append("easel-room")
    with gr.Tab(key(task.label), id=task.name), gr.Column(elem_classes=kinds) as root:
        with gr.Column(elem_classes="easel-words"):
            for text in words:
                put(text)
            if words:
                draw_tools(task, words)
        with gr.Column(elem_classes="easel-go"):
            generate = gr.Button(key("Generate"), variant="primary", elem_classes="easel-generate")
            cancel = gr.Button(key("Cancel"), variant="stop", elem_classes="easel-cancel")
            pause = gr.Button(key("Pause"), elem_classes="easel-pause")
            resume = gr.Button(key("Resume"), elem_classes="easel-resume")
            interrupt = gr.Button(key("Interrupt"), elem_classes="easel-interrupt")
            skip = gr.Button(key("Skip"), elem_classes="easel-skip-one")
            add = gr.Button(key("Add another"), size="sm", elem_classes="easel-add")
            problem = gr.HTML(
                {"message": "", "control": ""},
                html_template=PROBLEM,
                js_on_load="Easel.problem(element, props, watch)",
                elem_id=f"{task.name}-problem",
                elem_classes="easel-problem",
                apply_default_css=False,
            )
        if pictures:
            with gr.Column(elem_classes="easel-source"):
                for picture in pictures:
                    put(picture)
        takers = [(c.name, c.label) for c in catalog.tasks.values() if main_picture(c)]
        said = model_line(card) if starts_from_words(task) else None
        place = stage(task.name, task.info, examples(task, card), takers, task.samples, said)
        with gr.Column(elem_classes="easel-settings"):
            rest = [item for item in task.controls if item not in words and item not in pictures]
            shapes = draw_column(task, rest, defaults, put)
    ordered = {c.name: components[c.name] for c in task.flat_controls() if c.name in components}
    form = Form(task, ordered)
    return Tab(
        form,
        place,
        generate,
        cancel,
        pause,
        resume,
        interrupt,
        skip,
        add,
        problem,
        root,
        shapes,
    )


def starts_from_words(task: Task) -> bool:
    """Whether a prompt is all that a task needs."""
    named = any(control.name == "prompt" for control in task.flat_controls())
    return named and main_picture(task) is None


def _kind(control: Control, task: Task) -> Literal["view", "mask", "sketch"]:
    """What is done on the canvas of a picture: what a task repaints by a strength can be sketched on."""
    controls = task.flat_controls()
    if any(isinstance(one, Mask) and one.over == control.name for one in controls):
        return "mask"
    return "sketch" if control.name == IMAGE.name and STRENGTH in controls else "view"


def examples(task: Task, card: ModelCard | None) -> list[dict[str, Any]]:
    """Prompts to click in a task's empty stage, where a prompt is all that it needs: `{"prompt", "picture", "seed"}`
    with the address of what becomes of it ("" where the model does not bring that) and the seed that it came from."""
    if not starts_from_words(task) or card is None:
        return []
    found = []
    for number, prompt in enumerate(card.prompts[:EXAMPLES]):
        example = card.examples.get(prompt)
        there = example is not None and example.picture.is_file()
        stamp = example.picture.stat().st_mtime_ns if example is not None and there else 0
        query = urlencode({"model": card.name, "v": stamp})
        picture = f"api/examples/{number}?{query}" if there else ""
        seed = example.seed if example is not None else None
        found.append({"prompt": prompt, "picture": picture, "seed": seed})
    return found


# --- What it shows of a model and a picture -----------------------------------------------------


def card_of(name: object, catalog: Catalog) -> ModelCard | None:
    models = catalog.models()
    return models[name] if isinstance(name, str) and name in models else best_card(catalog)


def fit(given: Any, width: int, height: int) -> tuple[int, int] | None:
    """A size of a given picture's shape that a model can work at: about as many pixels as the model's own
    `width` x `height` at most, both sides multiples of 8. None where there is no picture."""
    try:
        wide, high = float(given["width"]), float(given["height"])
    except (TypeError, KeyError, ValueError):
        return None
    if not (wide >= 1 and high >= 1):
        return None
    scale = min(1.0, math.sqrt(width * height / (wide * high)))
    return WIDTH.nearest(wide * scale), WIDTH.nearest(high * scale)
