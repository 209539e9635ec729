"""The routes of the models folders: what lies there, found, told, noted, with its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from webui import images
from webui.errors import RequestError
from webui.http.bodies import parsed
from webui.http.jobs import NotThere
from webui.http.rights import Rights
from webui.http.views import Fault
from webui.types import GalleryFace
from webui.types.library import FOLDERS, LibraryFace, ModelFile

__all__ = ["model_routes"]

PAGE_MAX = 500
DRAWING = 8  # who waits for a preview at once
FOREVER = "private, max-age=31536000, immutable"
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
NOTES = ("description", "activation_text", "negative_text", "notes", "vae")
WRONG: dict[int | str, dict[str, Any]] = {422: {"model": Fault}}
CHANGING: dict[int | str, dict[str, Any]] = {
    **WRONG,
    **{status: {"model": Fault} for status in (403, 415, 503)},
}
Sort = Literal["name", "newest", "size"]
SORTS: dict[str, Callable[[ModelFile], Any]] = {
    "name": lambda one: (one.name.lower(), one.kind),
    "newest": lambda one: -one.modified,
    "size": lambda one: -one.size,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """A file in the models folders. `kind` is "checkpoint", "lora", "embedding", "vae", "controlnet" or "upscaler".
    `preview` is the address of a picture, "" where there is none; `insert` and `insert_negative` what goes into the
    prompts to use it, "" for what is used otherwise; `problem` why it cannot be used, null where it can. `size` is in
    bytes, `modified` in seconds since 1970."""

    id: str
    kind: str
    name: str
    file: str
    family: str
    inpainting: bool
    size: int
    modified: float
    hash: str
    preview: str
    insert: str
    insert_negative: str
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDetail(FileView):
    """A file with what is known and said of it. `prediction` is the user's word ("" where nobody said), `predicts`
    what holds; `vaes` are the names that `vae` can be, beside "". `tags` are the words of a LoRA's training pictures
    with how often they came. `can_note` and `can_preview` are why nothing can be kept, "" where it can."""

    path: str
    sha256: str
    predicts: str
    prediction: str
    description: str
    activation_text: str
    negative_text: str
    preferred_weight: float | None
    notes: str
    vae: str
    vaes: list[str]
    tags: list[tuple[str, int]]
    metadata: dict[str, str]
    tensors: int
    can_note: str
    can_preview: str


@dataclass(frozen=True, slots=True)
class FileList:
    """A page of files. `next` is the next page's `after`, "" at the end; `total` counts all that were found, `counts`
    those of each kind that fit the words; `locked` is why who asks may change nothing, "" where they may; `version`
    is that of `/api/models/version`."""

    files: list[FileView]
    next: str
    total: int
    counts: dict[str, int]
    version: int
    locked: str


def _body(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


TEXT = {"type": "string"}
NOTED = _body(
    **dict.fromkeys(NOTES, TEXT),
    preferred_weight={"type": ["number", "null"]},
    prediction={"type": ["string", "null"], "enum": ["epsilon", "v_prediction", None]},
)


class Versions:
    """A number for each state of the list, and what words are looked for in."""

    def __init__(self) -> None:
        self._files: Sequence[ModelFile] = ()
        self._version = 0
        self._words: dict[str, tuple[ModelFile, str]] = {}

    def of(self, files: Sequence[ModelFile]) -> int:
        if files is not self._files and files != self._files:
            self._version += 1
        self._files = files
        return self._version

    def words(self, file: ModelFile) -> str:
        known = self._words.get(file.id)
        if known is None or known[0] is not file:
            notes = file.notes
            said = (notes.description, notes.activation_text, notes.notes, file.family, file.sha256)
            known = self._words[file.id] = (
                file,
                "\n".join((file.name, file.path.name, *said)).lower(),
            )
        return known[1]


def model_routes(
    library: LibraryFace,
    previews: Callable[[Path, str], Path],
    rights: Rights,
    gallery: GalleryFace | None = None,
) -> APIRouter:
    """`previews(picture, stamp)` gives a small version of a picture."""
    routes = APIRouter(prefix="/api/models", tags=["models"])
    drawing, versions = CapacityLimiter(DRAWING), Versions()

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
        wanted = words.lower().split()
        fit = (
            [one for one in every if all(word in versions.words(one) for word in wanted)]
            if wanted
            else every
        )
        counts = dict.fromkeys(FOLDERS, 0)
        for one in fit:
            counts[one.kind] += 1
        shown = sorted((one for one in fit if kind in ("", one.kind)), key=SORTS[sort])
        begin = int(after or 0)
        end = begin + limit
        return FileList(
            [_view(one) for one in shown[begin:end]],
            str(end) if end < len(shown) else "",
            len(shown),
            counts,
            versions.of(every),
            rights.locked(request),
        )

    @routes.get("/version")
    def version() -> dict[str, int]:
        """A number that grows with every change in the models folders that was noticed."""
        return {"version": versions.of(library.files())}

    @routes.get("/files/{file}", responses=WRONG)
    def one(request: Request, file: str) -> FileDetail:
        """A file with all that is known and said of it."""
        return told(request, library.get(file))

    def told(request: Request, found: ModelFile) -> FileDetail:
        details, notes = library.details(found.id), found.notes
        vaes = [one.name for one in library.files() if one.kind == "vae" and one.problem is None]
        locked = rights.locked(request)
        return FileDetail(
            **_told(found),
            path=found.path.name if locked else str(found.path),
            sha256=found.sha256,
            predicts=found.prediction or "",
            prediction=notes.prediction or "",
            **{name: getattr(notes, name) for name in NOTES},
            preferred_weight=notes.preferred_weight,
            vaes=vaes if found.kind == "checkpoint" else [],
            tags=list(details.tags),
            metadata=dict(details.metadata),
            tensors=details.tensors,
            can_note=locked or details.can_note,
            can_preview=locked or details.can_preview,
        )

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
            picture = gallery.get(number, None if visitor.sees_all else visitor.owner)
            png = images.converted(picture.path, "png", 100, picture.parameters)
            return told(request, library.set_preview(file, png))

        return await to_thread.run_sync(put)

    @routes.post("/rescan", responses=CHANGING)
    def rescan() -> dict[str, int]:
        """Looks at the models folders anew; gives how many files there are."""
        return {"total": len(library.rescan())}

    return routes


def _insert(file: ModelFile) -> str:
    """What goes into a prompt to use a file, "" for what is used otherwise."""
    if file.problem is not None:
        return ""
    words = file.notes.activation_text.strip()
    if file.kind == "embedding":
        return file.name
    if file.kind != "lora":
        return ""
    weight = 1.0 if file.notes.preferred_weight is None else file.notes.preferred_weight
    return f"<lora:{file.name}:{weight:g}>" + (f" {words}" if words else "")


def _told(file: ModelFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "kind": file.kind,
        "name": file.name,
        "file": file.path.name,
        "family": file.family,
        "inpainting": file.inpainting,
        "size": file.size,
        "modified": file.modified,
        "hash": file.hash,
        "preview": f"api/models/files/{file.id}/preview?v={file.stamp}" if file.stamp else "",
        "insert": (insert := _insert(file)),
        "insert_negative": file.notes.negative_text.strip() if insert else "",
        "problem": file.problem,
    }


def _view(file: ModelFile) -> FileView:
    return FileView(**_told(file))
