"""The routes of the models folders: what lies there, found, told, noted, with its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from webui import images
from webui.errors import RequestError
from webui.http.bodies import parsed
from webui.http.jobs import NotThere
from webui.http.model_search import Search, Sort
from webui.http.model_views import NOTES, FileDetail, FileList, detail, view
from webui.http.rights import Rights
from webui.http.views import Fault
from webui.types import GalleryFace
from webui.types.library import FOLDERS, LibraryFace, ModelFile

__all__ = ["model_routes"]

PAGE_MAX = 500
DRAWING = 8  # who waits for a preview at once
FOREVER = "private, max-age=31536000, immutable"
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
WRONG: dict[int | str, dict[str, Any]] = {422: {"model": Fault}}
CHANGING: dict[int | str, dict[str, Any]] = {
    **WRONG,
    **{status: {"model": Fault} for status in (403, 415, 503)},
}


def _body(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


TEXT = {"type": "string"}
NOTED = _body(
    **dict.fromkeys(NOTES, TEXT),
    preferred_weight={"type": ["number", "null"]},
    prediction={"type": ["string", "null"], "enum": ["epsilon", "v_prediction", None]},
)


def model_routes(
    library: LibraryFace,
    previews: Callable[[Path, str], Path],
    rights: Rights,
    gallery: GalleryFace | None = None,
) -> APIRouter:
    """`previews(picture, stamp)` gives a small version of a picture."""
    routes = APIRouter(prefix="/api/models", tags=["models"])
    drawing, search = CapacityLimiter(DRAWING), Search()

    @routes.get("/files", responses=WRONG)
    def files(
        request: Request,
        kind: str = "",
        words: Annotated[
            str, Query(max_length=1000, description="all of them in name, notes, words or hash")
        ] = "",
        sort: Sort = "name",
        after: Annotated[str, Query(description="the `next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 60,
    ) -> FileList:
        """What lies in the models folders and fits everything asked for."""
        if kind and kind not in FOLDERS:
            raise RequestError(f"kind: use {', '.join(FOLDERS)} or nothing", "kind")
        if after and not (after.isascii() and after.isdigit() and len(after) < 10):
            raise RequestError("after: give the `next` of the page before", "after")
        every = library.files()
        shown, counts = search.found(every, kind, words, sort)
        begin = int(after or 0)
        end = begin + limit
        return FileList(
            [view(one) for one in shown[begin:end]],
            str(end) if end < len(shown) else "",
            len(shown),
            counts,
            search.version(every),
            rights.locked(request),
        )

    @routes.get("/version")
    def version() -> dict[str, int]:
        """A number that grows with every change in the models folders that was noticed."""
        return {"version": search.version(library.files())}

    @routes.get("/files/{file}", responses=WRONG)
    def one(request: Request, file: str) -> FileDetail:
        """A file with all that is known and said of it."""
        return told(request, library.get(file))

    def told(request: Request, found: ModelFile) -> FileDetail:
        vaes = [one.name for one in library.files() if one.kind == "vae" and one.problem is None]
        return detail(found, library.details(found.id), vaes, rights.locked(request))

    @routes.patch("/files/{file}", responses=CHANGING, openapi_extra=NOTED)
    async def change(request: Request, file: str) -> FileDetail:
        """Keeps notes about a file: in the A1111 file beside it where there is one, else in the data folder."""
        values = await parsed(request)
        rights.demand(request)
        found = await to_thread.run_sync(library.change, file, values)
        return await to_thread.run_sync(told, request, found)

    @routes.get("/files/{file}/preview", responses=WRONG, response_class=FileResponse)
    async def preview(
        request: Request,
        file: str,
        v: Annotated[
            str, Query(description="the stamp in `preview`: the answer may be kept for ever")
        ] = "",
    ) -> Response:
        """The picture beside a file as WebP, at most 384 pixels wide and high."""

        def drawn() -> tuple[str, Path]:
            found = library.get(file)
            if found.preview is None:
                raise NotThere(f"{found.name} has no preview")
            return found.stamp, previews(found.preview, found.stamp)

        stamp, path = await to_thread.run_sync(drawn, limiter=drawing)
        keep = FOREVER if v == stamp else "no-cache"
        headers = {**NO_SNIFFING, "Cache-Control": keep, "ETag": f'"{stamp}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return FileResponse(path, media_type="image/webp", headers=headers)

    @routes.post(
        "/files/{file}/preview",
        responses=CHANGING,
        openapi_extra=_body(picture={"type": "integer"}),
    )
    async def set_preview(request: Request, file: str) -> FileDetail:
        """Writes a picture of the gallery beside a file, with its settings."""
        values = await parsed(request)
        rights.demand(request)
        number = values.get("picture")
        if gallery is None or type(number) is not int or number < 0:
            raise RequestError("picture: give the number of one of the gallery's", "picture")
        visitor = request.state.visitor

        def put() -> FileDetail:
            picture = gallery.get(number, visitor.limit)
            png = images.converted(picture.path, "png", 100, picture.parameters)
            return told(request, library.set_preview(file, png))

        return await to_thread.run_sync(put)

    @routes.post("/rescan", responses=CHANGING)
    def rescan() -> dict[str, int]:
        """Looks at the models folders anew; gives how many files there are."""
        return {"total": len(library.rescan())}

    return routes
