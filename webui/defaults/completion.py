"""A request out of loose values.

A value comes from the request, else from what the user chose for this model in this task, else for this model, else
from the model's own defaults, else from what the user chose for the task, else from the settings, else from
the task's controls, else from `webui.types.DEFAULTS`. Ranges are checked by `GenerationRequest` itself,
extensions' values by `webui.defaults.extras`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from PIL import Image

from webui.defaults.extras import FIELDS as NAMES
from webui.defaults.extras import (
    check_extras,
    check_picture,
    check_text,
    default_of,
    drawn_seed,
    extra_controls,
    fitted,
    read_extras,
    read_value,
    registry_of,
    sized,
)
from webui.errors import ModelFileError, RequestError, Sentence
from webui.registry import NAME_MAX, Catalog, Registry, folded, nearest
from webui.sentences import Called
from webui.settings import OwnDefaults, Settings
from webui.types import (
    DEFAULTS,
    FIELDS,
    NAMED_OPTIONS,
    PLACED,
    WIDTH,
    Choice,
    Control,
    GenerationRequest,
    Mask,
    ModelCard,
    Picture,
    Seed,
    Task,
    controls_of,
    flat,
)
from webui.types.masks import masked

__all__ = ["check", "check_own", "complete", "defaults_of", "sampler_and_schedule"]


def complete(
    task: str, values: Mapping[str, object], catalog: Catalog, settings: Settings
) -> GenerationRequest:
    """The request that `values` mean for a task: nothing is left open, every value is checked.

    A value that is missing or None is filled in. Names are found in any case and by alias; "DPM++ 2M
    Karras" is a sampler and a schedule. Pictures are files, their bytes or pictures. An omitted size is
    the picture's own where there is one; seed -1 draws a seed. `extras` are the values of controls that
    are no fields, by name.

    Raises `RequestError` for what is the caller's fault, and `ModelFileError` where the model cannot
    be used or its own defaults are wrong.
    """
    chosen = catalog.tasks[catalog.tasks.find(task)]
    given = _given(chosen, values)
    extras = _with_options(chosen, given)
    card = _card(given.pop("model", None), catalog, settings)
    pictures = _pictures(chosen, given, catalog)
    given = _read(given, chosen, catalog)
    if "image" in pictures:
        given = {**_size_of(pictures["image"], given), **given}
    found = {**defaults_of(chosen.name, card, catalog, settings), **given}
    for name, control in FIELDS.items():
        if isinstance(control, Seed) and found[name] == -1:
            # one that means nothing is 0, so that equal requests are equal
            found[name] = drawn_seed() if not control.when or found[control.when] else 0
    try:
        request = GenerationRequest(
            task=chosen.name,
            model=card.name,
            extras=read_extras(chosen, extras, pictures, catalog, found),
            **pictures,
            **{name: found[name] for name in DEFAULTS if name in FIELDS},
        )
    except RequestError as error:
        if error.field in card.defaults and error.field not in given:
            raise _wrong_default(card, error) from None
        raise
    _check_mask(request)
    return request


def defaults_of(
    task: str, card: ModelCard | None, catalog: Catalog, settings: Settings
) -> dict[str, Any]:
    """What omitted values of a task become with a model: for the forms that show them.

    Every field of `DEFAULTS`, names in the registries' own spelling, and the task's other controls by
    their names. Raises `ModelFileError` where the model's defaults name something unknown.
    """
    chosen = catalog.tasks[task]
    controls = {c.name: c.default for c in chosen.flat_controls() if c.default is not None}
    settings = settings.now
    found = {**DEFAULTS, **controls, **settings.defaults}
    found = {**found, **_read(found, chosen, catalog)}
    found.update(_own(settings, task, "", chosen, catalog))
    for name, control in extra_controls(chosen).items():
        if control.default is not None:
            found[name] = default_of(control, catalog)
    if card is not None:
        unknown = [name for name in card.defaults if name not in DEFAULTS]
        if unknown:
            what = Sentence(
                "{unknown} is no field of a request{hint}",
                unknown=repr(unknown[0]),
                hint=nearest(unknown[0], list(DEFAULTS)),
            )
            raise _wrong_default(card, what)
        own = {name: value for name, value in card.defaults.items() if value is not None}
        try:
            found.update(_read(own, chosen, catalog))
        except RequestError as error:
            raise _wrong_default(card, error) from None
        found.update(_own(settings, "", card.name, chosen, catalog))
        found.update(_own(settings, task, card.name, chosen, catalog))
    return found


def _own(
    settings: Settings, task: str, model: str, chosen: Task, catalog: Catalog
) -> dict[str, Any]:
    """What the user has chosen for a task, a model or both. A name that is gone, with an extension perhaps, counts
    for nothing: a default must not refuse a request."""
    found: dict[str, Any] = {}
    for own in settings.own_defaults:
        if (own.task, own.model) == (task, model):
            for name, value in own.values.items():
                with suppress(RequestError):
                    found.update(_read({name: value}, chosen, catalog))
    return found


def check_own(own: OwnDefaults, catalog: Catalog) -> None:
    """Raises `RequestError`, its field "own_defaults", unless a request could have the values. The model need not be
    here now."""
    try:
        task = (
            catalog.tasks[catalog.tasks.find(own.task)]
            if own.task
            else next(iter(catalog.tasks.values()))
        )
        values = {**DEFAULTS, **_read(own.values, task, catalog)}
        values |= {n: 0 for n, c in FIELDS.items() if isinstance(c, Seed) and values[n] == -1}
        for name, control in NAMED_OPTIONS.items():
            if (value := values.pop(name)) is not None:
                control.check(value)
        GenerationRequest(task=task.name, model=own.model, extras={}, **values)
    except RequestError as error:
        raise RequestError(str(error), "own_defaults") from None


def check(request: GenerationRequest, catalog: Catalog) -> None:
    """Raises `RequestError` unless a request is one that `complete` could have given: what an extension's
    `change_request` returned. Names must be exact, and values in their controls' own types."""
    task = catalog.tasks[_exact(catalog.tasks, request.task, "task")]
    models = catalog.models()
    problem = models[_exact(models, request.model, "model")].problem
    if problem is not None:
        raise RequestError(problem, "model")
    has = {control.name for control in task.flat_controls()}
    pictures: dict[str, Image.Image] = {}
    for name, control in FIELDS.items():
        value = getattr(request, name)
        if isinstance(control, Picture | Mask):
            if value is not None or (control.required and name in has):
                check_picture(name, value, "RGB" if isinstance(control, Picture) else "L")
                pictures[name] = value
        elif isinstance(control, Choice) and control.source:
            if value not in [meant for _, meant in control.choices]:
                _exact(registry_of(control, catalog), value, name)
        elif isinstance(value, str):
            check_text(name, value)
    for name, control in FIELDS.items():
        over = pictures.get(control.over) if isinstance(control, Mask) else None
        if over is not None and name in pictures and pictures[name].size != over.size:
            raise RequestError(Sentence("{name}: must have the picture's size", name=name), name)
    _check_mask(request)
    check_extras(task, request.extras, pictures, catalog)


