"""Our own ASGI app: the routes of jobs, `/health`, `/metrics`, `/docs`. Who may come in is the gate's to say.

Every error is JSON: `{"error": sentence, "field": name or null}`.
"""

from __future__ import annotations

import logging

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
from webui.http.documentation import page
from webui.http.jobs import Forbidden, NotThere, job_routes
from webui.http.metrics import Metrics
from webui.http.own_jobs import UnknownJob
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import EngineFace

__all__ = ["face"]

log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[EaselError], int], ...] = (  # the first that fits
    (UnknownJob, 404),
    (NotThere, 404),
    (Forbidden, 409),
    (TooLarge, 413),
    (RequestError, 422),
    (ModelFileError, 422),
    (CapacityError, 422),
    (ExtensionError, 500),
    (EaselError, 503),  # it stops, could not start, or cannot write
)
STRICT = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def face(engine: EngineFace, catalog: Catalog, settings: Settings, metrics: Metrics) -> FastAPI:
    """The app. It expects a `Visitor` in each request's `state.visitor`."""
    app = FastAPI(
        title="Easel",
        version=__version__,
        description="Jobs as JSON. Errors are one sentence each, with the field that they are about.",
        docs_url=None,  # FastAPI's page fetches its script from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(job_routes(engine, catalog, settings, metrics))

    @app.get("/health", tags=["server"])
    def health() -> dict[str, str]:
        """Says "ok" as long as the server answers."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["server"], response_class=Response)
    def numbers(request: Request) -> Response:
        """What happens here in numbers, in the format of Prometheus."""
        content, media_type = metrics.text(engine, request.headers.get("accept", ""))
        return Response(content, media_type=media_type)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": STRICT})

    @app.exception_handler(EaselError)
    def refused(request: Request, error: EaselError) -> JSONResponse:
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        field = "model" if isinstance(error, ModelFileError) else getattr(error, "field", None)
        return _fault(status, str(error), field)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = str(first["loc"][1])  # after where it stood: "query", "path"
        return _fault(422, f"{field}: {first['msg']}", field)

    @app.exception_handler(HTTPException)
    def unknown(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path
        known = {404: f"there is no {path}", 405: f"{path} does not take {request.method}"}
        return _fault(error.status_code, known.get(error.status_code, str(error.detail)))

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _fault(500, f"internal error ({type(error).__name__}); the log has more")

    return app


def _fault(status: int, sentence: str, field: str | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence, "field": field}, status)
