"""A task's tab: its form, its buttons, its stage, and the events between them.

Drawn from the task's controls; a task of an extension gets the same. The handlers are thin: they
submit a job and tell the stage how it goes. Closing the tab ends them, never the job.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from anyio import to_thread

from webui.defaults import complete, defaults_of
from webui.errors import EaselError, ModelFileError, RequestError
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import (
    SIZE_MAX,
    SIZE_MIN,
    SIZE_STEP,
    Control,
    EngineFace,
    Group,
    Mask,
    ModelCard,
    Picture,
    Task,
    Text,
)
from webui.ui.controls import Form, draw, main_picture
from webui.ui.files import data_url
from webui.ui.follow import changes
from webui.ui.stage import job_value, publish_new, stage

__all__ = [
    "PRIVATE",
    "Tab",
    "best_card",
    "card_of",
    "draw_tab",
    "examples",
    "fit",
    "known_defaults",
    "wire",
]

PREVIEW_S = 0.3  # a new preview this often at most
STATUS_S = 0.1

PROBLEM = '<p class="easel-problem-line" role="alert" hidden></p>'
PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True, slots=True)
class Tab:
    """What was drawn for a task."""

    form: Form
    stage: Any
    generate: Any
    cancel: Any
    problem: Any
    root: Any

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
    masked = {c.over for c in task.flat_controls() if isinstance(c, Mask)}
    components: dict[str, Any] = {}

    def put(control: Control) -> None:
        if isinstance(control, Mask) or control.hidden:
            return
        if control.name == "model":
            components["model"] = model
            return
        value = defaults.get(control.name, control.default)
        elem_id = f"{task.name}-{control.name}"
        components[control.name] = draw(control, value, catalog, elem_id, control.name in masked)

    loose = [c for c in task.controls if not isinstance(c, Group) and not c.hidden]
    words = [c for c in loose if isinstance(c, Text)]
    pictures = [c for c in loose if isinstance(c, Picture)]
    with gr.Tab(task.label, id=task.name), gr.Column(elem_classes="easel-task") as root:
        with gr.Column(elem_classes="easel-words"):
            for text in words:
                put(text)
        with gr.Column(elem_classes="easel-go"):
            generate = gr.Button("Generate", variant="primary", elem_classes="easel-generate")
            cancel = gr.Button("Cancel", variant="stop", elem_classes="easel-cancel")
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
        others = [c for c in catalog.tasks.values() if c is not task and main_picture(c)]
        place = stage(
            task.name, task.info, examples(task, card), [(t.name, t.label) for t in others]
        )
        with gr.Column(elem_classes="easel-settings"):
            for item in task.controls:
                if isinstance(item, Group):
                    shown = [c for c in item.controls if drawn_here(c)]
                    for control in item.controls:
                        if control.name == "model":
                            put(control)
                    if shown:
                        with gr.Accordion(item.label, open=item.open, elem_classes="easel-group"):
                            for control in shown:
                                put(control)
                elif item not in words and item not in pictures:
                    put(item)
    ordered = {c.name: components[c.name] for c in task.flat_controls() if c.name in components}
    return Tab(Form(task, ordered), place, generate, cancel, problem, root)


def examples(task: Task, card: ModelCard | None) -> list[str]:
    """Prompts to click in a task's empty stage, where a prompt is all that it needs."""
    names = {control.name for control in task.flat_controls()}
    alone = "prompt" in names and main_picture(task) is None
    return list(card.prompts[:6]) if alone and card is not None else []


def drawn_here(control: Control) -> bool:
    """Whether a control has a place of its own in a group: a mask lies over its picture, the model's menu
    is the page's."""
    return not (control.hidden or isinstance(control, Mask) or control.name == "model")


# --- Events --------------------------------------------------------------------------------------


