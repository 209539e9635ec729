"""Our own ASGI app: the routes of jobs, `/health`, `/metrics`, `/docs`. Who may come in is the gate's to say.

Every error is JSON: `{"error": sentence, "field": name or null}`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from webui import __version__
from webui.errors import (
    CapacityError,
    EaselError,
    ExtensionError,
    ModelFileError,
    RequestError,
)
from webui.http.bodies import TooLarge
from webui.http.documentation import STRICT, page
from webui.http.downloads import download_routes
from webui.http.guides import guide_routes
from webui.http.jobs import Forbidden, NotThere, job_routes
from webui.http.metrics import Metrics
from webui.http.models import model_routes
from webui.http.own_jobs import UnknownJob
from webui.http.pictures import picture_routes
from webui.http.rights import Rights
from webui.http.settings import MayNot, setting_routes
from webui.http.state import state_routes
from webui.http.words import word_routes
from webui.languages import Languages
from webui.preferences import Preferences
from webui.registry import Catalog
from webui.sentences import Sentence, with_keys
from webui.settings import Settings
from webui.store.downloads.hub import HubError
from webui.store.gallery import UnknownPicture
from webui.store.styles import StyleBook
from webui.types import EngineFace, ExtensionsFace, GalleryFace
from webui.types.library import DownloadsFace, LibraryFace

__all__ = ["face"]

log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[EaselError], int], ...] = (  # the first that fits
    (UnknownJob, 404),
    (UnknownPicture, 404),
    (NotThere, 404),
    (MayNot, 403),
    (Forbidden, 409),
    (TooLarge, 413),
    (RequestError, 422),
    (ModelFileError, 422),
    (CapacityError, 422),
    (ExtensionError, 500),
    (HubError, 502),
    (EaselError, 503),  # it stops, could not start, or cannot write
)


def face(
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    metrics: Metrics,
    gallery: GalleryFace | None = None,
    *,
    preferences: Preferences | None = None,
    languages: Languages | None = None,
    logins: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
    library: LibraryFace | None = None,
    previews: Callable[[Path, str], Path] | None = None,
    downloads: DownloadsFace | None = None,
    extensions: ExtensionsFace | None = None,
) -> FastAPI:
    """The app. It expects a `Visitor` in each request's `state.visitor`. Without `preferences` what is chosen on
    the page lasts as long as the app. The first of `logins` may change settings; `versions` are told by their names.
    `previews(picture, stamp)` gives small versions of pictures beside model files.
    """
    preferences = preferences or Preferences(settings)
    app = FastAPI(
        title="Easel",
        version=__version__,
        description="Jobs as JSON. Errors are one sentence each, with the field that they are about.",
        docs_url=None,  # FastAPI's page fetches its script from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(job_routes(engine, catalog, settings, metrics))
    app.include_router(word_routes(engine, catalog, StyleBook(settings.data_dir)))
    app.include_router(setting_routes(preferences, catalog, languages or Languages(), logins))
    app.include_router(state_routes(engine, catalog, versions or {"Easel": __version__}))
    if gallery is not None:
        app.include_router(picture_routes(gallery))
    rights = Rights(settings, logins)
    if library is not None and previews is not None:
        app.include_router(model_routes(library, previews, rights, gallery))
    if downloads is not None:
        app.include_router(download_routes(downloads, rights))
    if extensions is not None:
        app.include_router(guide_routes(extensions))

    @app.head("/health", include_in_schema=False)
    @app.get("/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Says "ok" as long as the server answers."""
        return {"status": "ok"}  # needs no thread: it answers when all of them are taken

    @app.get("/metrics", tags=["server"], response_class=Response)
    def numbers(request: Request) -> Response:
        """What happens here in numbers, in the format of Prometheus."""
        content, media_type = metrics.text(engine, request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": STRICT})

    @app.exception_handler(EaselError)
    async def refused(request: Request, error: EaselError) -> JSONResponse:
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        field = "model" if isinstance(error, ModelFileError) else getattr(error, "field", None)
        return _fault(status, str(error), field)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = str(first["loc"][1])  # after where it stood: "query", "path"
        return _fault(422, f"{field}: {first['msg']}", field)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path
        known = {404: f"there is no {path}", 405: f"{path} does not take {request.method}"}
        return _fault(error.status_code, known.get(error.status_code, str(error.detail)))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _fault(500, f"internal error ({type(error).__name__}); the log has more")

    return app


def _fault(status: int, sentence: str, field: str | None = None) -> JSONResponse:
    """`said`, where it is a sentence of ours, is its key and values, for a page that speaks another language."""
    keys = {"said": with_keys(sentence)} if isinstance(sentence, Sentence) else {}
    return JSONResponse({"error": sentence, "field": field, **keys}, status)
