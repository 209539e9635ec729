"""Everything that serves jobs over HTTP, as `webui.app` puts it together, on tiny random networks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.ui.painter import shelf
from webui import images
from webui.catalog.checkpoints import ModelList, list_models
from webui.catalog.library import Library
from webui.engine.engine import Engine, EngineOptions
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.http import Gate, Metrics, face, secret_in
from webui.registry import Catalog, Registry
from webui.settings import Settings
from webui.store.downloads import Downloads
from webui.store.gallery import Gallery
from webui.store.jobs import JobStore
from webui.store.models import ModelIndex
from webui.store.thumbnails import Thumbnails
from webui.types import Finished, GenerationRequest, Parts, SavedPicture, Task
from webui.types.persistence import JobPersistence
from webui.ui import Page, launch_page

SMALL = {"task": "txt2img", "model": "tiny", "width": 64, "height": 64, "steps": 2, "seed": 1}
LONG = {**SMALL, "steps": 150, "batch_size": 8, "cfg_scale": 4}


@dataclass
class House:
    """A running server. `app` is our own part of it, `key` what its cookies are signed with."""

    engine: Engine
    page: Page
    folder: Path
    app: Any
    catalog: Catalog
    key: bytes
    gallery: Gallery

    @property
    def url(self) -> str:
        return self.page.url.rstrip("/")

    def submit(self, http: httpx.Client, **values: Any) -> str:
        answer = http.post("/api/jobs", json={**SMALL, **values})
        assert answer.status_code == 201, answer.text
        job: str = answer.json()["id"]
        return job

    def until(
        self, http: httpx.Client, job: str, met: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """The job as the API tells it, once `met` says so."""
        limit = time.monotonic() + 60
        while True:
            told: dict[str, Any] = http.get(f"/api/jobs/{job}").json()
            if met(told):
                return told
            assert time.monotonic() < limit, told
            time.sleep(0.01)

    def end(self, http: httpx.Client, job: str) -> dict[str, Any]:
        ends = ("done", "failed", "cancelled")
        return self.until(http, job, lambda told: told["state"] in ends)


@contextmanager
def house(
    folder: Path,
    models_dir: Path,
    *,
    logins: tuple[tuple[str, str], ...] = (),
    tasks: tuple[Task, ...] = (),
    persistence: Callable[[JobPersistence], JobPersistence] = lambda store: store,
    change: Callable[[GenerationRequest], GenerationRequest] = lambda request: request,
) -> Iterator[House]:
    """`tasks` replace those of their names; `persistence` and `change` stand in for the engine's own."""
    small = {"width": 64, "height": 64, "steps": 2}
    settings = Settings.at(folder, port=0, models_dirs=(models_dir,), defaults=small)
    all_tasks = {**TASKS, **{task.name: task for task in tasks}}
    catalog = Catalog(
        tasks=Registry("task", all_tasks.items(), lambda task: (task.label,)),
        samplers=Registry("sampler_name", SAMPLERS.items(), lambda sampler: sampler.aliases),
        schedules=Registry("scheduler", SCHEDULES.items(), lambda s: (s.label, *s.aliases)),
        list_models=partial(list_models, settings.models_dirs),
        upscalers=Registry("upscaler", UPSCALERS.items(), lambda u: (u.label, *u.aliases)),
    )
    metrics = Metrics()
    store = JobStore(folder / "data")
    gallery = Gallery(
        folder / "data",
        settings.outputs_dir,
        images.thumbnail,
        logins=[name for name, _ in logins],
        whose=store.whose,
    )

    def save(finished: Finished) -> SavedPicture:
        reserve = partial(store.reserve, finished.job, finished.index, seed=finished.seed)
        saved = images.save(finished, settings.outputs_dir, None, reserve)
        _, owner = store.whose(saved.path) or ("", "")
        gallery.add(saved, finished.request.task, owner, finished.job)
        return saved

    engine = Engine(
        catalog.list_models,
        Parts(tasks=all_tasks, samplers=SAMPLERS, schedules=SCHEDULES, upscalers=UPSCALERS),
        save=save,
        options=EngineOptions(device="cpu", dtype="float32"),
        change=change,
        saved=metrics.saved,
        persistence=persistence(store),
    )
    key = secret_in(folder / "data")
    names = [name for name, _ in logins]
    index = ModelIndex(folder / "data")
    library = Library(settings.models_dirs, ModelList(settings.models_dirs, index), index)
    downloads = Downloads(folder / "models", folder / "data", offline=True)
    app = face(
        engine,
        catalog,
        settings,
        metrics,
        gallery,
        logins=names,
        library=library,
        previews=Thumbnails(folder / "previews", images.thumbnail).of,
        downloads=downloads,
        extensions=shelf(),
    )
    gate = partial(Gate, face=app, logins=logins, key=key)
    engine.start()
    page = launch_page(
        engine, catalog, settings, gallery=gallery, quiet=True, logins=logins, gate=gate
    )
    try:
        yield House(engine, page, folder, app, catalog, key, gallery)
    finally:
        engine.stop()
        page.close()
        gallery.close()
        downloads.close()
        index.close()
        store.close()


@dataclass(frozen=True)
class Told:
    """A server-sent event as a client reads it."""

    kind: str
    data: dict[str, Any]
    number: int | None


def told_by(lines: Iterator[str]) -> Iterator[Told]:
    """The events of a stream, by the rules of the HTML standard that are used."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        elif "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Told(fields["event"], json.loads(fields["data"]), number)
            fields = {}
        else:
            fields = {}
