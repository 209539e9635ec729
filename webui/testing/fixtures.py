"""The fixtures that pytest finds: a models folder with a tiny random model, and engines on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from webui.testing.bench import Bench, open_bench
from webui.testing.models import tiny_models

__all__ = ["easel_engine", "easel_model"]


@pytest.fixture(scope="session")
def easel_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A models folder with one tiny random model in it, `tiny`."""
    yield tiny_models(tmp_path_factory.mktemp("easel-models"))
    limit = time.monotonic() + 2  # for all of them: one that hangs would take its two seconds, too
    for thread in threading.enumerate():  # a thread that frees tensors while Python ends aborts it
        if thread.name.startswith("easel-"):
            thread.join(max(0.0, limit - time.monotonic()))


@pytest.fixture
def easel_engine(easel_model: Path, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """`easel_engine(source, ...)` starts an engine with the extensions at these folders or files.

    Keywords are `EngineOptions`, and `models_dirs` for further folders of models. They stop with the test.
    """
    benches: list[Bench] = []

    def start(*sources: Path | str, models_dirs: tuple[Path, ...] = (), **options: Any) -> Bench:
        paths = [Path(source) for source in sources]
        data_dir = tmp_path / f"easel-{len(benches)}"
        data_dir.mkdir()
        bench = open_bench(paths, data_dir, (easel_model, *models_dirs), **options)
        benches.append(bench)
        return bench

    yield start
    for bench in benches:
        bench.close()
