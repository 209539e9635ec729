"""The routes of settings: what there is, what is chosen, and a name that a pattern gives."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from webui.defaults import check_own
from webui.errors import RequestError, Sentence
from webui.http.bodies import parsed
from webui.http.jobs import NotThere
from webui.http.views import Fault
from webui.languages import Languages
from webui.naming import TOKENS, Facts, Pattern
from webui.preferences import GROUPS, SETTINGS, Preferences, State
from webui.registry import Catalog
from webui.types import DEFAULTS, Choice, Control, Number, Seed, Switch, Task

__all__ = ["MayNot", "setting_routes"]

LOCKED_LOGIN = Sentence("Only the first login can change settings: {name}")
LOCKED_SHARED = Sentence(
    "Settings can be changed only while Easel is reached from this machine alone, or by the first login: "
    "start it without --listen or --host, or with --auth"
)
SAMPLE = "a lighthouse at dusk, heavy waves, oil painting"
OWN = next(setting for setting in SETTINGS if setting.kind == "defaults")

WRONG: dict[int | str, dict[str, Any]] = {422: {"model": Fault}}
CHANGING: dict[int | str, dict[str, Any]] = {
    **WRONG,
    **{status: {"model": Fault} for status in (403, 415, 503)},
}


class MayNot(RequestError):
    """Who asks may look and not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingView:
    """A setting. `kind` is "switch", "number", "choice", "text", "folder", "pattern", "defaults", "look" or "language";
    `fixed` is the command line's option that has set it, or "". `waiting`: it acts from the next start on, and now
    another value holds. `empty` says what null means, "" where there must be a value."""

    name: str
    kind: str
    label: str
    info: str
    group: str
    value: Any
    default: Any
    changed: bool
    fixed: str
    restart: bool
    waiting: bool
    empty: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    whole: bool = False
    choices: list[list[Any]] | None = None


@dataclass(frozen=True, slots=True)
class GroupView:
    """Settings that belong together."""

    name: str
    info: str
    settings: list[SettingView]


@dataclass(frozen=True, slots=True)
class SettingList:
    """All settings. `locked` is why nothing can be changed by who asks, "" where it can, and `locked_to` the login
    that can, if any; `problems` are sentences about
    the file that they were read from; `tokens` are those of a pattern, with what they mean."""

    groups: list[GroupView]
    locked: str
    problems: list[str]
    languages: list[list[str]]
    tokens: list[list[str]]
    locked_to: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """What a made-up picture would be called, below the outputs folder; or the sentence why the pattern is none."""

    name: str
    error: str = ""


