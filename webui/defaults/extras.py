"""The values of controls that are no fields of a request ("extras"): completed, read and checked.

Each control's own declaration says what it takes; the catalog knows the names of registries, and
`webui.images` opens pictures. No extension is known by name here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from PIL import Image

from webui import types
from webui.errors import RequestError, Sentence
from webui.images import open_mask, open_picture
from webui.registry import Catalog, Registry, nearest
from webui.sentences import Called
from webui.types import NAMED_OPTIONS, Choice, Control, Mask, Picture, Seed, Task
from webui.types.values import as_lists

__all__ = [
    "FIELDS",
    "check_extras",
    "check_picture",
    "check_text",
    "default_of",
    "drawn_seed",
    "extra_controls",
    "fitted",
    "read_extras",
    "read_value",
    "registry_of",
    "sized",
]

DIGITS = 10**20  # a whole number from which on nobody wants to read it in a sentence
FIELDS = frozenset((*types.FIELDS, "task", "extras"))  # names that no extra has


def extra_controls(task: Task) -> dict[str, Control]:
    """The controls of a task whose values travel in `extras`, by name."""
    return {c.name: c for c in task.flat_controls() if c.name not in FIELDS}


def read_extras(
    task: Task,
    extras: object,
    pictures: Mapping[str, Image.Image],
    catalog: Catalog,
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> Mapping[str, Any]:
    """Every extra of a task: given values in their controls' own types and spelling, the rest by `usual`, else by
    default.

    `pictures` are the request's own (`image`, `mask`), by which masks are sized. A value that a control
    does not take raises `RequestError` with the control's name.
    """
    given = _known(task, {} if extras is None else extras)
    found: dict[str, Any] = {}
    for name, control in extra_controls(task).items():
        value = given.get(name)
        if value is None and name in NAMED_OPTIONS:
            value = usual.get(name)
        if value is not None:
            found[name] = read_value(control, value, catalog)
        elif isinstance(control, Picture) and control.required:
            raise RequestError(
                Sentence(
                    "{name}: {task} needs a picture here; give one",
                    name=name,
                    task=Called(task.name, task.label),
                ),
                name,
            )
        else:
            found[name] = default_of(control, catalog)
        if isinstance(control, Seed) and found[name] == -1:
            found[name] = drawn_seed()
    for name, control in extra_controls(task).items():
        if isinstance(control, Mask) and found[name] is not None:
            found[name] = fitted(found[name], found.get(control.over) or pictures.get(control.over))
    return MappingProxyType(found)


def default_of(control: Control, catalog: Catalog) -> Any:
    """A control's default in its registry's spelling; of names that are not there, the first that is."""
    if not isinstance(control, Choice) or not control.source or control.default is None:
        return control.default
    try:
        return _named(control, control.default, catalog)
    except RequestError:
        return next(iter(registry_of(control, catalog)), None)


def check_extras(
    task: Task, extras: object, pictures: Mapping[str, Image.Image], catalog: Catalog
) -> None:
    """Raises `RequestError` unless `extras` are as `read_extras` gives them."""
    given = _known(task, extras)
    for name, control in extra_controls(task).items():
        if name not in given:
            raise RequestError(Sentence("extras: {name} is missing", name=repr(name)), name)
        value = given[name]
        if value is None:
            needed = isinstance(control, Picture) and control.required
            if needed or default_of(control, catalog) is not None:
                raise RequestError(Sentence("{name}: there is no value", name=name), name)
        elif isinstance(control, Picture):
            check_picture(name, value, "RGB")
        elif isinstance(control, Mask):
            check_picture(name, value, "L")
            over = given.get(control.over) or pictures.get(control.over)
            if over is not None and value.size != over.size:
                raise RequestError(
                    Sentence("{name}: must have the size of the picture under it", name=name), name
                )
        else:
            meant = as_lists(read_value(control, value, catalog))
            if meant != value or (isinstance(control, Seed) and value == -1):
                what = Sentence("a seed that is drawn") if meant == -1 else repr(meant)
                raise RequestError(
                    Sentence(
                        "{name} {value}: give {what}", name=name, value=repr(value), what=what
                    ),
                    name,
                )


def check_picture(name: str, value: object, mode: str) -> None:
    """Raises `RequestError` unless `value` is a Pillow picture of that mode."""
    if not isinstance(value, Image.Image) or value.mode != mode:
        found = repr(value)
        if isinstance(value, Image.Image):
            found = Sentence("a picture of mode {mode}", mode=value.mode)
        raise RequestError(
            Sentence(
                "{name}: {found}; give a Pillow picture of mode {mode}",
                name=name,
                found=found,
                mode=mode,
            ),
            name,
        )


def check_text(name: str, text: str) -> None:
    """Raises `RequestError` for text that no file could hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(
            Sentence("{name}: holds half a character; send valid Unicode", name=name), name
        ) from None


