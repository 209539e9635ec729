"""The routes of the gallery: saved pictures found, shown, marked, moved to the trash and back, taken along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response, StreamingResponse

from webui import images
from webui.errors import RequestError, Sentence
from webui.http.archives import streamed
from webui.http.bodies import parsed
from webui.http.views import Fault
from webui.types import GalleryFace, GalleryPicture, Search

__all__ = ["picture_routes"]

PAGE_MAX = 500
IDS_MAX = 20_000  # in one change
ARCHIVE_MAX = 2000
ARCHIVE_BYTES_MAX = 4 * 10**9
ID_MAX = 2**63 - 1
DRAWING = 8  # who waits for a thumbnail at once
CONVERTING = 2
FOREVER = "private, max-age=31536000, immutable"
KINDS = {
    **{".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"},
    **{".gif": "image/gif", ".avif": "image/avif"},
}
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
WRONG: dict[int | str, dict[str, Any]] = {422: {"model": Fault}}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Fault}, **WRONG}
CHANGING: dict[int | str, dict[str, Any]] = {
    **UNKNOWN,
    **{status: {"model": Fault} for status in (415, 503)},
}

Number = Annotated[int, InPath(ge=0, le=ID_MAX)]
Stamp = Annotated[
    str, Query(description="the picture's stamp, as in its `url`: the answer may be kept for ever")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureView:
    """A saved picture. `name` is its path below `outputs/`; `url` and `thumbnail` change when the file does; `made`
    and `trashed` are seconds since 1970; `job` is the job that made it, "" where none of ours did."""

    id: int
    name: str
    url: str
    thumbnail: str
    width: int
    height: int
    made: float
    task: str
    model: str
    sampler: str
    seed: int | None
    prompt: str
    negative_prompt: str
    favourite: bool
    job: str
    trashed: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDetail(PictureView):
    """A picture with its settings as text."""

    parameters: str


@dataclass(frozen=True, slots=True)
class PictureList:
    """A page of pictures, the newest first. `next` is the next page's `after`, "" at the end; `total` counts all
    that were found; `version` grows with every change to the gallery."""

    pictures: list[PictureView]
    next: str
    total: int
    version: int


@dataclass(frozen=True, slots=True)
class Ids:
    """The pictures that were changed."""

    ids: list[int]


def _body(*more: str) -> dict[str, Any]:
    ids = {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": IDS_MAX}
    properties = {"ids": ids, **{name: {"type": "boolean"} for name in more}}
    schema = {"type": "object", "required": ["ids", *more], "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def picture_routes(gallery: GalleryFace) -> APIRouter:
    routes = APIRouter(prefix="/api/pictures", tags=["pictures"])
    drawing, converting = CapacityLimiter(DRAWING), CapacityLimiter(CONVERTING)

    @routes.get("", responses=WRONG)
    def found(
        request: Request,
        words: Annotated[
            str,
            Query(
                max_length=1000,
                description="all of them in the prompt or the negative one, each a word's beginning",
            ),
        ] = "",
        model: str = "",
        sampler: str = "",
        task: str = "",
        from_day: Annotated[
            str, Query(description="as 2026-11-20, in the server's time zone")
        ] = "",
        to_day: Annotated[str, Query(description="the last day, too")] = "",
        favourites: bool = False,
        trash: Annotated[
            bool, Query(description="those in the trash, instead of the others")
        ] = False,
        after: Annotated[str, Query(description="the `next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 60,
    ) -> PictureList:
        """The pictures under `outputs/` that fit everything asked for, the newest first."""
        search = Search(
            words=words,
            model=model,
            sampler=sampler,
            task=task,
            from_day=from_day,
            to_day=to_day,
            favourites=favourites,
            trash=trash,
            after=after,
            limit=limit,
        )
        version = gallery.version  # first: what changes meanwhile is asked for again
        page = gallery.search(search, _owner(request))
        return PictureList([_view(one) for one in page.pictures], page.next, page.total, version)

    @routes.get("/facets")
    def facets(request: Request) -> dict[str, list[tuple[str, int]]]:
        """For `model`, `sampler`, `task` and `day` what there is, with how many pictures have it."""
        return {name: list(found) for name, found in gallery.facets(_owner(request)).items()}

    @routes.get("/version")
    async def version() -> dict[str, int]:
        """A number that grows with every change to the gallery."""
        return {"version": gallery.version}

    @routes.get("/archive", responses=UNKNOWN, response_class=StreamingResponse)
    def archive(
        request: Request, ids: Annotated[str, Query(description="numbers with commas between")]
    ) -> StreamingResponse:
        """Pictures as they were saved, in a zip. At most 2,000 and 4 GB."""
        asked = [_number(word) for word in ids.split(",")]
        if len(asked) > ARCHIVE_MAX:
            raise RequestError(
                Sentence(
                    "ids: at most {archive_max} pictures fit into one archive",
                    archive_max=ARCHIVE_MAX,
                ),
                "ids",
            )
        files = gallery.files(asked, _owner(request))
        if sum(size for _, _, size in files) > ARCHIVE_BYTES_MAX:
            raise RequestError(
                Sentence(
                    "ids: more than {archive_bytes_max} GB; choose fewer pictures",
                    archive_bytes_max=ARCHIVE_BYTES_MAX // 10**9,
                ),
                "ids",
            )
        name = f"easel-{datetime.now():%Y-%m-%d-%H%M%S}.zip"
        return StreamingResponse(
            streamed([(path, name) for path, name, _ in files]),
            media_type="application/zip",
            headers={**NO_SNIFFING, **_attached(name), "Cache-Control": "no-store"},
        )

    @routes.get("/{picture}", responses=UNKNOWN)
    def picture(request: Request, picture: Number) -> PictureDetail:
        """A picture with its settings."""
        found = gallery.get(picture, _owner(request))
        return PictureDetail(**_told(found), parameters=found.parameters)

    @routes.get("/{picture}/file", responses=UNKNOWN, response_class=FileResponse)
    async def file(
        request: Request,
        picture: Number,
        v: Stamp = "",
        format: Annotated[
            Literal["png", "jpeg", "webp"] | None,
            Query(description="converted, its settings kept; an animation's first frame"),
        ] = None,
        quality: Annotated[int, Query(ge=1, le=100, description="of JPEG and WebP")] = 90,
        download: Annotated[bool, Query(description="to be saved by the browser")] = False,
    ) -> Response:
        """The file itself, or converted."""
        found = await to_thread.run_sync(gallery.get, picture, _owner(request))
        tag = found.stamp if format is None else f"{found.stamp}-{format}-{quality}"
        headers = _kept(tag, v == found.stamp)
        path = PurePosixPath(found.name)
        if download:
            suffix = path.suffix if format is None else "." + format.replace("jpeg", "jpg")
            headers |= _attached(path.stem + suffix)
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        if format is None:
            kind = KINDS.get(path.suffix.lower(), "application/octet-stream")
            return FileResponse(found.path, media_type=kind, headers=headers)
        convert = partial(images.converted, found.path, format, quality, found.parameters)
        content = await to_thread.run_sync(convert, limiter=converting)
        return Response(content, media_type=f"image/{format}", headers=headers)

    @routes.get("/{picture}/thumbnail", responses=UNKNOWN, response_class=FileResponse)
    async def thumbnail(request: Request, picture: Number, v: Stamp = "") -> Response:
        """The picture as WebP, at most 384 pixels wide and high, drawn when it is first asked for."""
        path = await to_thread.run_sync(
            gallery.thumbnail, picture, _owner(request), limiter=drawing
        )
        headers = _kept(f"{path.stem}-small", v == path.stem)  # it is called by its stamp
        if _is_known(request, headers):
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type="image/webp", headers=headers)

    @routes.patch("", responses=CHANGING, openapi_extra=_body("favourite"))
    async def change(request: Request) -> Ids:
        """Marks pictures as favourites, or no longer. A favourite is never deleted because of its age."""
        body = await parsed(request)
        on = body.pop("favourite", None)
        if not isinstance(on, bool):
            raise RequestError(Sentence("favourite: give true or false"), "favourite")
        return Ids(await _all(gallery.favour, _ids(body), on, _owner(request)))

    @routes.post("/trash", responses=CHANGING, openapi_extra=_body())
    async def trash(request: Request) -> Ids:
        """Moves pictures to the trash, a folder of the same disk."""
        ids = _ids(await parsed(request))
        return Ids(await _all(gallery.trash, ids, _owner(request)))

    @routes.post("/restore", responses=CHANGING, openapi_extra=_body())
    async def restore(request: Request) -> Ids:
        """Moves pictures from the trash to where they were; a name that is taken by now gets a number."""
        ids = _ids(await parsed(request))
        return Ids(await _all(gallery.restore, ids, _owner(request)))

    @routes.post("/empty-trash", responses={503: {"model": Fault}})
    def empty(request: Request) -> dict[str, int]:
        """Deletes what is in the trash for good."""
        return {"removed": gallery.empty_trash(_owner(request))}

    return routes


def _owner(request: Request) -> str | None:
    """Who asks, None where everybody sees everything."""
    limit: str | None = request.state.visitor.limit
    return limit


async def _all(change: Any, *values: Any) -> list[int]:
    return list(await to_thread.run_sync(change, *values))


def _ids(body: dict[str, Any]) -> Sequence[int]:
    ids = body.pop("ids", None)
    if body:
        unknown = next(iter(body))
        raise RequestError(Sentence("{unknown} is not known here", unknown=repr(unknown)), unknown)
    if (
        not isinstance(ids, list)
        or not 1 <= len(ids) <= IDS_MAX
        or not all(type(number) is int and 0 <= number <= ID_MAX for number in ids)
    ):
        raise RequestError(
            Sentence("ids: give a list of 1 to {ids_max} pictures' numbers", ids_max=IDS_MAX), "ids"
        )
    return ids


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise RequestError(Sentence("ids: give pictures' numbers with commas between"), "ids")
    return int(word)


def _kept(tag: str, for_ever: bool) -> dict[str, str]:
    """Headers that let a browser keep the answer: without a question where the link names this version."""
    return {**NO_SNIFFING, "Cache-Control": FOREVER if for_ever else "no-cache", "ETag": f'"{tag}"'}


def _is_known(request: Request, headers: dict[str, str]) -> bool:
    """Whether the browser has this very answer already."""
    tags = [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get("if-none-match", "").split(",")
    ]
    return headers["ETag"] in tags


def _attached(name: str) -> dict[str, str]:
    plain = "".join(
        sign if sign.isascii() and sign.isprintable() and sign not in '"\\' else "_"
        for sign in name
    )
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    }


def _told(picture: GalleryPicture) -> dict[str, Any]:
    return {
        "id": picture.id,
        "name": picture.name,
        "url": picture.url,
        "thumbnail": picture.thumbnail_url,
        "width": picture.width,
        "height": picture.height,
        "made": picture.made_s,
        "task": picture.task,
        "model": picture.model,
        "sampler": picture.sampler,
        "seed": picture.seed,
        "prompt": picture.prompt,
        "negative_prompt": picture.negative_prompt,
        "favourite": picture.favourite,
        "job": picture.job,
        "trashed": picture.trashed_s,
    }


def _view(picture: GalleryPicture) -> PictureView:
    return PictureView(**_told(picture))
