"""The routes of jobs. Each has the engine as the one who asks has it (`OwnJobs`)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from itertools import islice
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from webui.defaults import complete
from webui.errors import EaselError, RequestError
from webui.http.bodies import parsed, with_pictures
from webui.http.job_texts import JobTexts
from webui.http.metrics import Metrics
from webui.http.own_jobs import OwnJobs
from webui.http.previews import Previews
from webui.http.schemas import submission
from webui.http.stream import stream
from webui.http.views import (
    Fault,
    Job,
    JobDetail,
    JobList,
    Submitted,
    detail,
    media_type_of,
    picture_at,
    view,
)
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import EngineFace, JobState, JobStatus, SubmissionKey

__all__ = ["Forbidden", "job_routes"]

SUBMITTING = 8  # at once, each with its pictures in memory
KEY = re.compile(r"[\x21-\x7e]{1,200}")
PRIORITY_MAX = 1000
FOREVER = "private, max-age=31536000, immutable"  # a finished picture never changes

UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Fault}}
OF_A_JOB: dict[int | str, dict[str, Any]] = {**UNKNOWN, 409: {"model": Fault}}
ACCEPTING: dict[int | str, dict[str, Any]] = {
    code: {"model": Fault} for code in (413, 415, 422, 503)
}


PRIORITY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["priority"],
                    "properties": {
                        "priority": {
                            "type": "integer",
                            "minimum": -PRIORITY_MAX,
                            "maximum": PRIORITY_MAX,
                        }
                    },
                }
            }
        },
    }
}


SKIPPING: dict[str, Any] = {
    "required": False,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"picture": {"type": "integer", "minimum": 0}},
            }
        }
    },
}


class Forbidden(EaselError):
    """The state that a job is in does not allow it."""


class NotThere(EaselError):
    """What is asked for is not there, or not yet."""


def job_routes(
    engine: EngineFace, catalog: Catalog, settings: Settings, metrics: Metrics
) -> APIRouter:
    routes = APIRouter(prefix="/api/jobs", tags=["jobs"])
    submitting = CapacityLimiter(SUBMITTING)
    texts, drawn = JobTexts(), Previews(engine)

    def of(request: Request) -> OwnJobs:
        return OwnJobs(engine, lambda: request.state.visitor)

    @routes.post(
        "",
        status_code=201,
        response_model=Submitted,
        responses=ACCEPTING,
        openapi_extra={"requestBody": submission(catalog)},
    )
    async def submit(
        request: Request, idempotency_key: Annotated[str | None, Header()] = None
    ) -> JSONResponse:
        """Accepts a job. The answer comes when it is on disk: from then on no crash loses it. What is left
        out takes the model's own default. With an `Idempotency-Key` (1 to 200 printable characters) a request that is
        sent again gives the job that the first one made; another request with the same key is refused."""
        if idempotency_key is not None and not KEY.fullmatch(idempotency_key):
            raise RequestError(
                "Idempotency-Key: use 1 to 200 ASCII letters, digits and signs, no spaces",
                "Idempotency-Key",
            )
        body = await parsed(request)

        def accept() -> str:
            values = dict(body)
            task = catalog.tasks[catalog.tasks.find(values.pop("task", None))]
            priority = _priority(values.pop("priority", 0))
            asked = complete(task.name, with_pictures(task, values), catalog, settings)
            key = None
            if idempotency_key is not None:
                key = SubmissionKey(idempotency_key, _digest(body))
            return of(request).submit(asked, priority=priority, key=key)

        job = await to_thread.run_sync(accept, limiter=submitting)
        return _made(job)

    @routes.get("", response_model=JobList)
    async def jobs(
        request: Request,
        state: Annotated[list[JobState] | None, Query()] = None,
        owner: Annotated[str | None, Query(description="`mine`, or an owner's name")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """The jobs that are remembered, the newest first; with `state` those in one of these states."""
        whose = request.state.visitor.owner if owner == "mine" else owner
        found = (
            status
            for status in reversed(of(request).jobs())
            if (state is None or status.state in state) and (whose is None or status.owner == whose)
        )
        content = await texts.listed(list(islice(found, limit)))
        return Response(content, media_type="application/json")

    @routes.get("/{job}", responses=UNKNOWN)
    async def job(request: Request, job: str) -> JobDetail:
        """A job, and the complete request that it is made of."""
        return detail(of(request).status(job))

    @routes.patch("/{job}", responses={**OF_A_JOB, **ACCEPTING}, openapi_extra=PRIORITY_BODY)
    async def change(request: Request, job: str) -> Job:
        """Moves a job among its owner's own in the queue: the higher priority starts first. One below 0 starts after
        everybody's that have a higher one."""
        body = await parsed(request)
        if list(body) != ["priority"]:
            raise RequestError('give {"priority": number}, and nothing else', "priority")
        mine, priority = of(request), _priority(body["priority"])
        _unless_ended(mine.status(job), "moved in the queue")
        await to_thread.run_sync(mine.prioritise, job, priority)
        return view(mine.status(job))

    @routes.post("/{job}/pause", responses=OF_A_JOB)
    def pause(request: Request, job: str) -> Job:
        """Holds a job where it stands, until it is resumed. A running call is finished."""
        mine = of(request)
        _unless_ended(mine.status(job), "paused")
        mine.pause(job)
        return view(mine.status(job))

    @routes.post("/{job}/resume", responses=OF_A_JOB)
    def resume(request: Request, job: str) -> Job:
        """Lets a paused job go on from where it stands."""
        mine = of(request)
        _unless_ended(mine.status(job), "resumed")
        mine.resume(job)
        return view(mine.status(job))

    @routes.post("/{job}/cancel", responses=OF_A_JOB)
    def cancel(request: Request, job: str) -> Job:
        """Ends a job at its next call; pictures that are finished stay."""
        mine = of(request)
        status = mine.status(job)
        if status.state != "cancelled":
            _unless_ended(status, "cancelled")
            mine.cancel(job)
        return view(mine.status(job))

    @routes.post("/{job}/interrupt", responses=OF_A_JOB)
    def interrupt(request: Request, job: str) -> Job:
        """Ends a job with what there is: each running picture is finished as it stands after its next step, decoded and
        saved, with `Interrupted: 7/20` in its settings; no other is begun. The job is then `done`, or `cancelled` where
        none was begun."""
        mine = of(request)
        _unless_ended(mine.status(job), "interrupted")
        mine.interrupt(job)
        return view(mine.status(job))

    @routes.post(
        "/{job}/skip", responses={**OF_A_JOB, **ACCEPTING}, openapi_extra={"requestBody": SKIPPING}
    )
    async def skip(request: Request, job: str) -> Job:
        """Gives up one picture of a job and goes on with the others: `picture` by its number, else the running one with
        the lowest, else the next one. A job of which none is left is `cancelled`."""
        body = await parsed(request) if _has_body(request) else {}
        number = body.pop("picture", None)
        if body:
            raise RequestError('give {"picture": number}, or nothing', next(iter(body)))
        if number is not None and type(number) is not int:
            raise RequestError("picture: give a picture's number, from 0", "picture")
        mine = of(request)
        given_up = await to_thread.run_sync(mine.skip, job, number)
        status = mine.status(job)
        if given_up is None and status.ended:
            raise Forbidden(f"job {job} is {status.state}: none of its pictures can be skipped")
        if given_up is None:
            what = "every picture" if number is None else f"picture {number}"
            raise Forbidden(f"{what} of job {job} is finished")
        return view(status)

    @routes.post(
        "/{job}/repeat",
        status_code=201,
        response_model=Submitted,
        responses={**OF_A_JOB, 503: {"model": Fault}},
    )
    def repeat(request: Request, job: str) -> JSONResponse:
        """Makes a new job of the same request, seed and pictures included."""
        try:
            return _made(of(request).repeat(job))
        except EaselError as fault:
            if isinstance(fault.__cause__, FileNotFoundError):  # a picture that it started from
                raise Forbidden(f"job {job} cannot be repeated: {fault}") from fault
            raise

    @routes.get("/{job}/images/{number}", responses=UNKNOWN, response_class=FileResponse)
    def image(request: Request, job: str, number: int) -> FileResponse:
        """A finished picture as it was saved, its settings inside."""
        status = of(request).status(job)
        picture = picture_at(status, number)
        if picture is None or not picture.path.is_file():
            raise NotThere(_why_not_there(status, number, picture is not None))
        return FileResponse(
            picture.path,
            media_type=media_type_of(picture),
            filename=picture.path.name,
            content_disposition_type="inline" if picture.is_picture else "attachment",
            headers={"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"},
        )

    @routes.get(
        "/{job}/images/{number}/preview",
        responses={**UNKNOWN, 200: {"content": {"image/jpeg": {}}}},
        response_class=Response,
    )
    async def preview(request: Request, job: str, number: int) -> Response:
        """What a picture that is being made looks like now, as a JPEG, at most 512 pixels wide and high."""
        status = of(request).status(job)
        being_made = any(one.index == number for one in status.running)
        look = await drawn.picture(status, number) if being_made else None
        if look is None:
            raise NotThere(f"picture {number} of job {job} cannot be seen now")
        return Response(look, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @routes.get(
        "/{job}/events",
        responses={**UNKNOWN, 200: {"content": {"text/event-stream": {}}}, 204: {}},
        response_class=StreamingResponse,
    )
    async def events(
        request: Request,
        job: str,
        last_event_id: Annotated[int, Header()] = 0,
        after: Annotated[int, Query(description="the same as Last-Event-ID")] = 0,
        previews: Annotated[bool, Query(description="with `preview` events")] = True,
    ) -> Response:
        """What happens to a job, as server-sent events, to its end. Who comes back with the number of the last event
        gets what was missed; when nothing is left to tell the answer is 204."""
        mine, seen = of(request), max(last_event_id, after)
        if mine.status(job).ended and not mine.events(job, seen):
            return Response(status_code=204)

        async def listening() -> AsyncIterator[bytes]:
            shown = drawn if previews and settings.now.previews else None
            told = stream(mine, job, seen, shown)
            with metrics.listeners.track_inprogress():
                async with aclosing(told):
                    async for event in told:
                        yield event

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(listening(), media_type="text/event-stream", headers=headers)

    return routes


def _has_body(request: Request) -> bool:
    length = request.headers.get("content-length", "0")
    return length != "0" or "transfer-encoding" in request.headers


def _digest(body: Mapping[str, Any]) -> str:
    """Equal for bodies that say the same, in whatever order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode("ascii")).hexdigest()


def _made(job: str) -> JSONResponse:
    """201, and where the new job is."""
    return JSONResponse({"id": job}, 201, {"Location": f"/api/jobs/{job}"})


def _priority(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > PRIORITY_MAX:
        span = f"{-PRIORITY_MAX} to {PRIORITY_MAX}"
        raise RequestError(f"priority {value!r}: give a whole number from {span}", "priority")
    return value


def _unless_ended(status: JobStatus, done: str) -> None:
    if status.ended:
        raise Forbidden(f"job {status.id} is {status.state}: it can no longer be {done}")


def _why_not_there(status: JobStatus, number: int, was_there: bool) -> str:
    count = status.request.batch_size
    if not 0 <= number < count:
        return f"job {status.id} has {count} picture{'s'[: count > 1]}, counted from 0"
    if was_there:
        return f"picture {number} of job {status.id} has been moved or deleted"
    if number in status.skipped:
        either = "it was skipped, or the job was interrupted before"
        how = either if status.interrupted else "it was skipped"
        return f"picture {number} of job {status.id} was not made: {how}"
    if status.ended:
        return f"picture {number} of job {status.id} was not made: the job is {status.state}"
    return f"picture {number} of job {status.id} is not finished yet: the job is {status.state}"
