"""Jobs as JSON: what of a status is told, under the names that the API keeps."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from webui.metadata import MEDIA_TYPE, parse
from webui.types import NAMED_OPTIONS, GenerationRequest, JobState, JobStatus, SavedPicture

__all__ = [
    "Fault",
    "Image",
    "Job",
    "JobDetail",
    "JobList",
    "Submitted",
    "detail",
    "media_type_of",
    "picture_at",
    "view",
]

PICTURES = ("image", "mask")
UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something is refused: one sentence, and the field that it is about."""

    error: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that was made, or the one that an earlier request with the same `Idempotency-Key` made."""

    id: str


@dataclass(frozen=True, slots=True)
class Image:
    """A finished picture, or a file of another kind, whose width and height are 0. `number` is its place in the job,
    from 0; `parameters` its settings as text; `notes` the sentences that say what was not done as it was asked for;
    `media_type` what the file is."""

    number: int
    url: str
    seed: int
    width: int
    height: int
    parameters: str
    notes: list[str]
    media_type: str


@dataclass(frozen=True, slots=True)
class Running:
    """A picture that is being made. `number` is its place in the job, from 0; `progress` goes from 0 to 1."""

    number: int
    step: int
    steps: int
    progress: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job at one moment. `position` is its place in the queue from 1, and 0 when it does not wait; `step` of `steps`
    is that of the first picture that is being made, `running` are all of these, and `made` counts the finished ones;
    `progress` is over all pictures, from 0 to 1. `skipped` are the numbers of those that are given up, `interrupted`
    says that it ends with what there is. `eta` are the seconds that are left, null while that is not known;
    `seconds` those since its first step. `created` and `ended` are seconds since 1970."""

    id: str
    state: JobState
    task: str
    model: str
    prompt: str
    width: int
    height: int
    batch_size: int
    step: int
    steps: int
    progress: float
    running: list[Running]
    made: int
    skipped: list[int]
    interrupted: bool
    position: int
    priority: int
    eta: float | None
    seconds: float
    created: float
    ended: float | None
    owner: str
    note: str
    notes: list[str]
    error: str | None
    images: list[Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail(Job):
    """A job, with the complete request that it was made of. Pictures are not told."""

    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobList:
    """The newest jobs, the newest first."""

    jobs: list[Job]


def view(status: JobStatus) -> Job:
    return Job(**_told(status))


def detail(status: JobStatus) -> JobDetail:
    return JobDetail(**_told(status), request=_request(status.request))


def picture_at(status: JobStatus, number: int) -> SavedPicture | None:
    """The finished picture in a place of a job. Later places may be finished before earlier ones."""
    return next((picture for picture in status.pictures if picture.index == number), None)


def _told(status: JobStatus) -> Mapping[str, Any]:
    request = status.request
    return {
        "id": status.id,
        "state": status.state,
        "task": request.task,
        "model": request.model,
        "prompt": request.prompt,
        "width": request.width,
        "height": request.height,
        "batch_size": request.batch_size,
        "step": status.step,
        "steps": status.steps or request.steps,
        "progress": round(status.progress, 4),
        "running": [
            Running(one.index, one.step, one.steps or request.steps, round(one.progress, 4))
            for one in status.running
        ],
        "made": status.made,
        "skipped": list(status.skipped),
        "interrupted": status.interrupted,
        "position": status.position,
        "priority": status.priority,
        "eta": None if status.eta_s is None else round(status.eta_s, 1),
        "seconds": round(status.seconds, 3),
        "created": status.created_s,
        "ended": status.ended_s,
        "owner": status.owner,
        "note": status.note,
        "notes": list(status.notes),
        "error": status.error,
        "images": [_image(status, picture) for picture in status.pictures],
    }


def _image(status: JobStatus, picture: SavedPicture) -> Image:
    url = f"/api/jobs/{status.id}/images/{picture.index}"
    size, notes = (picture.width, picture.height), list(picture.notes)
    kind, text = media_type_of(picture), picture.parameters
    return Image(picture.index, url, picture.seed, *size, text, notes, kind)


def media_type_of(picture: SavedPicture) -> str:
    """What browsers are told of a file: by the ending of a picture, by what its task said of another one."""
    told = "" if picture.is_picture else parse(picture.parameters).get(MEDIA_TYPE, "")
    if re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", told):
        return told
    return mimetypes.types_map.get(picture.path.suffix.lower(), UNKNOWN_TYPE)


def _request(request: GenerationRequest) -> dict[str, Any]:
    plain = request.without_pictures()
    told = {f.name: getattr(plain, f.name) for f in fields(plain) if f.name not in PICTURES}
    named = {name: plain.extras.get(name) for name in NAMED_OPTIONS}
    extras = {name: value for name, value in plain.extras.items() if name not in named}
    return {**told, **named, "extras": extras}
