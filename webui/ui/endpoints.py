"""The Gradio API: one endpoint for each task, built from its controls, and four that list and read.

Functions of their own, never the page's events: an omitted parameter takes the model's default, not
whatever a widget shows. Every value is checked before anything is queued (HTTP 422 with the sentence).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from PIL import Image

from webui.defaults import complete
from webui.errors import EaselError, ModelFileError, RequestError
from webui.images import open_picture
from webui.metadata import parse, read
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import (
    Choice,
    Control,
    EngineFace,
    GenerationRequest,
    Mask,
    Number,
    Picture,
    Seed,
    Switch,
    Task,
)
from webui.ui.controls import FIELDS, request_values
from webui.ui.files import given_file, publish
from webui.ui.follow import ended, words_of
from webui.ui.reception import Parameters

__all__ = ["add_endpoints", "parameters_of"]

FIRST = (
    "image",
    "mask",
    "prompt",
    "negative_prompt",
    "model",
    "sampler_name",
    "scheduler",
    "steps",
    "cfg_scale",
    "width",
    "height",
    "seed",
    "batch_size",
)


def parameters_of(task: Task) -> list[Control]:
    """The controls that are parameters of a task's endpoint, in their order: pictures, prompt, what all
    tasks have, then its own. Controls of no request field travel in `extras`."""
    controls = [c for c in task.flat_controls() if c.name in FIELDS]
    pictures = [c for c in controls if isinstance(c, Picture | Mask)]
    place = {name: i for i, name in enumerate(FIRST)}
    rest = [c for c in controls if c not in pictures]
    return pictures + sorted(rest, key=lambda c: place.get(c.name, len(FIRST)))


def required(control: Control) -> bool:
    return isinstance(control, Picture | Mask) or control.name == "prompt"


def add_endpoints(
    blocks: gr.Blocks, engine: EngineFace, catalog: Catalog, settings: Settings
) -> dict[str, Parameters]:
    """Adds every public endpoint to `blocks`; returns their parameters by name."""
    endpoints: dict[str, Parameters] = {}
    for task in catalog.tasks.values():
        endpoints[task.name] = _add_task(blocks, task, engine, catalog, settings)

    def models() -> list[dict[str, Any]]:
        """Every model found: its name, its own defaults and, if it cannot be used, the problem."""
        return [
            {
                "name": card.name,
                "family": card.family,
                "inpainting": card.inpainting,
                "defaults": dict(card.defaults),
                "prompts": list(card.prompts),
                "problem": card.problem,
            }
            for card in engine.models()
        ]

    def samplers() -> list[dict[str, Any]]:
        """Every sampler: its name, other names, and what the schedule `automatic` means for it."""
        return [
            {"name": s.name, "aliases": list(s.aliases), "schedule": s.schedule}
            for s in catalog.samplers.values()
        ]

    def schedulers() -> list[dict[str, Any]]:
        """Every schedule: its name, its label and other names."""
        return [
            {"name": s.name, "label": s.label or s.name, "aliases": list(s.aliases)}
            for s in catalog.schedules.values()
        ]

    for listing in (models, samplers, schedulers):
        sign(listing, {}, list[dict[str, Any]])
        gr.api(listing, concurrency_limit=None)
        endpoints[listing.__name__] = Parameters(())
    endpoints["png_info"] = _add_png_info(blocks)
    return endpoints


def _add_task(
    blocks: gr.Blocks, task: Task, engine: EngineFace, catalog: Catalog, settings: Settings
) -> Parameters:
    controls = parameters_of(task)
    names = (*(c.name for c in controls), "extras")

    def accept(values: Sequence[Any]) -> GenerationRequest:
        given = dict(zip(names, values, strict=True))
        return complete(task.name, request_values(controls, given), catalog, settings)

    def check(*values: Any) -> Any:
        return verdict(names, lambda: accept(values))

    async def generate(*values: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        try:
            request = await to_thread.run_sync(accept, values)
            status = await ended(engine, engine.submit(request))
        except EaselError as error:
            raise words_of(error) from None
        if status.state != "done":
            raise words_of(status.error or "the job was cancelled")
        files = [publish(picture.path, blocks.upload_file_set) for picture in status.pictures]
        first = status.pictures[0]
        info = {
            "job": status.id,
            "seed": request.seed,
            "seeds": [p.seed for p in status.pictures],
            "parameters": first.parameters,
            "all_parameters": [p.parameters for p in status.pictures],
            "model": request.model,
            "width": first.width,
            "height": first.height,
            "seconds": round(status.seconds, 3),
        }
        return files, info

    generate.__name__ = task.name
    generate.__doc__ = f"{task.label}. {task.info}"
    parameters = {
        c.name: Parameter(c.name, KIND, default=EMPTY if required(c) else None, annotation=kind(c))
        for c in controls
    }
    parameters["extras"] = Parameter("extras", KIND, default=None, annotation=dict)
    sign(generate, parameters, tuple[list[dict[str, Any]], dict[str, Any]])
    event = gr.api(generate, api_name=task.name, concurrency_limit=None)
    blocks.fns[event["id"]].validator = check
    return Parameters(names, sum(map(required, controls)))


def _add_png_info(blocks: gr.Blocks) -> Parameters:
    def png_info(image: object) -> dict[str, Any]:
        """The settings that a picture carries: `parameters` as text, and `fields` one by one."""
        try:
            return settings_in(image)
        except EaselError as error:
            raise words_of(error) from None

    def check(image: object) -> Any:
        return verdict(("image",), lambda: settings_in(image))

    sign(png_info, {"image": Parameter("image", KIND, annotation=dict)}, dict[str, Any])
    event = gr.api(png_info, concurrency_limit=None)
    blocks.fns[event["id"]].validator = check
    return Parameters(("image",), 1)


def settings_in(image: object) -> dict[str, Any]:
    """The infotext of a picture that a client sent; both empty where it carries none."""
    given = given_file(image, "image")
    if given is None:
        raise RequestError("image: give a picture", "image")
    open_picture(given, "image")
    with Image.open(given if isinstance(given, Path) else BytesIO(given)) as opened:
        text = read(opened)
    return {"parameters": text or "", "fields": parse(text) if text else {}}


def verdict(names: Sequence[str], attempt: Callable[[], object]) -> Any:
    """Gradio's answer to "may this be queued?", one for each parameter: the sentence stands at the
    parameter that it is about, else at the first."""
    wrong, sentence = -1, ""
    try:
        attempt()
    except EaselError as error:
        field = "model" if isinstance(error, ModelFileError) else getattr(error, "field", None)
        wrong, sentence = (names.index(field) if field in names else 0), str(error)
    found = [gr.validate(i != wrong, sentence if i == wrong else "") for i in range(len(names))]
    return found if len(found) > 1 else found[0]  # Gradio wraps what a function of one value gives


# --- What Gradio reads off a function ------------------------------------------------------------

KIND, EMPTY = Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty


def sign(function: Callable[..., Any], parameters: Mapping[str, Parameter], result: Any) -> None:
    """Gives a function the signature that Gradio takes names, defaults and types from."""
    function.__signature__ = Signature(list(parameters.values()), return_annotation=result)  # type: ignore[attr-defined]
    hints = {name: parameter.annotation for name, parameter in parameters.items()}
    function.__annotations__ = {**hints, "return": result}


def kind(control: Control) -> type:
    """The type that the API's description shows for a control."""
    match control:
        case Number() if not control.whole:
            return float
        case Number() | Seed():
            return int
        case Switch():
            return bool
        case Picture() | Mask():
            return dict
        case Choice() if control.choices:
            return type(control.choices[0][1])
    return str
