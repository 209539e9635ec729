"""The Queue tab: every job that is known, what may be done with it, and the doing.

Drawn by assets/queue.js, which asks anew every second while the tab can be seen. What changes a job is decided
by the engine; here it is put into words and checked, for every handler of the page is an HTTP endpoint.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gradio as gr
from PIL import Image

from webui.errors import EaselError, RequestError
from webui.registry import Catalog
from webui.sentences import Sentence, with_keys
from webui.types import EngineFace, JobStatus
from webui.ui.files import data_url
from webui.ui.forms import Forms
from webui.ui.gradio_adapter import say
from webui.ui.pictures import OwnPictures
from webui.ui.queue_order import ends_of, in_order, mine, moved, waiting_with, whose
from webui.ui.reopened import form_of
from webui.ui.stage import status_line
from webui.ui.tab import PRIVATE, Tab
from webui.ui.translations import MOUNT, key, keyed
from webui.ui.visitors import Visitors

__all__ = ["Board", "draw_queue", "wire_queue"]

TAB = "easel-queue"  # no task's name
CANCEL_MINE = "cancel-mine"
ENDED, QUEUED = 50, 200  # rows at most
PREVIEWS, PREVIEW_SIDE = 4, 128  # jobs with a live preview, and its longer side in pixels
THUMBNAILS = 4  # pictures of a row
PROMPT = 300  # characters of a row
LIST = """<div class="queue-head"><h2>Queue</h2><p class="queue-sum"></p>
<button type="button" class="queue-cancel" hidden>Cancel all mine</button></div>
<p class="easel-unseen" aria-live="polite"></p>
<div class="queue-open" role="list" aria-label="Jobs that have not ended"></div>
<p class="queue-more" hidden></p>
<div class="queue-past" hidden><h3>Ended</h3>
<button type="button" class="queue-clear"
  title="They leave this list; their pictures stay in the gallery">Clear ended</button></div>
<div class="queue-ended" role="list" aria-label="Jobs that have ended"></div>"""
LABELS = {
    "queued": Sentence("Waiting"),
    "running": Sentence("Running"),
    "paused": Sentence("Paused"),
    "done": Sentence("Done"),
    "failed": Sentence("Failed"),
    "cancelled": Sentence("Cancelled"),
}
SUMS = {  # whether any runs, is paused, waits
    (False, False, False): Sentence("Nothing is running"),
    (True, False, False): Sentence("{running} running"),
    (False, True, False): Sentence("{paused} paused"),
    (False, False, True): Sentence("{waiting} waiting"),
    (True, True, False): Sentence("{running} running, {paused} paused"),
    (True, False, True): Sentence("{running} running, {waiting} waiting"),
    (False, True, True): Sentence("{paused} paused, {waiting} waiting"),
    (True, True, True): Sentence("{running} running, {paused} paused, {waiting} waiting"),
}


# --- Drawing -------------------------------------------------------------------------------------


def draw_queue() -> Any:
    """The tab; its component's events: refresh, act, visit."""
    with gr.Tab(key("Queue"), id=TAB):
        return gr.HTML(
            {},
            html_template=keyed(LIST),
            js_on_load=f"{MOUNT}Easel.queue(element, trigger, props, watch) // 'refresh' 'act' 'visit'",
            elem_id="queue-list",
            elem_classes="easel-queue",
            apply_default_css=False,
        )


