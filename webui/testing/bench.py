"""A real engine on a tiny random model, with the extensions that a test names: requests in, pictures out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from webui import images
from webui.catalog.checkpoints import list_models
from webui.catalog.model_folders import AdapterFiles
from webui.defaults import check, complete
from webui.engine.engine import Engine, EngineOptions
from webui.plugins import Extensions
from webui.registry import Catalog
from webui.settings import Settings
from webui.testing.checking import catalog_of
from webui.testing.loading import load_extensions
from webui.types import Animation, File, Finished, GenerationRequest, JobStatus, SavedPicture

__all__ = ["Bench", "open_bench"]

LIMIT_S = 60.0  # a job of a tiny model takes well under a second


@dataclass(slots=True, eq=False)
class Bench:
    """An engine that runs, and what it needs. Pictures are saved to disk, and `finished` keeps them."""

    engine: Engine
    catalog: Catalog
    settings: Settings
    extensions: Extensions
    finished: list[Finished] = field(default_factory=list)

    def request(self, task: str = "txt2img", **values: Any) -> GenerationRequest:
        """A request as page and API make it: `values` are fields, `extras` the values of extensions' controls.

        Small unless told otherwise: 64 x 64, 3 steps. Raises `RequestError` for what is refused.
        """
        small = {"prompt": "a red cat", "seed": 1, "steps": 3, "width": 64, "height": 64}
        return complete(task, {**small, **values}, self.catalog, self.settings)

    def picture(self, task: str = "txt2img", **values: Any) -> Image.Image:
        """The picture of a request (of an animation the first frame). A job that fails is an `AssertionError`,
        and so is a post-processor that does."""
        return self.frames(task, **values)[0]

    def frames(self, task: str = "txt2img", **values: Any) -> Sequence[Image.Image]:
        """The frames of an animation, or the one picture."""
        from webui.engine.postprocessing import FAILED

        status = self.run(self.request(task, **values))
        if status.state != "done":
            raise AssertionError(f"the job {status.state}: {status.error}")
        finished = next(one for one in self.finished if one.job == status.id)
        if any(told.startswith(FAILED) for told in finished.warnings):
            raise AssertionError("; ".join(finished.warnings))
        made = finished.picture
        if isinstance(made, File):
            raise AssertionError(f"the task made a file ({made.suffix}), no picture")
        return made.frames if isinstance(made, Animation) else (made,)

    def run(self, request: GenerationRequest) -> JobStatus:
        """The state of a job when it has ended, however it did."""
        return self.end(self.engine.submit(request))

    def end(self, job: str) -> JobStatus:
        """The state of a job that was submitted, once it has ended."""
        limit = time.monotonic() + LIMIT_S
        status = self.engine.status(job)
        while not status.ended:
            if time.monotonic() > limit:
                raise AssertionError(f"the job does not end: {status}")
            status = self.engine.wait(job, status.version, 1)
        return status

    def close(self) -> None:
        self.engine.stop()
        self.extensions.stop()


def open_bench(
    sources: Sequence[Path], data_dir: Path, models_dirs: Sequence[Path], **options: Any
) -> Bench:
    """Starts an engine with the extensions at `sources`; `close` it. `options` are `EngineOptions`."""
    settings = Settings.at(data_dir, models_dirs=tuple(models_dirs), device="cpu", dtype="float32")
    extensions = load_extensions(sources, data_dir, models_dirs)
    catalog = catalog_of(extensions.parts, list_models(models_dirs))
    finished: list[Finished] = []

    def save(picture: Finished) -> SavedPicture:
        finished.append(picture)
        return images.save(picture, settings.outputs_dir)

    def change(request: GenerationRequest) -> GenerationRequest:
        return extensions.change(request, lambda changed: check(changed, catalog))

    engine = Engine(
        partial(list_models, models_dirs),
        extensions.parts,
        save,
        EngineOptions(**{"device": "cpu", "dtype": "float32", **options}),
        change=change,
        saved=extensions.saved,
        adapter_files=AdapterFiles(models_dirs),
    )
    extensions.start()
    engine.start()
    return Bench(engine, catalog, settings, extensions, finished)
