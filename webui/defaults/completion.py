"""A request out of loose values.

A value comes from the request, else from what the user chose for this model in this task, else for this model, else
from the model's own defaults, else from what the user chose for the task, else from the settings, else from
the task's controls, else from `settings.BUILT_IN`. Ranges are checked by `GenerationRequest` itself,
extensions' values by `webui.defaults.extras`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from PIL import Image

from webui.defaults.extras import (
    FIELDS,
    check_extras,
    check_picture,
    check_text,
    default_of,
    drawn_seed,
    extra_controls,
    fitted,
    read_extras,
)
from webui.errors import ModelFileError, RequestError
from webui.images import open_mask, open_picture
from webui.registry import NAME_MAX, Catalog, Registry, folded, nearest
from webui.settings import BUILT_IN, OwnDefaults, Settings
from webui.types import (
    WIDTH,
    Choice,
    GenerationRequest,
    Mask,
    ModelCard,
    Picture,
    Task,
)
from webui.types.masks import masked

__all__ = ["check", "check_own", "complete", "defaults_of", "sampler_and_schedule"]

NUMBERS = ("cfg_scale", "eta", "denoising_strength", "subseed_strength")
WHOLE_NUMBERS = (
    *("steps", "width", "height", "seed", "batch_size", "subseed", "clip_skip"),
    *("mask_blur", "inpainting_fill", "inpaint_full_res_padding"),
)
SWITCHES = ("inpaint_full_res", "inpainting_mask_invert")
# Every task takes these, whether it shows a control for them or not.
COMMON = (
    *("prompt", "negative_prompt", "model", "sampler_name", "scheduler", "steps", "cfg_scale"),
    *("width", "height", "seed", "batch_size", "eta", "subseed", "subseed_strength"),
    *("clip_skip", "vae", "missing", "extras"),
)


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
    extras = given.pop("extras", None)
    card = _card(given.pop("model", None), catalog, settings)
    pictures = _pictures(chosen, given)
    given = _read(given, chosen, catalog)
    if "image" in pictures:
        given = {**_size_of(pictures["image"], given), **given}
    found = {**defaults_of(chosen.name, card, catalog, settings), **given}
    if found["seed"] == -1:
        found["seed"] = drawn_seed()
    if found["subseed"] == -1:  # without a strength it means nothing, and equal requests are equal
        found["subseed"] = drawn_seed() if found["subseed_strength"] else 0
    try:
        request = GenerationRequest(
            task=chosen.name,
            model=card.name,
            extras=read_extras(chosen, extras, pictures, catalog),
            **pictures,
            **{name: found[name] for name in BUILT_IN},
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

    Every field of `BUILT_IN`, names in the registries' own spelling, and the task's other controls by
    their names. Raises `ModelFileError` where the model's defaults name something unknown.
    """
    chosen = catalog.tasks[task]
    controls = {c.name: c.default for c in chosen.flat_controls() if c.default is not None}
    settings = settings.now
    found = {**BUILT_IN, **controls, **settings.defaults}
    found = {**found, **_read(found, chosen, catalog)}
    found.update(_own(settings, task, "", chosen, catalog))
    for name, control in extra_controls(chosen).items():
        if control.default is not None:
            found[name] = default_of(control, catalog)
    if card is not None:
        unknown = [name for name in card.defaults if name not in BUILT_IN]
        if unknown:
            what = f"{unknown[0]!r} is no field of a request{nearest(unknown[0], list(BUILT_IN))}"
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
        values = {**BUILT_IN, "seed": 0, "subseed": 0, **_read(own.values, task, catalog)}
        values.update({name: 0 for name in ("seed", "subseed") if values[name] == -1})
        GenerationRequest(task=task.name, model=own.model, extras={}, **values)
    except RequestError as error:
        raise RequestError(str(error), "own_defaults") from None


