"""The Gradio API: one endpoint for each task, built from its controls, and some that list and read.

Functions of their own, never the page's events: an omitted parameter takes the model's default, not
whatever a widget shows. Every value is checked before anything is queued (HTTP 422 with the sentence).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import gradio as gr
from anyio import CapacityLimiter, to_thread

from webui.defaults import complete, extra_controls
from webui.errors import EaselError, ModelFileError, RequestError, Sentence
from webui.images import LEFT_OUT, TOO_LONG, texts_in
from webui.job_stream import ended
from webui.metadata import parse, settings_of
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import (
    PLACED,
    Control,
    EngineFace,
    ExtensionsFace,
    GenerationRequest,
    JobStatus,
    Task,
)
from webui.ui.controls import request_values
from webui.ui.files import given_file, publish
from webui.ui.gradio_adapter import check_with, links_of
from webui.ui.gradio_validation import Parameters
from webui.ui.listings import listings
from webui.ui.signatures import kind, parameter, sign
from webui.ui.stage_streams import words_of
from webui.ui.visitors import Visitors

__all__ = ["add_endpoints", "parameters_of"]

SUBMITTING = 8  # at once; an extension that looks at a request may take its time


def parameters_of(task: Task) -> list[Control]:
    """The controls that are parameters of a task's endpoint, in the order in which a request's fields are declared,
    those that must be given first. Controls of no request field travel in `extras`."""
    place = {name: place for place, name in enumerate(PLACED)}
    controls = [control for control in task.flat_controls() if control.name in PLACED]
    return sorted(controls, key=lambda one: (not required(one), place[one.name]))


def required(control: Control) -> bool:
    return PLACED[control.name].control.required


def add_endpoints(
    blocks: gr.Blocks,
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    extensions: ExtensionsFace | None,
    visitors: Visitors,
) -> dict[str, Parameters]:
    """Adds every public endpoint to `blocks`; returns their parameters by name."""
    endpoints: dict[str, Parameters] = {}
    for task in catalog.tasks.values():
        endpoints[task.name] = _add_task(blocks, task, engine, catalog, settings, visitors)

    for name, listing in listings(engine, catalog, extensions).items():
        sign(listing, (), list[dict[str, Any]])
        gr.api(listing, api_name=name, concurrency_limit=None)
        endpoints[name] = Parameters(())
    endpoints["png_info"] = _add_png_info(blocks)
    return endpoints


def _add_task(
    blocks: gr.Blocks,
    task: Task,
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    visitors: Visitors,
) -> Parameters:
    controls = parameters_of(task)
    names = (*(c.name for c in controls), "extras")
    submitting = CapacityLimiter(SUBMITTING)

    def accept(values: Sequence[Any]) -> GenerationRequest:
        given = dict(zip(names, values, strict=True))
        flat = task.flat_controls()
        return complete(task.name, request_values(flat, given), catalog, settings)

    def submit(values: Sequence[Any], asked: gr.Request) -> tuple[GenerationRequest, str]:
        request = accept(values)
        return request, engine.submit(request, visitors.of(asked).owner)

    def check(*values: Any) -> Any:
        return verdict(names, lambda: accept(values), extra_controls(task))

    async def generate(
        asked: gr.Request, *values: Any
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        try:
            request, job = await to_thread.run_sync(submit, values, asked, limiter=submitting)
            status = await ended(engine, job)
        except EaselError as error:
            raise words_of(error) from None
        if status.state != "done":
            raise words_of(status.error or "the job was cancelled")
        files = await to_thread.run_sync(published, status, links_of(blocks))
        first = status.pictures[0]
        info = {
            "job": status.id,
            "seed": request.seed,
            "seeds": [p.seed for p in status.pictures],
            "parameters": first.parameters,
            "all_parameters": [p.parameters for p in status.pictures],
            "notes": list(dict.fromkeys(note for p in status.pictures for note in p.notes)),
            "model": request.model,
            "width": first.width,
            "height": first.height,
            "seconds": round(status.seconds, 3),
        }
        return files, info

    generate.__name__ = task.name
    generate.__doc__ = f"{task.label}. {task.info}"
    parameters = [parameter("asked", gr.Request, required=True)]  # filled in by Gradio
    parameters += [parameter(c.name, kind(c), required=required(c)) for c in controls]
    parameters.append(parameter("extras", dict))
    sign(generate, parameters, tuple[list[dict[str, Any]], dict[str, Any]])
    event = gr.api(generate, api_name=task.name, concurrency_limit=None)
    check_with(blocks, event, check)
    return Parameters(names, sum(map(required, controls)))


def published(status: JobStatus, links: set[str]) -> list[dict[str, Any]]:
    """A job's pictures where Gradio serves files."""
    return [publish(picture.path, links) for picture in status.pictures]


def _add_png_info(blocks: gr.Blocks) -> Parameters:
    def png_info(image: object) -> dict[str, Any]:
        """The settings that a picture carries: `parameters` as text, and `fields` one by one."""
        try:
            return settings_in(image)
        except EaselError as error:
            raise words_of(error) from None

    def check(image: object) -> Any:
        return verdict(("image",), lambda: settings_in(image))

    sign(png_info, [parameter("image", dict, required=True)], dict[str, Any])
    event = gr.api(png_info, concurrency_limit=None)
    check_with(blocks, event, check)
    return Parameters(("image",), 1)


def settings_in(image: object) -> dict[str, Any]:
    """The infotext of a picture that a client sent; both empty where it carries none. A comment is none, and JSON only
    where fields of it are settings."""
    given = given_file(image, "image")
    if given is None:
        raise RequestError(Sentence("image: give a picture"), "image")
    opened, _ = texts_in(given, "image")
    text = settings_of(opened)
    if text is None and "parameters" in opened.info.get(LEFT_OUT, ()):
        raise RequestError(TOO_LONG, "image")
    return {"parameters": text or "", "fields": parse(text) if text else {}}


def verdict(
    names: Sequence[str], attempt: Callable[[], object], extras: Collection[str] = ()
) -> Any:
    """Gradio's answer to "may this be queued?", one for each parameter: the sentence stands at the
    parameter that it is about (one of `extras` at `extras`), else at the first."""
    wrong, sentence = -1, ""
    try:
        attempt()
    except EaselError as error:
        field = "model" if isinstance(error, ModelFileError) else getattr(error, "field", None)
        field = "extras" if field in extras and field not in names else field
        wrong, sentence = (names.index(field) if field in names else 0), str(error)
    found = [gr.validate(i != wrong, sentence if i == wrong else "") for i in range(len(names))]
    return found if len(found) > 1 else found[0]  # Gradio wraps what a function of one value gives
