"""What happens here in numbers, in the format of Prometheus. Counts what it is told, and looks at jobs when asked.

A registry of its own, so that two of them in one process do not meet.
"""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from webui import __version__
from webui.types import EngineFace, GenerationRequest, JobState, SavedPicture

__all__ = ["Metrics"]

SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 2, 4, 6, 8, 10, 12, 14, 16)


class Metrics:
    """Every method may be called from any thread."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, processor time, open files; on Linux
        self._jobs = Gauge("easel_jobs", "Jobs that are remembered", ["state"], registry=registry)
        self._pictures = Counter(
            "easel_pictures", "Pictures saved since the start", ["model", "task"], registry=registry
        )
        self._seconds = Histogram(
            "easel_call_seconds",
            "Seconds of a UNet call: a step of every picture in it",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._rows = Histogram(
            "easel_call_rows",
            "Rows of a UNet call: with guidance two for each picture",
            ["model"],
            buckets=ROWS,
            registry=registry,
        )
        self.listeners = Gauge(
            "easel_event_streams", "Clients that listen to a job's events", registry=registry
        )
        self._info = Gauge(
            "easel_info", "Always 1", ["version", "device", "dtype"], registry=registry
        )

    def saved(self, picture: SavedPicture, request: GenerationRequest) -> None:
        """A picture is on disk."""
        self._pictures.labels(request.model, request.task).inc()

    def called(self, model: str, rows: int, seconds: float) -> None:
        """A UNet call was made."""
        self._seconds.labels(model).observe(seconds)
        self._rows.labels(model).observe(rows)

    def text(self, engine: EngineFace, accept: str) -> tuple[bytes, str]:
        """All numbers now, and their media type: one that the `Accept` header takes."""
        states = [status.state for status in engine.jobs()]
        for state in get_args(JobState):
            self._jobs.labels(state).set(states.count(state))
        said = engine.describe()
        self._info.clear()
        self._info.labels(
            __version__, *(said[key].split(" (")[0] for key in ("device", "dtype"))
        ).set(1)
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type
