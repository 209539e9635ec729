"""The route of the page's foot: what the engine runs on, how much waits, and which versions these are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request

from webui.registry import Catalog
from webui.types import EngineFace

__all__ = ["state_routes"]


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model by its name; `hash` is its file's SHA-256, "" while nobody knows it."""

    name: str
    family: str
    hash: str


@dataclass(frozen=True, slots=True)
class StudioState:
    """What the studio is doing. While the engine starts, `device`, `dtype` and `attention` all say what it waits for;
    later each is a word with its reason in brackets. `running` and `waiting` count the jobs that the visitor may see;
    `versions` are by the names of what they are of."""

    device: str
    dtype: str
    attention: str
    running: int
    waiting: int
    versions: Mapping[str, str]
    model: ModelView | None = None


def state_routes(engine: EngineFace, catalog: Catalog, versions: Mapping[str, str]) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["server"])

    @routes.get("/state")
    def state(
        request: Request,
        model: Annotated[str, Query(description="a model to tell of, too")] = "",
    ) -> StudioState:
        """What the engine runs on, what it works on, and the versions."""
        card = catalog.models().get(model) if model else None
        said = engine.describe()
        jobs = [job.state for job in engine.jobs() if request.state.visitor.sees(job)]
        return StudioState(
            said["device"],
            said["dtype"],
            said["attention"],
            jobs.count("running"),
            sum(state in ("queued", "paused") for state in jobs),
            dict(versions),
            None if card is None else ModelView(card.name, card.family, card.sha256),
        )

    return routes