def wire_queue(
    listed: Any,
    bar: Any,
    engine: EngineFace,
    catalog: Catalog,
    visitors: Visitors,
    own: OwnPictures,
    forms: Forms,
    tabs: Sequence[Tab],
) -> None:
    """Connects the tab. A job that is opened fills its task's form. Nothing is sent to the browser where nothing
    has changed."""
    board = Board(engine, catalog, own)
    by_task = {tab.task.name: tab for tab in tabs}

    def jobs(request: gr.Request) -> list[JobStatus]:
        visitor = visitors.of(request)
        return [status for status in engine.jobs() if visitor.sees(status)]

    def look(request: gr.Request, event: gr.EventData) -> Any:
        known = (getattr(event, "open", None), getattr(event, "ended", None))
        owner = visitors.of(request).owner
        return board.told(jobs(request), owner, known, cleared(event)) or gr.skip()

    def act(request: gr.Request, event: gr.EventData) -> Any:
        job, what = getattr(event, "job", None), getattr(event, "act", None)
        owner = visitors.of(request).owner
        try:
            if what == CANCEL_MINE:
                board.cancel_all(mine(jobs(request), owner))
            else:
                board.act(visitors.status(engine, job, request), what, jobs(request), owner)
        except EaselError as error:
            say(str(error))
        return board.told(jobs(request), owner, cleared_s=cleared(event))

    def visit(request: gr.Request, event: gr.EventData) -> Any:
        try:
            status = visitors.status(engine, getattr(event, "job", None), request)
            tab = by_task.get(status.request.task)
            if tab is None:
                raise RequestError(
                    Sentence("task {task} is not here any more", task=repr(status.request.task))
                )
            values, notes = form_of(status, tab, engine, catalog)
        except EaselError as error:
            say(str(error))
            return gr.skip(), gr.skip()
        return gr.Tabs(selected=status.request.task), forms.fill(tab, values, notes)

    listed.refresh(look, None, listed, **PRIVATE)
    listed.act(act, None, listed, trigger_mode="multiple", **PRIVATE)
    listed.visit(visit, None, [bar, forms.component], **PRIVATE)


def cleared(event: gr.EventData) -> float:
    """Up to when, in seconds since 1970, somebody has cleared ended jobs away."""
    until = getattr(event, "cleared", None)
    return float(until) if isinstance(until, int | float) else 0.0


# --- What it tells -------------------------------------------------------------------------------