def _exact(registry: Registry[Any], name: str, field: str) -> str:
    if name not in registry:
        hint = nearest(name, list(registry))
        raise RequestError(
            Sentence("{name} {value} is not known{hint}", name=field, value=repr(name), hint=hint),
            field,
        )
    return name


def _wrong_default(card: ModelCard, what: object) -> ModelFileError:
    return ModelFileError(
        Sentence("{path}, defaults: {what}", path=card.path / "easel.json", what=what)
    )


# --- Which values there are -----------------------------------------------------------------------


def _given(task: Task, values: Mapping[str, object]) -> dict[str, Any]:
    """The values that somebody gave, None left out, under names that the task has."""
    everywhere = [
        control.name for control in flat(controls_of())
    ]  # though a task may not show them
    known = list(dict.fromkeys([*everywhere, "extras", *_names(task)]))
    for name, value in values.items():
        if name not in known and (value is not None or name not in NAMES):
            raise RequestError(
                Sentence(
                    "{name} is no parameter of {task}{hint}",
                    name=repr(name),
                    task=task.name,
                    hint=nearest(name, known),
                ),
                name,
            )
    return {name: value for name, value in values.items() if value is not None}


def _with_options(task: Task, given: dict[str, Any]) -> Any:
    """Takes `extras` out of `given`, and into them the options that are given by name; a task that has none of them
    takes them as it takes any field that it does not show."""
    extras = given.pop("extras", None)
    named = {name: given.pop(name) for name in NAMED_OPTIONS if name in given}
    own = {name: value for name, value in named.items() if name in extra_controls(task)}
    for name in named.keys() - own.keys():
        NAMED_OPTIONS[name].read(named[name])
    return {**own, **extras} if isinstance(extras, Mapping) else own if extras is None else extras


def _names(task: Task) -> Sequence[str]:
    return [control.name for control in task.flat_controls() if control.name in FIELDS]