def setting_routes(
    preferences: Preferences, catalog: Catalog, languages: Languages, logins: Sequence[str]
) -> APIRouter:
    routes = APIRouter(prefix="/api", tags=["settings"])

    def locked(request: Request) -> str:
        owner: str = request.state.visitor.owner
        if logins:
            return "" if owner == logins[0] else LOCKED_LOGIN.filled(name=logins[0])
        return "" if preferences.settings.local else LOCKED_SHARED

    def told(request: Request) -> SettingList:
        states = preferences.states()
        return SettingList(
            [
                GroupView(name, info, [_view(s) for s in states if s.setting.group == name])
                for name, info in GROUPS.items()
            ],
            locked(request),
            list(preferences.problems),
            [[found.code, found.name] for found in languages.all()],
            [[f"[{name}]", meaning] for name, meaning in TOKENS.items()],
            logins[0] if logins and locked(request) else "",
        )

    def change(values: Mapping[str, Any]) -> None:
        chosen = values.get(OWN.name)
        if chosen is not None:
            for own in OWN.put(OWN.read(chosen), preferences.settings.data_dir):
                check_own(own, catalog)
        preferences.change(values)

    @routes.get("/settings")
    def every_setting(request: Request) -> SettingList:
        """The settings, with their values; what there is to choose from, and what differs from the default."""
        return told(request)

    @routes.patch(
        "/settings",
        responses=CHANGING,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def set_values(request: Request) -> SettingList:
        """Sets values by the settings' names, all or none; null resets one."""
        values = await parsed(request)
        _allow(locked(request))
        await to_thread.run_sync(change, values)
        return await to_thread.run_sync(told, request)

    @routes.delete("/settings/{name}", responses=CHANGING)
    def reset(request: Request, name: str) -> SettingList:
        """Puts a setting back to its default."""
        _allow(locked(request))
        preferences.change({name: None})
        return told(request)

    @routes.get("/settings/name")
    def named(pattern: Annotated[str, Query(max_length=1000)]) -> Named:
        """What a pattern makes of a made-up picture."""
        facts = _made_up(preferences)
        try:
            checked = Pattern(pattern)
        except RequestError as error:
            return Named("", str(error))
        parts = (*checked.folders(facts), checked.stem(facts, 12))
        chosen = preferences.current().picture_format
        return Named("/".join(parts) + {"jpeg": ".jpg"}.get(chosen, f".{chosen}"))

    @routes.get("/settings/fields")
    def fields() -> dict[str, Any]:
        """What defaults can be chosen for: tasks with their fields, models, and what choices there are."""
        return {
            "tasks": [[task.name, task.label] for task in catalog.tasks.values()],
            "models": [card.name for card in catalog.list_models()],
            "fields": {task.name: _fields(task, catalog) for task in catalog.tasks.values()},
        }

    @routes.get("/languages/{code}", responses={404: {"model": Fault}}, response_class=JSONResponse)
    def words(request: Request, code: str) -> Response:
        """The words of a language: {"code", "name", "words": {English: translation}}."""
        found = languages.get(code)
        if found is None:
            raise NotThere(f"there is no language {code!r}")
        headers = {"ETag": f'"{found.stamp}"', "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(found.content, media_type="application/json", headers=headers)

    @routes.get("/look")
    def look() -> dict[str, Any]:
        """What holds for a visitor who has chosen neither look nor language, and which languages there are."""
        now = preferences.current()
        listed = [[found.code, found.name, found.stamp] for found in languages.all()]
        return {"look": now.look, "language": now.language, "languages": listed}

    return routes


def _allow(locked: str) -> None:
    if locked:
        raise MayNot(locked)


def _view(state: State) -> SettingView:
    setting, control = state.setting, state.setting.control
    more: dict[str, Any] = {}
    if isinstance(control, Number):
        more = {"minimum": control.minimum, "maximum": control.maximum, "step": control.step}
        more["whole"] = control.whole
    elif isinstance(control, Choice):
        more = {"choices": [list(choice) for choice in control.choices]}
    return SettingView(
        name=setting.name,
        kind=setting.kind or _kind(control),
        label=control.label,
        info=control.info,
        group=setting.group,
        value=state.value,
        default=state.default,
        changed=state.changed,
        fixed=(setting.flag or "the command line") if state.fixed else "",
        restart=setting.restart,
        waiting=state.waiting,
        empty=setting.empty,
        **more,
    )


def _kind(control: Control) -> str:
    kinds = ((Switch, "switch"), (Number, "number"), (Choice, "choice"))
    return next((kind for cls, kind in kinds if isinstance(control, cls)), "text")


def _fields(task: Task, catalog: Catalog) -> list[dict[str, Any]]:
    """The fields of a task's form that a default can be chosen for."""
    found = []
    for control in task.flat_controls():
        if control.name not in DEFAULTS or control.required or isinstance(control, Seed):
            continue  # nobody wants the same seed and words every time
        told: dict[str, Any] = {
            "name": control.name,
            "label": control.label,
            "kind": _kind(control),
            "optional": DEFAULTS[control.name] is None,
        }
        if isinstance(control, Number):
            told |= {"minimum": control.minimum, "maximum": control.maximum, "step": control.step}
        if isinstance(control, Choice):
            told["choices"] = _choices(control, catalog)
        found.append(told)
    return found


def _choices(control: Choice, catalog: Catalog) -> list[list[Any]]:
    if control.source == "samplers":
        return [[name, name] for name in catalog.samplers]
    if control.source == "schedules":
        return [[schedule.label, name] for name, schedule in catalog.schedules.items()]
    return [list(choice) for choice in control.choices]


def _made_up(preferences: Preferences) -> Facts:
    now = preferences.current()
    values = {**DEFAULTS, **now.defaults}
    return Facts(
        made=time.localtime(),
        seed=1234567890,
        task="txt2img",
        model="starter",
        sampler=values["sampler_name"],
        scheduler="karras",
        steps=values["steps"],
        cfg=values["cfg_scale"],
        width=values["width"],
        height=values["height"],
        prompt=SAMPLE,
        job="0123456789abcdef0123456789abcdef",
        index=0,
    )