class Board:
    """What the tab shows of jobs. Keeps addresses of pictures and the last previews between two looks."""

    def __init__(self, engine: EngineFace, catalog: Catalog, own: OwnPictures) -> None:
        self._engine = engine
        self._catalog = catalog
        self._own = own
        self._linked: dict[str, Mapping[str, Any]] = {}
        self._previews: dict[str, tuple[int, str]] = {}

    def act(self, status: JobStatus, what: object, jobs: Sequence[JobStatus], owner: str) -> None:
        """Does what a button says; what cannot be done is a `RequestError`."""
        queued = waiting_with(status, in_order(jobs)[0])
        if what not in self._acts(status, ends_of(queued)):
            raise RequestError(
                Sentence(
                    "{what} does not go with a job that is {state}",
                    what=repr(what),
                    state=status.state,
                )
            )
        match what:
            case "pause":
                self._engine.pause(status.id)
            case "resume":
                self._engine.resume(status.id)
            case "cancel":
                self._engine.cancel(status.id)
            case "interrupt":
                self._engine.interrupt(status.id)
            case "skip":
                self._engine.skip(status.id)
            case "repeat":
                self._engine.repeat(status.id, owner)
            case "up" | "down" | "first":
                place = [job.id for job in queued].index(status.id)
                to = {"up": place - 1, "down": place + 1, "first": 0}[str(what)]
                for job, priority in moved(queued, status.id, to).items():
                    self._engine.prioritise(job, priority)

    def cancel_all(self, jobs: Iterable[JobStatus]) -> None:
        """Ends jobs, those that wait first: none of them is to begin because another one ends."""
        for job in sorted(jobs, key=lambda job: job.state != "queued"):
            self._engine.cancel(job.id)

    def told(
        self,
        jobs: Sequence[JobStatus],
        owner: str,
        known: tuple[Any, Any] = (None, None),
        cleared_s: float = 0.0,
    ) -> dict[str, Any] | None:
        """The tab's content for `owner`, without what had ended by `cleared_s`. `known` are the marks of what the
        browser has of the two lists: one that is still so is None; None where both are."""
        going, ended = in_order(jobs)
        ended = [job for job in ended if (job.ended_s or job.created_s) > cleared_s]
        ends = ends_of(going)
        fits = sum(job.state != "queued" for job in going) + QUEUED
        several = len({job.owner for job in jobs}) > 1
        begun = [job.id for job in going if job.state in ("running", "paused")][:PREVIEWS]
        self._previews = {job: kept for job, kept in self._previews.items() if job in begun}

        def row(job: JobStatus) -> dict[str, Any]:
            preview = self._preview(job) if job.id in begun else ""
            name = whose(job, owner) if several else ""
            row: dict[str, Any] = with_keys(
                {**self._row(job, ends), "preview": preview, "whose": name}
            )
            return row

        lists = ([row(job) for job in going[:fits]], [row(job) for job in ended[:ENDED]])
        marks = [mark(rows) for rows in lists]
        if tuple(marks) == known:
            return None
        new = [
            None if one == old else rows for rows, one, old in zip(lists, marks, known, strict=True)
        ]
        return {
            "sum": with_keys(summary(going)),
            "more": with_keys(Sentence("{number} more are waiting", number=len(going) - fits))
            if len(going) > fits
            else "",
            "mine": len(mine(going, owner)),
            "now": round(time.time(), 3),
            "marks": marks,
            "open": new[0],
            "ended": new[1],
        }

    def _row(self, job: JobStatus, ends: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
        request = job.request
        task = self._catalog.tasks.get(request.task)
        facts = [Sentence.named(task.label) if task else request.task, request.model]
        facts += [
            f"{request.width} × {request.height}",
            Sentence("{number} steps", number=request.steps),
        ]
        if request.batch_size > 1:
            facts.append(Sentence("{number} pictures", number=request.batch_size))
        line = "" if job.state == "failed" else status_line(job)
        return {
            "id": job.id,
            "task": request.task,
            "state": job.state,
            "label": LABELS[job.state],
            "prompt": " ".join(request.prompt[: PROMPT * 2].split())[:PROMPT],
            "facts": facts,
            "line": "" if line == LABELS[job.state] else line,
            "error": job.error or "" if job.state == "failed" else "",
            "progress": round(job.progress, 3),
            "created": job.created_s,
            "pictures": self._thumbnails(job),
            "number": len(job.pictures),
            "acts": self._acts(job, ends),
        }

    def _acts(self, job: JobStatus, ends: Mapping[str, tuple[str, str]]) -> list[str]:
        """What may be done with a job now; `ends` are the first and the last of each owner's that wait."""
        acts = []
        if not job.ended:
            acts += ["resume" if job.state == "paused" else "pause"]
            acts += ["interrupt", "skip"] if job.running and not job.interrupted else []
            acts += ["cancel"]
        if job.state == "queued":
            first, last = ends[job.owner]
            acts += ["up", "first"] if job.id != first else []
            acts += ["down"] if job.id != last else []
        known = job.request.task in self._catalog.tasks
        return acts + (["repeat", "open"] if known else [])

    def _thumbnails(self, job: JobStatus) -> list[str]:
        """Addresses of its first pictures, as far as they are still on disk."""
        found = []
        for picture in job.pictures[:THUMBNAILS]:
            links: Mapping[str, Any] | None = self._linked.get(str(picture.path))
            if links is None or not picture.path.is_file():
                links = self._own.links(job.id, picture)
            if links is not None:
                found.append(str(links["thumbnail"]))
                if links["id"] is not None:  # the gallery's own, which it keeps
                    self._linked[str(picture.path)] = links
        return found

    def _preview(self, job: JobStatus) -> str:
        version, shown = self._previews.get(job.id, (-1, ""))
        if version != job.version and job.step:
            picture = self._engine.preview(job.id)
            if picture is not None:
                small = picture.copy()
                small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR)
                shown = data_url(small)
            self._previews[job.id] = (job.version, shown)
        return shown


def summary(going: Sequence[JobStatus]) -> Sentence:
    """How many jobs run, wait and are paused, in words."""
    counts = Counter(job.state for job in going)
    running, paused, waiting = (counts[state] for state in ("running", "paused", "queued"))
    return SUMS[running > 0, paused > 0, waiting > 0].filled(
        running=running, paused=paused, waiting=waiting
    )


def mark(rows: Sequence[Mapping[str, Any]]) -> str:
    """Equal for equal rows."""
    return hashlib.blake2b(json.dumps(rows).encode("utf-8"), digest_size=12).hexdigest()