def drawn_seed() -> int:
    return random.SystemRandom().randrange(2**32)


def fitted(mask: Image.Image, picture: Image.Image | None) -> Image.Image:
    """A mask at the size of the picture that it lies over."""
    if picture is None or mask.size == picture.size:
        return mask
    return mask.resize(picture.size, Image.Resampling.BILINEAR)


# --- One value ------------------------------------------------------------------------------------


def _known(task: Task, extras: object) -> Mapping[str, Any]:
    if not isinstance(extras, Mapping):
        raise RequestError(
            Sentence("extras {extras}: give a JSON object", extras=repr(extras)), "extras"
        )
    known = list(extra_controls(task))
    for name in extras:
        if name not in known:
            what = Sentence(
                "{name} is no control of {task}{hint}",
                name=repr(name),
                task=task.name,
                hint=nearest(name, known),
            )
            raise RequestError(Sentence("extras: {what}", what=what), "extras")
    return extras


def read_value(control: Control, value: Any, catalog: Catalog) -> Any:
    if isinstance(value, str):
        check_text(control.name, value)
    match control:
        case Picture():
            return open_picture(value, control.name)
        case Mask():
            return open_mask(value, control.name)
        case Choice() if control.source:
            return _named(control, value, catalog)
    return control.read(sized(control, value))


def sized(control: Control, value: Any) -> Any:
    """Numbers as JSON clients write them: 2 for a choice of 2.0, and ones too large for a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(control, Choice):
        known = [m for _, m in control.choices if not isinstance(m, bool) and m == value]
        return known[0] if known else value
    if isinstance(value, int) and abs(value) >= DIGITS:
        return math.inf if value > 0 else -math.inf  # refused like any other
    return value


def _named(control: Choice, value: Any, catalog: Catalog) -> Any:
    """The exact name, in the registry that the choice is of, or one of its further `choices`."""
    if control.choices:
        try:
            return replace(control, source="").read(value)
        except RequestError:
            pass  # a name of the registry, then
    registry = registry_of(control, catalog)
    try:
        name = registry.find(value)
    except RequestError:
        hint = nearest(value, list(registry))
        raise RequestError(
            Sentence(
                "{name} {value} is not known{hint}", name=control.name, value=repr(value), hint=hint
            ),
            control.name,
        ) from None
    problem = getattr(registry[name], "problem", None)  # a model that cannot be used
    if problem:
        raise RequestError(
            Sentence("{name}: {problem}", name=control.called, problem=problem), control.name
        )
    return name


def registry_of(control: Choice, catalog: Catalog) -> Registry[Any]:
    """The names that a choice with a `source` may take."""
    match control.source:
        case "models":
            return catalog.models()
        case "samplers":
            return catalog.samplers
        case "schedules":
            return catalog.schedules
        case "upscalers":
            return catalog.upscalers
        case "vaes":
            return catalog.vaes()
    raise AssertionError(f"{control.name}: no registry {control.source!r}")
