"""The routes of words: tokens counted, styles kept, the pictures of example prompts."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from webui.defaults.extras import check_text
from webui.errors import RequestError
from webui.http.bodies import parsed
from webui.http.jobs import FOREVER, NotThere
from webui.http.settings import MayNot
from webui.http.views import Fault
from webui.registry import Catalog
from webui.sentences import Sentence
from webui.store.shipped_styles import shipped_styles
from webui.store.styles import Style, StyleBook
from webui.types import PROMPT_MAX, EngineFace, Text

__all__ = ["CHUNK", "word_routes"]

CHUNK = 75  # tokens that a text encoder reads at once
COUNTING = 2  # texts at once: the counting of one visitor's long text does not take every thread

WRONG: dict[int | str, dict[str, Any]] = {415: {"model": Fault}, 422: {"model": Fault}}
UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Fault}}
LISTED = (
    "shipped",
    "group",
)  # what a listed style has besides: one may be sent back as it was listed
PROMPT = Text(name="text", label="Text", default="")


@dataclass(frozen=True, slots=True)
class Tokens:
    """How long a prompt is: `tokens` in `chunks` of at most `limit`."""

    tokens: int
    chunks: int
    limit: int = CHUNK


@dataclass(frozen=True, slots=True)
class StyleView:
    """Words to merge into a prompt: around it where they say `{prompt}`, else after it."""

    name: str
    prompt: str
    negative_prompt: str


@dataclass(frozen=True, slots=True)
class ListedStyle(StyleView):
    """A style as it is listed: `shipped` with Easel, in the group of this name, or somebody's own, in none."""

    shipped: bool
    group: str


@dataclass(frozen=True, slots=True)
class DamagedView:
    """What of `styles.csv` cannot be read: from which line on (the first is 1), and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class StyleList:
    """People's own styles in the order of their file, then those that come with Easel and have no other's name."""

    styles: list[ListedStyle]
    damaged: list[DamagedView]


def _body(properties: Mapping[str, str], required: list[str]) -> dict[str, Any]:
    kinds = {name: {"type": kind} for name, kind in properties.items()}
    schema = {"type": "object", "required": required, "properties": kinds}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def word_routes(engine: EngineFace, catalog: Catalog, styles: StyleBook) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["words"])
    counting = CapacityLimiter(COUNTING)

    @routes.post(
        "/tokens",
        responses=WRONG,
        openapi_extra=_body({"text": "string", "model": "string"}, ["text"]),
    )
    async def tokens(request: Request) -> Tokens:
        """How many tokens of a model a text has, as they are counted when it is used."""
        body = await parsed(request)
        text = PROMPT.read(body.get("text"))
        check_text(PROMPT.name, text)
        model = body.get("model", "")
        if not isinstance(model, str):
            raise RequestError(Sentence("model {model}: give its name", model=repr(model)), "model")
        count = await to_thread.run_sync(engine.count_tokens, model, text, limiter=counting)
        return Tokens(count, max(1, -(-count // CHUNK)))

    @routes.get("/styles")
    def every_style() -> StyleList:
        """The styles of this studio: those of `styles.csv` in the data folder, with what of it cannot be read, and
        those that come with Easel (`shipped`), which nobody changes. Whoever keeps a style under the name of one of
        them has theirs instead."""
        kept = styles.read()
        own = {one.name for one in kept.found}
        offered = (one for one in shipped_styles() if one.style.name not in own)
        return StyleList(
            [
                *(_listed(one) for one in kept.found),
                *(_listed(one.style, one.group) for one in offered),
            ],
            [DamagedView(one.line, _plain(one.text), one.reason) for one in kept.damaged],
        )

    @routes.put(
        "/styles",
        responses=WRONG,
        openapi_extra=_body(
            {
                "name": "string",
                "prompt": "string",
                "negative_prompt": "string",
                "former": "string",
                "place": "integer",
            },
            ["name"],
        ),
    )
    async def keep(request: Request) -> StyleView:
        """Keeps a style of one's own. It replaces the one of its name, or the one called `former`, which it renames.
        A new one goes to the end, or to `place`, from 0. The styles that come with Easel stay as they are."""
        body = await parsed(request)
        words = {name: body.pop(name, "") for name in ("name", "prompt", "negative_prompt")}
        former, place = body.pop("former", words["name"]), body.pop("place", None)
        for name in LISTED:
            body.pop(name, None)
        for name, value in {**words, "former": former}.items():
            if not isinstance(value, str) or len(value) > PROMPT_MAX:
                raise RequestError(
                    Sentence(
                        "{name}: give text of at most {prompt_max} characters",
                        name=name,
                        prompt_max=PROMPT_MAX,
                    ),
                    name,
                )
        if place is not None and (isinstance(place, bool) or not isinstance(place, int)):
            raise RequestError(Sentence("place: give a whole number from 0"), "place")
        if body:
            unknown = next(iter(body))
            raise RequestError(
                Sentence("{unknown} is no part of a style", unknown=repr(unknown)), unknown
            )
        return _view(await to_thread.run_sync(styles.put, former, Style(**words), place))

    @routes.delete("/styles", responses={**UNKNOWN, 403: {"model": Fault}})
    def forget(name: Annotated[str, Query()]) -> dict[str, str]:
        """Deletes a style of one's own, and says its name. One that comes with Easel stays (403)."""
        if styles.delete(name):
            return {"name": name}
        if any(one.style.name == name for one in shipped_styles()):
            raise MayNot(
                Sentence(
                    "The style {name} comes with Easel and stays; one of your own under its name takes its place",
                    name=name,
                ),
                "name",
            )
        raise NotThere(Sentence("there is no style called {name}", name=repr(name)))

    @routes.get("/examples/{number}", responses=UNKNOWN, response_class=FileResponse)
    def example(number: int, model: Annotated[str, Query()]) -> FileResponse:
        """The picture that a model makes of its example prompt `number`, from 0."""
        card = catalog.models().get(model)
        prompts = card.prompts if card is not None else ()
        made = card.examples.get(prompts[number]) if card and 0 <= number < len(prompts) else None
        if made is None or not made.picture.is_file():
            raise NotThere(f"model {model!r} has no picture of example {number}")
        kind = mimetypes.types_map.get(made.picture.suffix.lower(), "application/octet-stream")
        headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
        return FileResponse(made.picture, media_type=kind, headers=headers)

    return routes


def _view(style: Style) -> StyleView:
    return StyleView(style.name, style.prompt, style.negative_prompt)


def _listed(style: Style, group: str = "") -> ListedStyle:
    return ListedStyle(style.name, style.prompt, style.negative_prompt, bool(group), group)


def _plain(text: str) -> str:
    """`text` with a mark for each byte that was no UTF-8: JSON carries none."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
