"""The place where pictures appear: what its JavaScript (assets/stage.js) is told of a job, as data."""

from __future__ import annotations

import html
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import gradio as gr
from anyio import to_thread

from webui.types import EngineFace, JobStatus, SavedPicture
from webui.ui.files import data_url, publish
from webui.ui.follow import changes

__all__ = ["EMPTY", "duration", "job_value", "job_values", "publish_new", "stage", "status_line"]

PREVIEW_S = 0.3  # a new preview this often at most
STATUS_S = 0.1

EMPTY: Mapping[str, Any] = {"job": "", "state": "empty", "line": "", "pictures": []}

HTML = """<div class="stage-frame">
  <p class="stage-hint"></p>
  <div class="stage-examples"></div>
  <a class="stage-full" target="_blank" aria-label="Open the picture alone" hidden>
    <img class="stage-picture" alt=""></a>
</div>
<div class="stage-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" hidden>
  <i></i></div>
<p class="stage-line"></p>
<p class="easel-unseen" aria-live="polite"></p>
<div class="stage-strip" role="list" aria-label="Pictures of this session"></div>
<div class="stage-acts"></div>
<details class="stage-details" hidden><summary></summary><pre></pre><button type="button">Copy</button></details>"""


def stage(task: str, hint: str, examples: Sequence[str], sends: Sequence[tuple[str, str]]) -> Any:
    """The component. `hint` is shown while it is empty, with `examples` to click; `sends` are
    (task, label) pairs of tasks that a picture can be handed to. Events: example, again, keep, send, and follow,
    which asks for another job."""
    # Not as props of the component: Gradio 6.31 loses those of a component in a tab nobody opened yet.
    about = {"task": task, "hint": hint, "examples": list(examples), "sends": [*map(list, sends)]}
    start = f"Easel.stage(element, trigger, props, watch, {json.dumps(about)})"
    return gr.HTML(
        dict(EMPTY),
        html_template=HTML,
        js_on_load=f"{start} // 'example' 'again' 'keep' 'send' 'follow'",
        elem_id=f"{task}-stage",
        elem_classes="easel-stage",
        apply_default_css=False,
    )


def status_line(status: JobStatus) -> str:
    """Where a job stands, in words."""
    match status.state:
        case "queued":
            if status.note:
                return status.note
            return f"Position {status.position} in the queue" if status.position else "Waiting"
        case "running":
            if status.note:
                return status.note
            if not status.step:
                return "Starting"
            left = f", {duration(status.eta_s)} left" if status.eta_s is not None else ""
            return f"Step {status.step} of {status.steps}{left}"
        case "paused":
            return f"Paused at step {status.step} of {status.steps}" if status.step else "Paused"
        case "done":
            number = len(status.pictures)
            what = "1 picture" if number == 1 else f"{number} pictures"
            return f"{what} in {duration(status.seconds)}"
        case "cancelled":
            kept = "; finished pictures are kept" if status.pictures else ""
            return f"Cancelled{kept}"
        case "failed":
            return "Failed"


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.4 s, 12 s, 3 min 5 s."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"


def job_value(
    status: JobStatus, preview: str, published: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """A job for the stage. `preview` is a data URL or "", `published` maps saved paths to files."""
    gone = sum(str(p.path) not in published for p in status.pictures)
    return {
        "job": status.id,
        "state": status.state,
        "line": status_line(status) + (f"; {gone} no longer on disk" if gone else ""),
        "progress": round(status.progress, 4),
        "preview": preview,
        "width": status.request.width,
        "height": status.request.height,
        "prompt": status.request.prompt,
        "pictures": [
            {
                "id": f"{status.id}/{p.path.name}",
                **{key: published[str(p.path)][key] for key in ("path", "url")},
                "name": p.path.name,
                "seed": p.seed,
                "width": p.width,
                "height": p.height,
                "parameters": p.parameters,
            }
            for p in status.pictures
            if str(p.path) in published
        ],
    }


def publish_new(
    pictures: Sequence[SavedPicture], published: dict[str, Mapping[str, Any]], links: set[str]
) -> None:
    """Publishes the pictures that `published` does not know yet and that are still on disk; `links` as for
    `publish`."""
    for picture in pictures:
        if str(picture.path) not in published:
            with suppress(FileNotFoundError):  # somebody has deleted it since
                published[str(picture.path)] = publish(picture.path, links)


async def job_values(
    engine: EngineFace, job: str, previews: bool, links: set[str], wanted: Callable[[], bool]
) -> AsyncIterator[tuple[dict[str, Any], dict[str, str]]]:
    """What stage and problem line show of a job from now to its end, or for as long as it is `wanted`."""
    published: dict[str, Mapping[str, Any]] = {}
    preview, seen_at = "", 0.0

    def draw_preview() -> str:
        picture = engine.preview(job)
        return "" if picture is None else data_url(picture)

    async for status in changes(engine, job, STATUS_S, wanted):
        await to_thread.run_sync(publish_new, status.pictures, published, links)
        due = previews and time.monotonic() - seen_at > PREVIEW_S
        if due and status.state in ("running", "paused") and status.step:
            seen_at = time.monotonic()
            preview = await to_thread.run_sync(draw_preview) or preview
        if not wanted():  # another job is shown meanwhile
            return
        failed = status.state == "failed"
        if failed:
            gr.Warning(html.escape(status.error or "The job failed"), title="Failed")
        sentence = {"message": status.error or "" if failed else "", "control": ""}
        yield job_value(status, "" if status.ended else preview, published), sentence
