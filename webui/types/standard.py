"""The controls that tasks share, out of the declaration of a request's fields, and those options of our samplers that
stand among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, cast

from webui.types.controls import Control, Group, Number, Side, Text
from webui.types.fields import NOTHING, Declared
from webui.types.requests import DECLARED, FIELDS, GROUPS, INPAINT, SAMPLING

__all__ = [
    "COMMON",
    "DEFAULTS",
    "ETA",
    "IMAGE",
    "INPAINTING",
    "MASK",
    "NAMED_OPTIONS",
    "PLACED",
    "PROMPTS",
    "RESIZE_MODE",
    "STRENGTH",
    "WIDTH",
    "controls_of",
]

ETA = Number(
    name="eta",
    label="Eta",
    info="Fresh noise a step, for Euler a and DDIM; empty is the method's own",
    minimum=0,
    maximum=1,
    step=0.05,
    infotext="Eta",
    omit=None,
)
# Options of samplers that programs give, and are told, by name beside the fields, each behind the field of its key
# here; its value is one of `extras`.
BEHIND = {"vae": Declared(ETA, None, (SAMPLING,))}
NAMED_OPTIONS = MappingProxyType({one.control.name: one.control for one in BEHIND.values()})


def _placed() -> Iterator[Declared]:
    for name, one in DECLARED.items():
        yield one
        if name in BEHIND:
            yield BEHIND[name]


# What page and APIs show in the fields' places, in the order of the Gradio API's parameters.
PLACED: Mapping[str, Declared] = MappingProxyType({one.control.name: one for one in _placed()})
# What each is where neither a request nor its model, its task or the settings say it; -1 of a seed is a drawn one.
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {name: one.default for name, one in PLACED.items() if one.default is not NOTHING}
)


def controls_of(task: str = "") -> tuple[Control | Group, ...]:
    """What a built-in task is drawn with: pictures and words, its own groups, then those of every task; without a name
    what every task has."""
    loose = [one.control for one in PLACED.values() if not one.groups and of_task(one.tasks, task)]
    return (*loose, *(group for group in map(partial(_filled, task), _groups()) if group.controls))


def _groups() -> list[Group]:
    """All groups by their places on the page; those that `GROUPS` does not place come last."""
    named = (group for one in PLACED.values() for group in one.groups)
    return list({group.label: group for group in (*GROUPS, *named)}.values())


def _filled(task: str, group: Group) -> Group:
    """A group with the fields that a task has in it."""
    found = []
    for one in PLACED.values():
        place = next((own for own in one.groups if of_task(own.tasks, task)), None)
        if place is not None and place.label == group.label:
            found.append(one.control)
    return replace(
        group, controls=tuple(sorted(found, key=lambda control: control.order)), tasks=()
    )


def of_task(tasks: tuple[str, ...], task: str) -> bool:
    return not tasks or task in tasks


PROMPTS = tuple(one for one in controls_of() if isinstance(one, Text))
COMMON = tuple(one for one in controls_of() if isinstance(one, Group))
IMAGE, MASK = FIELDS["image"], FIELDS["mask"]
STRENGTH, RESIZE_MODE = FIELDS["denoising_strength"], FIELDS["resize_mode"]
WIDTH = cast(Side, FIELDS["width"])
INPAINTING = _filled("inpaint", INPAINT)
