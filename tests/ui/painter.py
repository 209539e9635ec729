"""An engine for tests of page and API: keeps `EngineFace`, but paints flat colours without torch.

Each job is a thread that waits `step_s` per step; its pictures are real PNG files with infotext, written by
`webui.images.save`. The colour follows from the seed, so that a test can tell pictures apart.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from webui import images
from webui.errors import EaselError, RequestError
from webui.http import Gate, Metrics, face
from webui.preferences import Preferences
from webui.registry import Catalog, Registry
from webui.settings import STORE, Settings
from webui.store.gallery import Gallery
from webui.types import (
    COMMON,
    PROMPTS,
    Animation,
    Choice,
    Event,
    EventKind,
    ExtensionsFace,
    ExtensionStatus,
    Finished,
    GenerationRequest,
    Group,
    JobStatus,
    Mask,
    Model,
    ModelCard,
    Number,
    Picture,
    RunningPicture,
    SavedPicture,
    Seed,
    SubmissionKey,
    Switch,
    Task,
    Text,
)
from webui.ui import Page, launch_page

CARDS = (
    ModelCard(
        name="flat",
        path=Path("flat"),
        family="SD 1.x",
        side=512,
        defaults={"width": 128, "height": 128, "steps": 4, "cfg_scale": 5.0},
        prompts=("a red circle", "a blue square"),
    ),
    ModelCard(
        name="wide",
        path=Path("wide"),
        side=512,
        defaults={"width": 192, "height": 128, "steps": 6},
    ),
    ModelCard(name="broken", path=Path("broken"), problem="broken/unet: the weights are missing"),
)

# A task as an extension makes it: an extra of every kind, most in a folded group.
POSTER = Task(
    "poster",
    "Poster",
    lambda request, studio: iter(()),  # type: ignore[arg-type,return-value]
    (
        *PROMPTS,
        *COMMON,
        Group(
            "Print",
            (
                Number(name="border", label="Border", minimum=0, maximum=9, default=2, whole=True),
                Number(name="tilt", label="Tilt", minimum=-1, maximum=1, step=0.1),
                Choice(
                    name="paper",
                    label="Paper",
                    choices=(("Plain", 0), ("Rice paper", 1), ("Folded", (2, ("a", 0.5)))),
                    default=0,
                ),
                Choice(
                    name="enlarged_by", label="Enlarge by", source="upscalers", default="Lanczos"
                ),
                Switch(name="frame", label="Frame", default=False),
                Text(name="caption", label="Caption", default=""),
                Seed(name="grain", label="Grain", default=-1),
                Picture(name="pattern", label="Pattern"),
                Mask(name="stencil", label="Stencil", over="pattern"),
                Text(name="secret", label="Secret", default="", hidden=True),
            ),
        ),
        Number(name="frames", label="Frames", minimum=1, maximum=9, default=1, whole=True),
    ),
)


class Shelf:
    """An `ExtensionsFace` whose statuses a test sets; what is switched off stays so."""

    def __init__(self, *statuses: ExtensionStatus) -> None:
        self.found = {status.name: status for status in statuses}

    def statuses(self) -> Sequence[ExtensionStatus]:
        return list(self.found.values())

    def switch(self, name: str, on: bool) -> ExtensionStatus:
        if name not in self.found:
            raise RequestError(f"extension {name!r} is not known")
        self.found[name] = replace(self.found[name], state="on" if on else "off")
        return self.found[name]


def shelf() -> Shelf:
    """Two extensions that are well."""
    hooks = ("register_postprocessors", "image_saved")
    return Shelf(
        ExtensionStatus(
            "film_grain",
            "extensions/film_grain.py",
            True,
            "on",
            "1.0",
            "Grain",
            hooks,
            title="Film grain",
        ),
        ExtensionStatus("mine", "/home/me/mine", False, "on", hooks_s=0.25, import_s=0.0121),
    )


def colour(seed: int) -> tuple[int, int, int]:
    return (seed * 37 % 200 + 40, seed * 91 % 200 + 40, seed * 53 % 200 + 40)


class FlatPainter:
    """An `EngineFace`. `step_s` is how long a step takes; `hold` clears to make every job wait after a step;
    `at_once` jobs run beside each other, the others wait their turn by priority."""

    def __init__(self, outputs_dir: Path, step_s: float = 0.01) -> None:
        self.outputs_dir = outputs_dir
        self.step_s = step_s
        self.hold = threading.Event()
        self.hold.set()
        self.at_once = 100
        self.gallery: Gallery | None = None  # what hears of each picture
        self.submitted: list[GenerationRequest] = []
        self._jobs: dict[str, JobStatus] = {}
        self._events: dict[str, list[Event]] = {}
        self._keys: dict[str, str] = {}
        self._cancelled: set[str] = set()
        self._paused: set[str] = set()
        self._interrupted: set[str] = set()
        self._changed = threading.Condition(threading.RLock())
        self._wakes: list[Callable[[], None]] = []

    def submit(
        self,
        request: GenerationRequest,
        owner: str = "",
        priority: int = 0,
        key: SubmissionKey | None = None,
    ) -> str:
        job = uuid.uuid4().hex
        with self._changed:
            if key is not None and self._keys.setdefault(key, job) != job:
                return self._keys[key]
            self.submitted.append(request)
            self._jobs[job] = JobStatus(
                job, "queued", 0, request, owner=owner, priority=priority, created_s=time.time()
            )
            self._events[job] = [Event(1, "queued", {})]
        threading.Thread(target=self._paint, args=(job, request), daemon=True).start()
        return job

    def repeat(self, job_id: str, owner: str = "", changes: Mapping[str, Any] | None = None) -> str:
        return self.submit(replace(self.request(job_id), **(changes or {})), owner)

    def request(self, job_id: str) -> GenerationRequest:
        request = self.status(job_id).request
        if request.task in ("img2img", "inpaint") and request.image is None:
            raise EaselError(f"job {job_id}: its pictures are gone; give them again in its tab")
        return request

    def _set(self, job: str, kind: EventKind, **values: Any) -> None:
        with self._changed:
            status = self._jobs[job]
            if values.get("state") == "running" and job in self._paused:
                values["state"] = "paused"
            changed = replace(status, version=status.version + 1, **values)
            if changed.ended:
                changed = replace(changed, request=changed.request.without_pictures())
            self._jobs[job] = changed
            told = {k: v for k, v in values.items() if k in ("step", "steps", "progress", "error")}
            self._events[job].append(Event(len(self._events[job]) + 1, kind, told))
            self._changed.notify_all()
        self.wake()

    def wake(self) -> None:
        """Tells everybody who watches a job that one may have changed."""
        for wake in [*self._wakes]:
            wake()

    def _waiting(self) -> list[JobStatus]:
        """The queued jobs in the order they start."""
        queued = [status for status in self._jobs.values() if status.state == "queued"]
        return sorted(queued, key=lambda status: -status.priority)

    def _may_go_on(self, job: str) -> bool:
        """Waits while a job is paused, or it is not its turn to start; False when it is cancelled."""

        def its_turn() -> bool:
            if job in self._cancelled:
                return True
            status = self._jobs[job]
            if status.state != "queued":
                return job not in self._paused
            running = sum(other.state == "running" for other in self._jobs.values())
            return running < self.at_once and self._waiting()[0].id == job

        with self._changed:
            self._changed.wait_for(its_turn)
            if job in self._cancelled:
                self._set(job, "cancelled", state="cancelled")
                return False
            if self._jobs[job].state == "queued":
                self._set(job, "started", state="running")
        return True

    def _paint(self, job: str, request: GenerationRequest) -> None:
        began, pictures = time.monotonic(), []
        if "fail" in request.prompt.split():
            self._set(job, "failed", state="failed", error="the paint <b>dried</b> up")
            return
        for index in range(request.batch_size):
            if job in self._interrupted:
                break
            for step in range(1, request.steps + 1):
                if not self._may_go_on(job):
                    return
                if job in self._interrupted or index in self._jobs[job].skipped:
                    break
                time.sleep(self.step_s)
                done = (index + step / request.steps) / request.batch_size
                self._set(
                    job,
                    "step",
                    state="running",
                    step=step,
                    steps=request.steps,
                    progress=done,
                    eta_s=1.0,
                    running=(RunningPicture(index, step, request.steps, step / request.steps),),
                    made=index,
                )
                while not self.hold.wait(0.01) and not self._over(job, index):
                    pass
            if index in self._jobs[job].skipped:
                continue
            pictures.append(self._save(job, request, index, time.monotonic() - began))
            seconds = time.monotonic() - began
            self._set(job, "saved", pictures=tuple(pictures), seconds=seconds)
        if self._may_go_on(job):
            made = len(pictures)
            end: Any = "done" if pictures else "cancelled"
            self._set(job, end, state=end, progress=1.0, running=(), made=made)

    def _over(self, job: str, index: int) -> bool:
        """Whether a picture is no longer to be held."""
        ended = job in self._cancelled or job in self._interrupted
        return ended or index in self._jobs[job].skipped

    def _save(
        self, job: str, request: GenerationRequest, index: int, seconds: float
    ) -> SavedPicture:
        seed = request.seed_of(index)
        picture = Image.new("RGB", (request.width, request.height), colour(seed))
        if request.mask is not None and request.image is not None:  # flat paint where the mask is
            mask = request.mask.resize(picture.size)
            picture = Image.composite(picture, request.image.resize(picture.size), mask)
        model = Model(request.model, 4, False, (0.1, 10.0), hash="0123456789")
        made: Image.Image | Animation = picture
        if request.extras.get("frames", 1) > 1:
            size = picture.size
            frames = (
                Image.new("RGB", size, colour(seed + i)) for i in range(request.extras["frames"])
            )
            made = Animation(tuple(frames), frame_ms=200)
        notes = {"Border": request.extras["border"]} if "border" in request.extras else {}
        warned = ("Told: once, and", "no more") if "warn" in request.prompt.split() else ()
        finished = Finished(
            *(job, request, index, seed, made, model, "karras", seconds),
            notes=notes,
            warnings=warned,
        )
        saved = images.save(finished, self.outputs_dir)
        if self.gallery is not None:
            self.gallery.add(saved, request.task, self._jobs[job].owner, job)
        return saved

    @property
    def last_job(self) -> str:
        return list(self._jobs)[-1]

    def status(self, job_id: str) -> JobStatus:
        with self._changed:
            try:
                status = self._jobs[job_id]
            except (KeyError, TypeError):
                raise RequestError(f"job {job_id!r} is not known") from None
            place = 1 + self._waiting().index(status) if status.state == "queued" else 0
            return replace(status, position=place)

    def events(self, job_id: str, after: int = 0) -> Sequence[Event]:
        self.status(job_id)
        return [event for event in self._events[job_id] if event.number > after]

    def jobs(self) -> Sequence[JobStatus]:
        with self._changed:
            return [self.status(job) for job in self._jobs]

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        with self._changed:
            self._changed.wait_for(lambda: self.status(job_id).version > after, timeout_s)
        return self.status(job_id)

    @contextmanager
    def watch(self, job_id: str, wake: Callable[[], None]) -> Iterator[None]:
        self.status(job_id)
        self._wakes.append(wake)
        try:
            yield
        finally:
            self._wakes.remove(wake)

    def cancel(self, job_id: str) -> None:
        self.status(job_id)
        with self._changed:
            self._cancelled.add(job_id)
            self._changed.notify_all()

    def interrupt(self, job_id: str) -> None:
        with self._changed:
            if not self.status(job_id).ended:
                self._interrupted.add(job_id)
                self._paused.discard(job_id)
                self._set(job_id, "interrupted", interrupted=True)

    def skip(self, job_id: str, picture: int | None = None) -> int | None:
        with self._changed:
            status = self.status(job_id)
            places = [one.index for one in status.running] or [0]
            place = places[0] if picture is None else picture
            if status.ended or place < status.made:
                return None
            skipped = tuple(sorted({*status.skipped, place}))
            self._set(job_id, "skipped", skipped=skipped)
            return place

    def pause(self, job_id: str) -> None:
        with self._changed:
            if self.status(job_id).state in ("queued", "running"):
                self._paused.add(job_id)
                self._set(job_id, "paused", state="paused")

    def resume(self, job_id: str) -> None:
        with self._changed:
            status = self.status(job_id)
            if status.state == "paused":
                self._paused.discard(job_id)
                self._set(job_id, "resumed", state="running" if status.step else "queued")

    def prioritise(self, job_id: str, priority: int) -> None:
        self.status(job_id)
        self._set(job_id, "position", priority=priority)

    def preview(self, job_id: str, picture: int | None = None) -> Image.Image | None:
        request = self.status(job_id).request
        seed = request.seed_of(picture or 0)
        return Image.new("RGB", (request.width, request.height), colour(seed))

    def count_tokens(self, model: str, text: str) -> int:
        return len(text.split())

    def models(self) -> Sequence[ModelCard]:
        return CARDS

    def describe(self) -> Mapping[str, str]:
        return {"device": "cpu", "dtype": "float32", "attention": "sdpa"}


def until(true: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Waits for something that other threads do; fails by name when it does not happen."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"still waiting: {what}"
        time.sleep(0.01)


def catalog(*more: Task) -> Catalog:
    """The real tasks, samplers and schedules, with the painter's models; `more` replace those of
    their names."""
    from webui.engine.samplers import SAMPLERS
    from webui.engine.schedules import SCHEDULES
    from webui.engine.tasks import TASKS
    from webui.engine.upscalers import UPSCALERS

    tasks = {**TASKS, **{task.name: task for task in more}}
    return Catalog(
        tasks=Registry("task", tasks.items(), lambda task: (task.label,)),
        samplers=Registry("sampler_name", SAMPLERS.items(), lambda sampler: sampler.aliases),
        schedules=Registry("scheduler", SCHEDULES.items(), lambda s: (s.label, *s.aliases)),
        list_models=lambda: CARDS,
        upscalers=Registry("upscaler", UPSCALERS.items(), lambda u: (u.label, *u.aliases)),
    )


@contextmanager
def serving(
    folder: Path, *more: Task, extensions: ExtensionsFace | None = None, host: str = "127.0.0.1"
) -> Iterator[tuple[FlatPainter, Page]]:
    """A painter and its page on a free port; pictures go to `folder`/outputs. `more` are further tasks."""
    preferences = Preferences(Settings.at(folder, port=0, host=host, fixed=frozenset({"port"})))
    settings = preferences.settings
    painter = FlatPainter(settings.outputs_dir)
    gallery = Gallery(folder / STORE, settings.outputs_dir, images.thumbnail)
    painter.gallery = gallery
    listed = catalog(*more)
    app = face(painter, listed, settings, Metrics(), gallery, preferences=preferences)
    page = launch_page(
        painter,
        listed,
        settings,
        extensions,
        gallery=gallery,
        quiet=True,
        gate=partial(Gate, face=app, logins=(), key=b"k" * 32),
    )
    gallery.watch()
    try:
        yield painter, page
    finally:
        page.close()
        gallery.close()