def _card(name: object, catalog: Catalog, settings: Settings) -> ModelCard:
    """The model of that name, or the first that can be used."""
    models = catalog.models()
    if name is not None:
        card = models[models.find(name)]
    elif models:
        cards = list(models.values())
        card = next((c for c in cards if c.problem is None), cards[0])
    else:
        folder = settings.models_dirs[-1] / "Stable-diffusion" if settings.models_dirs else "models"
        raise ModelFileError(
            Sentence(
                "there is no model: put one (a diffusers folder) into {folder}", folder=str(folder)
            )
        )
    if card.problem is not None:
        raise ModelFileError(card.problem)
    return card


# --- What they mean -------------------------------------------------------------------------------


def _read(values: Mapping[str, Any], task: Task, catalog: Catalog) -> dict[str, Any]:
    """Values in the request's own types and spelling. What cannot be read stays as it is, for
    `GenerationRequest` to refuse; an unknown name raises `RequestError`."""
    found = dict(values)
    own = {c.name: c for c in task.flat_controls() if isinstance(c, Choice)}
    for name, value in values.items():
        if isinstance(value, str):
            check_text(name, value)
        control = own.get(name, PLACED[name].control) if name in PLACED else None
        if control is not None and name != "sampler_name":
            found[name] = _value(control, value, catalog)
    if "sampler_name" in found:
        found["sampler_name"], schedule = sampler_and_schedule(found["sampler_name"], catalog)
        if schedule is not None:
            also = found.get("scheduler", "automatic")
            if also not in ("automatic", schedule):
                raise RequestError(
                    Sentence(
                        "sampler_name {sampler} says {schedule} and scheduler says {also}: give "
                        "one of them",
                        sampler=repr(values["sampler_name"]),
                        schedule=repr(schedule),
                        also=repr(also),
                    ),
                    "scheduler",
                )
            found["scheduler"] = schedule
    return found


def _value(control: Control, value: Any, catalog: Catalog) -> Any:
    try:
        return read_value(control, value, catalog)
    except RequestError:
        if isinstance(control, Choice) and control.source:
            raise
        return sized(control, value)


def sampler_and_schedule(name: object, catalog: Catalog) -> tuple[str, str | None]:
    """The sampler, and the schedule where the name ends with one's ("DPM++ 2M Karras")."""
    try:
        return catalog.samplers.find(name), None
    except RequestError:
        words = folded(name).split() if isinstance(name, str) and len(name) <= NAME_MAX else []
        for i in range(1, len(words)):
            try:
                sampler = catalog.samplers.find(" ".join(words[:i]))
                return sampler, catalog.schedules.find(" ".join(words[i:]))
            except RequestError:
                continue
        raise


# --- Pictures -------------------------------------------------------------------------------------


def _pictures(task: Task, given: dict[str, Any], catalog: Catalog) -> dict[str, Any]:
    """Takes the request's pictures out of `given`, opened; those that the task cannot do without must be there."""
    taken = {n: given.pop(n, None) for n, c in FIELDS.items() if isinstance(c, Picture | Mask)}
    found: dict[str, Image.Image] = {}
    own = [control for control in task.flat_controls() if control.name in taken]
    for control in own:
        name, value = control.name, taken[control.name]
        if value is not None:
            found[name] = read_value(control, value, catalog)
        elif FIELDS[name].required and isinstance(control, Mask):
            what = Sentence(
                "{name}: paint over what should change (or give a picture: white is repainted)",
                name=name,
            )
            raise RequestError(what, name)
        elif FIELDS[name].required:
            raise RequestError(
                Sentence(
                    "{name}: {task} starts from a picture; give one",
                    name=name,
                    task=Called(task.name, task.label),
                ),
                name,
            )
    for control in own:
        if isinstance(control, Mask) and control.name in found:
            found[control.name] = fitted(found[control.name], found.get(control.over))
    return found


def _size_of(image: Image.Image, given: Mapping[str, Any]) -> dict[str, int]:
    """Width and height for a picture: its own as far as allowed, in its proportions."""
    width, height = image.size
    scale = max(min(1.0, WIDTH.maximum / max(width, height)), WIDTH.minimum / min(width, height))
    for name, side in (("width", width), ("height", height)):
        if isinstance(given.get(name), int):
            scale = given[name] / side
    return {"width": WIDTH.nearest(width * scale), "height": WIDTH.nearest(height * scale)}


def _check_mask(request: GenerationRequest) -> None:
    if request.mask is not None:
        masked(request)
