"""The place where pictures appear: what its JavaScript (assets/stage.js) is told of a job, as data."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import gradio as gr
from anyio import to_thread
from PIL import Image

from webui.job_stream import Interest, changes
from webui.metadata import parse
from webui.sentences import Sentence, with_keys
from webui.types import EngineFace, JobStatus
from webui.ui.files import data_url
from webui.ui.gradio_adapter import literal
from webui.ui.pictures import OwnPictures
from webui.ui.translations import MOUNT, keyed

__all__ = [
    "EMPTY",
    "duration",
    "facts_of",
    "job_value",
    "job_values",
    "link_new",
    "stage",
    "status_line",
    "stopped",
]

PREVIEW_S = 0.3  # a new preview this often at most
STATUS_S = 0.1
LOOK_SIDE, LOOK_SIDE_OF_SEVERAL = 512, 256  # pixels of a preview's longer side
CARD = 512  # pixels of what stands for a file that is no picture

EMPTY: Mapping[str, Any] = {
    "job": "",
    "state": "empty",
    "line": "",
    "pictures": [],
}

HTML = """<div class="stage-frame">
  <p class="stage-model" hidden></p>
  <p class="stage-hint"></p>
  <div class="stage-examples"></div>
  <div class="stage-grid" role="list" aria-label="Pictures of this job" hidden></div>
  <button type="button" class="stage-full" aria-label="Show the picture full screen" hidden>
    <img class="stage-picture" alt=""></button>
</div>
<div class="stage-under">
  <div class="stage-bar"><div class="stage-progress" role="progressbar" aria-label="Progress"
    aria-valuemin="0" aria-valuemax="100"><i></i></div><span class="stage-line"></span></div>
  <p class="easel-unseen" aria-live="polite"></p>
  <ul class="stage-notes" role="note" aria-label="Told of this picture" hidden></ul>
  <div class="stage-acts" role="group" aria-label="What to do with the picture"></div>
  <details class="stage-details"><summary><span class="stage-facts" translate="no"></span></summary>
    <pre translate="no" tabindex="0"></pre></details>
  <div class="stage-strip" role="list" aria-label="Pictures of this session"></div>
</div>"""


def stage(
    task: str,
    hint: str,
    examples: Sequence[str | Mapping[str, Any]],
    sends: Sequence[tuple[str, str]],
    samples: bool = True,
    model: Mapping[str, Any] | None = None,
) -> Any:
    """The component. `hint` is shown while it is empty, with `examples` to click: prompts, or
    `{"prompt", "picture": address or "", "seed": int or None}`. `sends` are (task, label) pairs of tasks that a
    picture can be handed to; `samples` says whether the task has seeds, by which it can be done again; `model` is what
    is said of the model (`model_line`), where the task says it. Events:
    example, again (which also varies), follow, which asks for another job, and collect, which asks for the pictures
    of jobs that it does not show."""
    about = {
        "task": task,
        "hint": hint,
        "examples": list(examples),
        "sends": [*map(list, sends)],
        "samples": samples,
        "model": model,
    }
    start = f"{MOUNT}Easel.stage(element, trigger, props, watch, {literal(about)})"
    return gr.HTML(
        dict(EMPTY),
        html_template=keyed(HTML),
        js_on_load=f"{start} // 'example' 'again' 'follow' 'collect'",
        elem_id=f"{task}-stage",
        elem_classes="easel-stage",
        apply_default_css=False,
    )


# --- A job in words ------------------------------------------------------------------------------


def stopped(status: JobStatus) -> bool:
    """Whether a job was broken off by the engine's end, which its error tells, and by nobody's wish."""
    return status.state == "cancelled" and status.error is not None


def status_line(status: JobStatus) -> str:
    """Where a job stands."""
    match status.state:
        case "queued":
            if status.note:
                return status.note
            if status.position:
                return Sentence("Position {position} in the queue", position=status.position)
            return Sentence("Waiting")
        case "running":
            if status.interrupted:
                return Sentence("Interrupted: what there is is being finished")
            return status.note or _of_pictures(status, _step_line(status))
        case "paused":
            if not status.step:
                return Sentence("Paused")
            return _of_pictures(
                status,
                Sentence("Paused at step {step} of {steps}", step=status.step, steps=status.steps),
            )
        case "done":
            number, took = len(status.pictures), duration(status.seconds)
            line = Sentence("{number} pictures in {time}", number=number, time=took)
            if number == 1:
                line = Sentence("1 picture in {time}", time=took)
            if status.interrupted:
                return Sentence("Interrupted; {line}", line=line)
            if status.skipped:
                return Sentence("{line}; {number} skipped", line=line, number=len(status.skipped))
            return line
        case "cancelled":
            if stopped(status):
                return status.error or ""
            if status.pictures:
                return Sentence("Cancelled; finished pictures are kept")
            return Sentence("Cancelled")
        case "failed":
            return Sentence("Failed")


def _step_line(status: JobStatus) -> Sentence:
    step, steps = status.step, status.steps
    if not step:
        return Sentence("Starting")
    if status.eta_s is None:
        return Sentence("Step {step} of {steps}", step=step, steps=steps)
    left = duration(status.eta_s)
    return Sentence("Step {step} of {steps}, {time} left", step=step, steps=steps, time=left)


def _of_pictures(status: JobStatus, line: Sentence) -> Sentence:
    """A line about the pictures that are being made, with which of how many these are, counted from 1."""
    number, places = status.request.batch_size, [one.index + 1 for one in status.running]
    if number == 1 or not places:
        return line
    if len(places) == 1:
        which = Sentence("Picture {place} of {number}", place=places[0], number=number)
    else:
        first, last = places[0], places[-1]
        which = Sentence(
            "Pictures {first} to {last} of {number}", first=first, last=last, number=number
        )
    return Sentence("{which}: {line}", which=which, line=line)


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.4 s, 12 s, 3 min 5 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"


def facts_of(parameters: str) -> dict[str, str]:
    """Of an infotext what people look for first: sampler, steps, cfg, seed, model; what it does not say is left
    out."""
    pairs = parse(parameters)
    keys = {"sampler": "Sampler", "steps": "Steps", "cfg": "CFG scale", "seed": "Seed"}
    keys |= {"strength": "Denoising strength", "model": "Model"}
    facts = {name: pairs[key] for name, key in keys.items() if key in pairs}
    return {n: said.removesuffix(".0") if n == "cfg" else said for n, said in facts.items()}


# --- What the page is told -----------------------------------------------------------------------


def job_value(
    status: JobStatus, looks: Mapping[int, str], linked: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A job for the stage. `looks` are previews as data URLs, by the places of their pictures, `linked` maps saved
    paths to `OwnPictures.links`."""
    gone = sum(str(p.path) not in linked for p in status.pictures)
    line = status_line(status)
    if gone:
        line = Sentence("{line}; {gone} no longer on disk", line=line, gone=gone)
    return {
        "job": status.id,
        "state": "stopped" if stopped(status) else status.state,
        "line": with_keys(line),
        "progress": round(status.progress, 4),
        "preview": next(iter(looks.values()), ""),
        "running": _running(status, looks),
        "skipped": list(status.skipped),
        "width": status.request.width,
        "height": status.request.height,
        "number": status.request.batch_size,
        "prompt": status.request.prompt,
        "pictures": [
            {
                **linked[str(p.path)],
                "key": f"{status.id}/{p.path.name}",
                "place": p.index,
                "name": p.path.name,
                "seed": p.seed,
                "width": p.width or CARD,
                "height": p.height or CARD,
                "facts": facts_of(p.parameters),
                "parameters": p.parameters,
                "notes": with_keys(p.notes),
            }
            for p in status.pictures
            if str(p.path) in linked
        ],
    }


