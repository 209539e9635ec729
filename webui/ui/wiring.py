"""What a task's tab does: submits jobs, tells its stage how they go, hands on what its buttons say.

The handlers are thin. Closing the browser's tab ends them, never the job.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr
from anyio import to_thread

from webui.defaults import complete
from webui.errors import EaselError, RequestError
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import EngineFace, Mask, Task
from webui.ui.follow import Newest
from webui.ui.stage import EMPTY, job_values
from webui.ui.tab import PRIVATE, Tab, card_of, fit, known_defaults
from webui.ui.visitors import Visitors

__all__ = ["wire"]


def wire(
    tab: Tab,
    blocks: gr.Blocks,
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    visitors: Visitors,
) -> None:
    """Connects a tab's components. Every value travels as the browser has it (no preprocessing)."""
    task, form = tab.task, tab.form
    outputs = [tab.stage, tab.problem]
    links: set[str] = blocks.upload_file_set
    newest = Newest()  # of the streams to a browser tab's stage

    async def submitted(request: gr.Request, raw: Sequence[Any]) -> str:
        owner = visitors.owner_of(request)

        def submit() -> str:
            accepted = complete(task.name, form.values(raw), catalog, settings)
            return engine.submit(accepted, owner)

        return await to_thread.run_sync(submit)

    async def run(request: gr.Request, *raw: Any) -> AsyncIterator[Any]:
        try:
            job = await submitted(request, raw)
        except EaselError as error:
            yield gr.skip(), refused(error)
            return
        async for shown in show(job, request):
            yield shown

    async def add(request: gr.Request, *raw: Any) -> tuple[Any, Any]:
        """One more job; the stage shows it when the one that it shows has ended."""
        try:
            return gr.HTML(added=await submitted(request, raw)), {"message": "", "control": ""}
        except EaselError as error:
            return gr.skip(), refused(error)

    def refused(error: EaselError) -> dict[str, str]:
        gr.Warning(html.escape(str(error)), title="Not started")
        return refusal(task, error)

    async def show(job: Any, request: gr.Request) -> AsyncIterator[Any]:
        """Streams a job to the stage, until this browser tab asks for another."""
        try:
            visitors.status(engine, job, request)
        except RequestError:  # ended long ago, or before the last start
            yield {**EMPTY, "job": job if isinstance(job, str) else ""}, gr.skip()
            return
        with newest.stream(request.session_hash or "") as wanted:
            async for shown in job_values(engine, job, settings.previews, links, wanted):
                yield shown
        yield (
            gr.skip(),
            gr.skip(),
        )  # Gradio sends the last thing twice; another job may be shown by then

    async def attach(request: gr.Request, job: Any) -> AsyncIterator[Any]:
        """Shows this browser tab's last job again after a reload."""
        async for shown in show(job, request):
            yield shown

    async def follow(request: gr.Request, event: gr.EventData) -> AsyncIterator[Any]:
        async for shown in show(getattr(event, "job", None), request):
            yield shown

    def told(change: Callable[[str], None]) -> Callable[[gr.Request, Any], None]:
        def tell(request: gr.Request, job: Any) -> None:
            try:
                change(visitors.status(engine, job, request).id)
            except RequestError as error:  # it ended long ago
                gr.Info(html.escape(str(error)))

        return tell

    raw = {**PRIVATE, "preprocess": False}
    shown_job = {"js": "(stage) => [stage.job]", **raw}
    tab.generate.click(run, form.inputs(), outputs, **raw)
    tab.add.click(add, form.inputs(), outputs, trigger_mode="multiple", **raw)
    tab.cancel.click(told(engine.cancel), [tab.stage], None, **shown_job)
    tab.pause.click(told(engine.pause), [tab.stage], None, **shown_job)
    tab.resume.click(told(engine.resume), [tab.stage], None, **shown_job)
    remembered = f"() => [window.Easel ? Easel.recall('job-{task.name}', '') : '']"
    blocks.load(attach, [tab.stage], outputs, js=remembered, **raw)
    tab.stage.follow(follow, None, outputs, trigger_mode="multiple", **PRIVATE)

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
