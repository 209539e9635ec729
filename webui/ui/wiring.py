"""What a task's tab does: submits jobs, tells its stage how they go, hands on what its buttons say.

The handlers are thin. Closing the browser's tab ends them, never the job.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from anyio import CapacityLimiter, to_thread

from webui.defaults import complete
from webui.errors import EaselError, RequestError
from webui.registry import Catalog
from webui.sentences import Called, Sentence, with_keys
from webui.settings import Settings
from webui.types import EngineFace, Mask, Task
from webui.ui.again import submit_again
from webui.ui.background_jobs import Added, asked_for, collected
from webui.ui.forms import Forms
from webui.ui.gradio_adapter import as_text, last_again, say
from webui.ui.pictures import OwnPictures
from webui.ui.send_to import said
from webui.ui.stage import EMPTY, job_values
from webui.ui.stage_streams import Newest
from webui.ui.tab import PRIVATE, Tab, card_of, fit, known_defaults
from webui.ui.visitors import Visitors

__all__ = ["wire"]

SUBMITTING = 8  # at once; an extension that looks at a request may take its time
NUMBERS = itertools.count(1)


def wire(
    tab: Tab,
    forms: Forms,
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    visitors: Visitors,
    own: OwnPictures,
) -> None:
    """Connects a tab's components. Every value travels as the browser has it (no preprocessing)."""
    task, form = tab.task, tab.form
    outputs = [tab.stage, tab.problem]
    newest = Newest()  # of the streams to a browser tab's stage
    questions = Newest()  # of its, for the pictures of other jobs
    added = Added()
    submitting = CapacityLimiter(SUBMITTING)

    async def submitted(
        request: gr.Request, raw: Sequence[Any], instead: Mapping[str, Any] | None = None
    ) -> str:
        """The job of the form's values, some of them others `instead`."""
        owner = visitors.of(request).owner

        def submit() -> str:
            values = {**form.values(held_by(raw, request)), **(instead or {})}
            return engine.submit(complete(task.name, values, catalog, settings), owner)

        return await to_thread.run_sync(submit, limiter=submitting)

    def held_by(raw: Sequence[Any], request: gr.Request) -> dict[str, Any]:
        """What the form's components hold, by the names of their controls."""
        sent, *pictures = raw
        held = sent if isinstance(sent, Mapping) else {}
        held = {**held, **dict(zip(form.pictures(), pictures, strict=True))}
        return {name: own.opened(held.get(name), name, request) for name in form.components}

    async def run(request: gr.Request, *raw: Any) -> AsyncIterator[Any]:
        try:
            job = await submitted(request, raw)
        except EaselError as error:
            yield gr.skip(), refusal(task, error)
            return
        async for shown in show(job, request):
            yield shown

    async def add(request: gr.Request, *raw: Any) -> tuple[Any, Any]:
        """One more job; the stage shows it when the one that it shows has ended."""
        try:
            job = await submitted(request, raw)
            lately = added.note(request.session_hash or "", job)
            return gr.HTML(added=lately), {"message": "", "control": ""}
        except EaselError as error:
            return gr.skip(), refusal(task, error)

    async def show(job: Any, request: gr.Request) -> AsyncIterator[Any]:
        """Streams a job to the stage, until this browser tab asks for another."""
        try:
            visitors.status(engine, job, request)
        except RequestError:  # ended long ago, or before the last start
            yield {**EMPTY, "job": job if isinstance(job, str) else ""}, gr.skip()
            return
        with newest.stream(request.session_hash or "", job) as (wanted, overtaken):
            async for shown, sentence in job_values(
                engine, own, job, settings.now.previews, wanted
            ):
                lately = added.lately(request.session_hash or "")
                yield {**shown, "overtaken": overtaken, "added": lately}, sentence
        yield last_again(2)  # another job may be shown by then

    async def follow(request: gr.Request, event: gr.EventData) -> AsyncIterator[Any]:
        async for shown in show(getattr(event, "job", None), request):
            yield shown

    async def collect(request: gr.Request, event: gr.EventData) -> AsyncIterator[Any]:
        """The pictures of jobs that the stage does not show, for its strip; the newest question names all of them."""
        jobs, number = asked_for(event, engine, visitors, request)
        with questions.stream(request.session_hash or "", "", number) as (wanted, _):
            async for found in collected(engine, own, jobs, wanted):
                yield gr.HTML(collected=as_text(found))

    def told(change: Callable[[str], object]) -> Callable[[gr.Request, Any], None]:
        def tell(request: gr.Request, job: Any) -> None:
            try:
                change(visitors.status(engine, job, request).id)
            except RequestError as error:  # it ended long ago
                say(str(error))

        return tell

    raw = {**PRIVATE, "preprocess": False}
    shown_job = {"js": "(stage) => [stage.job]", **raw}
    # "once" would drop a press that comes while the last job's stream still closes
    asked = {**forms.asked(tab), **raw}
    tab.generate.click(run, outputs=outputs, trigger_mode="multiple", **asked)
    tab.add.click(add, outputs=outputs, trigger_mode="multiple", **asked)
    tab.cancel.click(told(engine.cancel), [tab.stage], None, **shown_job)
    tab.pause.click(told(engine.pause), [tab.stage], None, **shown_job)
    tab.resume.click(told(engine.resume), [tab.stage], None, **shown_job)
    tab.interrupt.click(told(engine.interrupt), [tab.stage], None, **shown_job)
    tab.skip.click(told(engine.skip), [tab.stage], None, trigger_mode="multiple", **shown_job)
    tab.stage.follow(follow, None, outputs, trigger_mode="multiple", **PRIVATE)
    tab.stage.collect(collect, None, tab.stage, trigger_mode="multiple", **PRIVATE)

    async def example(
        request: gr.Request, event: gr.EventData, *raw: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Paints an example: its prompt goes into the form, its seed does not, so that the next one is new."""
        prompt, seed = said(event, "prompt"), getattr(event, "seed", None)
        instead = {"prompt": prompt} | ({"seed": seed} if isinstance(seed, int) else {})
        filled = forms.fill(tab, {"prompt": prompt}, ())  # with each, for Gradio may merge two
        yield filled, gr.skip(), gr.skip()
        try:
            job = await submitted(request, raw, instead)
        except EaselError as error:
            yield filled, gr.skip(), refusal(task, error)
            return
        async for shown in show(job, request):
            yield filled, *shown

    async def again(
        request: gr.Request, event: gr.EventData, *raw: Any
    ) -> AsyncIterator[tuple[Any, ...]]:
        """A picture's own request once more; the form stays as it is."""

        def submit() -> str:
            others = (task, engine, catalog, settings, visitors)
            return submit_again(event, request, lambda: form.values(held_by(raw, request)), *others)

        try:
            job = await to_thread.run_sync(submit, limiter=submitting)
        except EaselError as error:
            yield gr.skip(), refusal(task, error)
            return
        async for shown in show(job, request):
            yield shown

    if "prompt" in form.components:
        painted = [forms.component, *outputs]
        tab.stage.example(example, outputs=painted, trigger_mode="multiple", **asked)
    tab.stage.again(again, outputs=outputs, trigger_mode="multiple", **asked)

    if {"image", "width", "height"} <= form.components.keys():

        def size(given: Any, model: Any) -> Any:
            if sized(given):
                return gr.skip()
            shown = known_defaults(task, card_of(model, catalog), catalog, settings)
            sides = fit(given, shown["width"], shown["height"])
            return forms.fill(tab, {"width": sides[0], "height": sides[1]}) if sides else gr.skip()

        picture = form.components["image"]
        model = form.components.get("model", picture)
        picture.pick(size, [picture, model], forms.component, **raw)


def sized(given: Any) -> bool:
    """Whether a picture was handed over with settings that say a size."""
    image = given.get("image") if isinstance(given, Mapping) else None
    return isinstance(image, Mapping) and image.get("sized") is True


def refusal(task: Task, error: EaselError) -> dict[str, Any]:
    """What the page says of an error, and at which control. The page hears of changes alone, so each has a number."""
    control = ""
    if isinstance(error, RequestError) and error.field:
        control = place_of(task, error.field)
    told = with_keys(with_labels(str(error), task, getattr(error, "field", None)))
    return {"message": told, "control": control, "number": next(NUMBERS)}


def place_of(task: Task, name: str) -> str:
    """The id of the component where a control of a task stands; a mask's is that of the picture under it."""
    control = next((one for one in task.flat_controls() if one.name == name), None)
    if isinstance(control, Mask):
        name = control.over
    return "easel-model" if control is not None and control.shared else f"{task.name}-{name}"


def with_labels(sentence: str, task: Task, field: str | None) -> str:
    """A sentence in which the control that it is about is called by its label."""
    control = next((one for one in task.flat_controls() if one.name == field), None)
    if control is None or not isinstance(sentence, Sentence):
        return sentence
    called = Called(control.name, control.label)
    values = {
        name: called if value == control.name else value for name, value in sentence.values.items()
    }
    return sentence.filled(**values)