def _running(status: JobStatus, looks: Mapping[int, str]) -> list[dict[str, Any]]:
    """The pictures that are being made, and those that are made and not yet on disk: these are still looked at."""
    saved = {picture.index for picture in status.pictures}
    parts = {one.index: one.progress for one in status.running}
    parts |= {place: 1.0 for place in looks if place not in parts and place not in saved}
    return [
        {"place": place, "part": round(parts[place], 4), "look": looks.get(place, "")}
        for place in sorted(parts)
    ]


def link_new(status: JobStatus, own: OwnPictures, linked: dict[str, Mapping[str, Any]]) -> None:
    """Finds the addresses of the pictures that `linked` does not know for good: those that are on disk, and of
    which the gallery may hear a little later."""
    for picture in status.pictures:
        if linked.get(str(picture.path), {}).get("id") is None:
            links = own.links(status.id, picture)
            if links is not None:
                linked[str(picture.path)] = links


async def job_values(
    engine: EngineFace, own: OwnPictures, job: str, previews: bool, wanted: Interest
) -> AsyncIterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What stage and problem line show of a job from now to its end, or for as long as it is `wanted`."""
    linked: dict[str, Mapping[str, Any]] = {}
    looks, seen_at = dict[int, str](), 0.0

    def look(status: JobStatus) -> None:
        """Draws what has changed; what is saved needs no preview."""
        side = LOOK_SIDE if status.request.batch_size == 1 else LOOK_SIDE_OF_SEVERAL
        for one in status.running:
            picture = engine.preview(job, one.index) if one.step else None
            if picture is not None:
                small = picture.copy()
                small.thumbnail((side, side), Image.Resampling.BILINEAR)
                looks[one.index] = data_url(small)

    async for status in changes(engine, job, STATUS_S, wanted):
        if status.pictures:
            await to_thread.run_sync(link_new, status, own, linked)
        for gone in (*status.skipped, *(saved.index for saved in status.pictures)):
            looks.pop(gone, None)
        new = any(one.step and one.index not in looks for one in status.running)
        due = previews and (new or time.monotonic() - seen_at > PREVIEW_S)
        if due and status.state in ("running", "paused") and status.step:
            seen_at = time.monotonic()
            await to_thread.run_sync(look, status)
        if not wanted():  # another job is shown meanwhile
            return
        failed = status.state == "failed"
        why = status.error or Sentence("The job failed")
        sentence = {"message": with_keys(why) if failed else "", "control": "", "failed": failed}
        yield job_value(status, {} if status.ended else looks, linked), sentence