def wire(
    tab: Tab, blocks: gr.Blocks, engine: EngineFace, catalog: Catalog, settings: Settings
) -> None:
    """Connects a tab's components. Every value travels as the browser has it (no preprocessing)."""
    task, form = tab.task, tab.form
    outputs = [tab.stage, tab.problem]
    links: set[str] = blocks.upload_file_set

    async def run(*raw: Any) -> AsyncIterator[Any]:
        try:
            request = await to_thread.run_sync(
                lambda: complete(task.name, form.values(raw), catalog, settings)
            )
            job = await to_thread.run_sync(engine.submit, request)
        except EaselError as error:
            gr.Warning(html.escape(str(error)), title="Not started")
            yield gr.skip(), refusal(task, error)
            return
        async for shown in follow(job):
            yield shown

    async def attach(job: Any) -> AsyncIterator[Any]:
        """Shows this browser tab's last job again after a reload, if the engine still knows it."""
        try:
            engine.status(job)
        except RequestError:
            yield gr.skip(), gr.skip()
            return
        async for shown in follow(job):
            yield shown

    async def follow(job: str) -> AsyncIterator[Any]:
        published: dict[str, Mapping[str, Any]] = {}
        preview, seen_at = "", 0.0
        async for status in changes(engine, job, STATUS_S):
            await to_thread.run_sync(publish_new, status.pictures, published, links)
            due = settings.previews and time.monotonic() - seen_at > PREVIEW_S
            if due and status.state == "running" and status.step:
                seen_at = time.monotonic()
                preview = await to_thread.run_sync(draw_preview, job) or preview
            failed = status.state == "failed"
            if failed:
                gr.Warning(html.escape(status.error or "The job failed"), title="Failed")
            sentence = {"message": status.error or "" if failed else "", "control": ""}
            yield job_value(status, "" if status.ended else preview, published), sentence

    def draw_preview(job: str) -> str:
        picture = engine.preview(job)
        return "" if picture is None else data_url(picture)

    def stop(job: Any) -> None:
        try:
            engine.cancel(job)
        except RequestError as error:  # it ended long ago
            gr.Info(html.escape(str(error)))

    raw = {**PRIVATE, "preprocess": False}
    tab.generate.click(run, form.inputs(), outputs, **raw)
    tab.cancel.click(stop, [tab.stage], None, js="(stage) => [stage.job]", **raw)
    remembered = f"() => [window.Easel ? Easel.recall('job-{task.name}', '') : '']"
    blocks.load(attach, [tab.stage], outputs, js=remembered, **raw)

    def take_prompt(event: gr.EventData) -> str:
        return str(event.prompt)

    def take_seed(event: gr.EventData) -> int:
        return int(event.seed)

    if "prompt" in form.components:
        chosen = tab.stage.example(take_prompt, None, form.components["prompt"], **PRIVATE)
        chosen.then(run, form.inputs(), outputs, **raw)
    if "seed" in form.components:
        seed = form.components["seed"]
        tab.stage.keep(take_seed, None, seed, **PRIVATE)
        tab.stage.again(take_seed, None, seed, **PRIVATE).then(run, form.inputs(), outputs, **raw)

    if {"image", "width", "height"} <= form.components.keys():

        def size(given: Any, model: Any) -> tuple[Any, Any]:
            shown = known_defaults(task, card_of(model, catalog), catalog, settings)
            return fit(given, shown["width"], shown["height"]) or (gr.skip(), gr.skip())

        sides = [form.components["width"], form.components["height"]]
        picture = form.components["image"]
        model = form.components.get("model", picture)
        picture.pick(size, [picture, model], sides, **raw)


def refusal(task: Task, error: EaselError) -> dict[str, str]:
    """What the line under the buttons says, and which control it marks."""
    control = ""
    if isinstance(error, RequestError) and error.field:
        control = f"{task.name}-{error.field}"
        for mask in task.flat_controls():
            if isinstance(mask, Mask) and mask.name == error.field:
                control = f"{task.name}-{mask.over}"
    return {"message": str(error), "control": control}


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

    def side(length: float) -> int:
        whole: int = round(length * scale / SIZE_STEP) * SIZE_STEP
        return min(max(whole, SIZE_MIN), SIZE_MAX)

    return side(wide), side(high)
