"""A models folder of tiny random networks, and engines on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.engine.engine import Engine, EngineOptions
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.types import Finished, GenerationRequest, JobStatus, Parts, SavedPicture


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` (4-channel UNet, eps) and `tiny-inpainting` (9-channel, v)."""
    root = tmp_path_factory.mktemp("models")
    tiny_folder(root / "Stable-diffusion" / "tiny")
    tiny_folder(
        root / "Stable-diffusion" / "tiny-inpainting", inpainting=True, prediction="v_prediction"
    )
    return root


@dataclass
class Bench:
    """An engine whose finished pictures are kept in memory."""

    engine: Engine
    finished: list[Finished] = field(default_factory=list)

    def pictures(self, job_id: str) -> list[bytes]:
        mine = sorted((f for f in self.finished if f.job == job_id), key=lambda f: f.index)
        return [f.picture.tobytes() for f in mine]

    def end(self, job_id: str, timeout_s: float = 60) -> JobStatus:
        """The status once the job has ended."""
        return self.until(job_id, lambda status: status.ended, timeout_s)

    def until(
        self, job_id: str, met: Callable[[JobStatus], bool], timeout_s: float = 60
    ) -> JobStatus:
        limit = time.monotonic() + timeout_s
        status = self.engine.status(job_id)
        while not met(status):
            assert time.monotonic() < limit, status
            status = self.engine.wait(job_id, status.version, 1)
        return status


@pytest.fixture
def start(models_dir: Path) -> Iterator[Callable[..., Bench]]:
    """Starts engines, in fp32 unless told otherwise, and stops them after the test.

    Keywords are fields of `Parts` (`samplers=`, `conditioners=` ...), of `EngineOptions`, or the engine's own
    (`change`, `saved`, `persistence`, `version`). With `begun=False` the test starts it.
    """
    benches: list[Bench] = []

    def make(begun: bool = True, **given) -> Bench:
        known = {f.name for f in fields(Parts)}
        built_in = {
            "tasks": TASKS,
            "samplers": SAMPLERS,
            "schedules": SCHEDULES,
            "upscalers": UPSCALERS,
        }
        parts = Parts(**{**built_in, **{k: given.pop(k) for k in known & given.keys()}})
        hooks = {
            k: given.pop(k)
            for k in (
                "change",
                "saved",
                "persistence",
                "version",
                "called",
                "hung",
                "adapter_files",
                "max_chunks",
            )
            if k in given
        }

        def save(finished: Finished) -> SavedPicture:
            bench.finished.append(finished)
            first = getattr(finished.picture, "frames", [finished.picture])[0]
            size = getattr(first, "size", (0, 0))
            return SavedPicture(models_dir / "unused.png", finished.seed, *size, "")

        engine = Engine(
            lambda: list_models([models_dir]),
            parts,
            save,
            EngineOptions(**{"device": "cpu", "dtype": "float32", **given}),
            **hooks,
        )
        bench = Bench(engine)
        benches.append(bench)
        if begun:
            engine.start()
        return bench

    yield make
    for bench in benches:
        bench.engine.stop()


def request(**values) -> GenerationRequest:
    """A small request; override what the test is about."""
    small = {
        "task": "txt2img",
        "model": "tiny",
        "sampler_name": "Euler",
        "seed": 1,
        "steps": 4,
        "cfg_scale": 4.0,
        "width": 64,
        "height": 64,
        "prompt": "a cat",
    }
    return GenerationRequest(**{**small, **values})
