"""The controls that tasks share, out of the declaration of a request's fields."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import cast

from webui.types.controls import Control, Group, Side, Text
from webui.types.requests import DECLARED, FIELDS, GROUPS, INPAINT

__all__ = [
    "COMMON",
    "ETA",
    "IMAGE",
    "INPAINTING",
    "MASK",
    "PROMPTS",
    "STRENGTH",
    "WIDTH",
    "controls_of",
]


def controls_of(task: str = "") -> tuple[Control | Group, ...]:
    """What a built-in task is drawn with: pictures and words, its own groups, then those of every task; without a name
    what every task has."""
    loose = [
        one.control for one in DECLARED.values() if not one.groups and of_task(one.tasks, task)
    ]
    return (*loose, *(group for group in map(partial(_filled, task), _groups()) if group.controls))


def _groups() -> list[Group]:
    """All groups by their places on the page; those that `GROUPS` does not place come last."""
    named = (group for one in DECLARED.values() for group in one.groups)
    return list({group.label: group for group in (*GROUPS, *named)}.values())


def _filled(task: str, group: Group) -> Group:
    """A group with the fields that a task has in it."""
    found = []
    for one in DECLARED.values():
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
STRENGTH, ETA = FIELDS["denoising_strength"], FIELDS["eta"]
WIDTH = cast(Side, FIELDS["width"])
INPAINTING = _filled("inpaint", INPAINT)
