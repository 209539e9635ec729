"""The routes of downloads: what could be fetched, what is, and how far it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request

from webui.errors import RequestError, Sentence
from webui.http.bodies import parsed
from webui.http.jobs import Forbidden
from webui.http.rights import Rights
from webui.http.views import Fault
from webui.sentences import with_keys
from webui.types.library import FOLDERS, Download, DownloadsFace, HubFile

__all__ = ["download_routes"]

LOOKING = 4  # who waits for the hub at once: it may take its time
CHANGING: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault} for status in (403, 409, 415, 422, 502, 503)
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["repo", "kind"],
                    "properties": {
                        "repo": {"type": "string"},
                        "kind": {"type": "string", "enum": list(FOLDERS)},
                        "path": {"type": "string"},
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadView:
    """A download. `state` is "waiting", "running", "verifying", "paused", "done" or "failed"; `done` and `size` are
    bytes, `speed` bytes a second; `target` is where it goes below the models folder; `problem` is why it failed,
    `problem_said` its key and values for a page in another language."""

    id: str
    repo: str
    kind: str
    target: str
    files: int
    state: str
    done: int
    size: int
    speed: float
    problem: str
    problem_said: Any


@dataclass(frozen=True, slots=True)
class DownloadList:
    """Everything that is fetched, was, or waits. `locked` is why nothing can be, "" where it can; `known` are
    well-known open models; `folder` is the models folder, `free` the bytes that its disk has free."""

    downloads: list[DownloadView]
    known: list[dict[str, Any]]
    locked: str
    folder: str
    free: int


@dataclass(frozen=True, slots=True)
class RepositoryFile:
    """A file that can be fetched; `checked`: the hub tells its SHA-256."""

    path: str
    size: int
    checked: bool


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository offers: files one by one, and a whole diffusers folder of `folder_size` bytes (0: it is none).
    `refused` counts pickled files, which are never fetched."""

    repo: str
    files: list[RepositoryFile]
    folder_size: int
    refused: int


def download_routes(downloads: DownloadsFace, rights: Rights) -> APIRouter:
    routes = APIRouter(prefix="/api/downloads", tags=["models"])
    looking = CapacityLimiter(LOOKING)

    def allow(request: Request) -> None:
        if downloads.locked:
            raise Forbidden(downloads.locked)
        rights.demand(request)

    @routes.get("")
    def every_download(request: Request) -> DownloadList:
        """What is fetched, how far it is, and which models are well known."""
        place = downloads.folder
        while not place.exists() and place != place.parent:
            place = place.parent
        locked = downloads.locked or rights.locked(request)
        return DownloadList(
            [_view(one) for one in downloads.all()],
            [dict(one) for one in downloads.known()],
            locked,
            "" if rights.locked(request) else str(downloads.folder),
            shutil.disk_usage(place).free,
        )

    @routes.get("/repository", responses=CHANGING)
    async def repository(
        request: Request, repo: Annotated[str, Query(max_length=300, description="owner/name")]
    ) -> Repository:
        """Asks the hub what a repository offers."""
        allow(request)
        found = await to_thread.run_sync(downloads.look, repo, limiter=looking)
        return Repository(
            found.repo,
            [_file(one) for one in found.files],
            sum(one.size for one in found.folder),
            found.refused,
        )

    @routes.post("", status_code=201, responses=CHANGING, openapi_extra=BODY)
    async def add(request: Request) -> DownloadView:
        """Fetches a file of a repository; without `path` all of a diffusers folder."""
        values = await parsed(request)
        allow(request)
        asked = [values.get(name, "") for name in ("repo", "kind", "path")]
        if not all(isinstance(one, str) and len(one) <= 1000 for one in asked):
            raise RequestError(Sentence("repo, kind, path: give texts"), "repo")
        return _view(await to_thread.run_sync(downloads.add, *asked))

    @routes.post("/{download}/pause", responses=CHANGING)
    def pause(request: Request, download: str) -> DownloadView:
        """Holds a download; what came is kept."""
        rights.demand(request)
        return _view(downloads.pause(download))

    @routes.post("/{download}/resume", responses=CHANGING)
    def resume(request: Request, download: str) -> DownloadView:
        """Lets a paused or failed download go on where it stands."""
        allow(request)
        return _view(downloads.resume(download))

    @routes.delete("/{download}", responses=CHANGING)
    def remove(request: Request, download: str) -> dict[str, bool]:
        """Takes a download off the list; what is not whole is deleted, a file that is there stays."""
        rights.demand(request)
        downloads.remove(download)
        return {"removed": True}

    return routes


def _file(file: HubFile) -> RepositoryFile:
    return RepositoryFile(file.path, file.size, bool(file.sha256))


def _view(one: Download) -> DownloadView:
    return DownloadView(
        id=one.id,
        repo=one.repo,
        kind=one.kind,
        target=one.target,
        files=len(one.files),
        state=one.state,
        done=one.done,
        size=one.size,
        speed=one.speed,
        problem=one.problem,
        problem_said=with_keys(one.problem),
    )