def check(request: GenerationRequest, catalog: Catalog) -> None:
    """Raises `RequestError` unless a request is one that `complete` could have given: what an extension's
    `change_request` returned. Names must be exact, and values in their controls' own types."""
    task = catalog.tasks[_exact(catalog.tasks, request.task)]
    models = catalog.models()
    problem = models[_exact(models, request.model)].problem
    if problem is not None:
        raise RequestError(problem, "model")
    _exact(catalog.samplers, request.sampler_name)
    _exact(catalog.schedules, request.scheduler)
    _exact(catalog.vaes(), request.vae)
    check_text("prompt", request.prompt)
    check_text("negative_prompt", request.negative_prompt)
    own = {"image": (Picture, "RGB"), "mask": (Mask, "L")}
    controls = {c.name: c for c in task.flat_controls()}
    pictures: dict[str, Image.Image] = {}
    for name, (kind, mode) in own.items():
        picture = getattr(request, name)
        if picture is not None or isinstance(controls.get(name), kind):
            check_picture(name, picture, mode)
            pictures[name] = picture
    if len({picture.size for picture in pictures.values()}) > 1:
        raise RequestError("mask: must have the picture's size", "mask")
    _check_mask(request)
    check_extras(task, request.extras, pictures, catalog)


def _exact(registry: Registry[Any], name: str) -> str:
    if name not in registry:
        hint = nearest(name, list(registry))
        raise RequestError(f"{registry.field} {name!r} is not known{hint}", registry.field)
    return name


def _wrong_default(card: ModelCard, what: object) -> ModelFileError:
    return ModelFileError(f"{card.path / 'easel.json'}, defaults: {what}")


# --- Which values there are -----------------------------------------------------------------------


def _given(task: Task, values: Mapping[str, object]) -> dict[str, Any]:
    """The values that somebody gave, None left out, under names that the task has."""
    known = list(dict.fromkeys([*COMMON, *_names(task)]))
    for name, value in values.items():
        if name not in known and (value is not None or name not in FIELDS):
            raise RequestError(
                f"{name!r} is no parameter of {task.name}{nearest(name, known)}", name
            )
    return {name: value for name, value in values.items() if value is not None}


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
        raise ModelFileError(f"there is no model: put one (a diffusers folder) into {folder}")
    if card.problem is not None:
        raise ModelFileError(card.problem)
    return card


# --- What they mean -------------------------------------------------------------------------------


def _read(values: Mapping[str, Any], task: Task, catalog: Catalog) -> dict[str, Any]:
    """Values in the request's own types and spelling. What cannot be read stays as it is, for
    `GenerationRequest` to refuse; an unknown name raises `RequestError`."""
    found = dict(values)
    labels = {c.name: c.choices for c in task.flat_controls() if isinstance(c, Choice)}
    for name, value in values.items():
        if isinstance(value, str):
            check_text(name, value)
            for label, meant in labels.get(name, ()):
                if value.lower() == label.lower():
                    found[name] = meant
        else:
            found[name] = _number(name, value)
    if "vae" in found:
        found["vae"] = catalog.vaes().find(found["vae"])
    if "scheduler" in found:
        found["scheduler"] = catalog.schedules.find(found["scheduler"])
    if "sampler_name" in found:
        found["sampler_name"], schedule = sampler_and_schedule(found["sampler_name"], catalog)
        if schedule is not None:
            also = found.get("scheduler", "automatic")
            if also not in ("automatic", schedule):
                raise RequestError(
                    f"sampler_name {values['sampler_name']!r} says {schedule!r} "
                    f"and scheduler says {also!r}: give one of them",
                    "scheduler",
                )
            found["scheduler"] = schedule
    return found


def _number(name: str, value: object) -> object:
    """Numbers as JSON clients write them: 20.0 for 20, 7 for 7.0, 1 for true."""
    if isinstance(value, bool):
        return value
    if name in WHOLE_NUMBERS and isinstance(value, float) and value.is_integer():
        return int(value)
    if name in NUMBERS and isinstance(value, int):
        return float(value) if abs(value) < 2**53 else math.inf  # refused like any other
    if name in SWITCHES and isinstance(value, int) and value in (0, 1):
        return bool(value)
    return value


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


def _pictures(task: Task, given: dict[str, Any]) -> dict[str, Any]:
    """Takes `image` and `mask` out of `given`, opened; those that the task has must be there."""
    controls = {c.name: c for c in task.flat_controls()}
    image, mask = given.pop("image", None), given.pop("mask", None)
    found: dict[str, Image.Image] = {}
    if isinstance(controls.get("image"), Picture):
        if image is None:
            raise RequestError(f"image: {task.name} starts from a picture; give one", "image")
        found["image"] = open_picture(image, "image")
    if isinstance(controls.get("mask"), Mask):
        if mask is None:
            raise RequestError(
                "mask: paint over what should change (or give a picture: white is repainted)",
                "mask",
            )
        found["mask"] = fitted(open_mask(mask, "mask"), found.get("image"))
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
