"""How a request's fields are declared: `steps: int = of(Number(label="Sampling steps", ...), 20)` in the class's body
is all that page, APIs, command line, infotext and documents know of a field.

The order in the body is that of the Gradio API's parameters: a new field goes to the end, where it moves no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any

from webui.types.controls import Control, Group, Mask, Picture, Seed

__all__ = ["NOTHING", "Declared", "declared", "of"]

NOTHING: Any = ...  # there is no last resort: somebody says what it is


@dataclass(frozen=True, slots=True)
class Declared:
    """A field of a request: its control; the value that it has where nobody and no model says one (`NOTHING` of a
    model's name and of pictures); the group that it stands in on the page, in a task the first that this has; without
    one it stands before the groups, in `tasks` (empty: in all)."""

    control: Control
    default: Any = NOTHING
    groups: tuple[Group, ...] = ()
    tasks: tuple[str, ...] = ()

    def belongs(self, task: str) -> bool:
        """Whether a built-in task has it."""
        places = [group.tasks for group in self.groups] or [self.tasks]
        return any(not tasks or task in tasks for tasks in places)


def of(
    control: Control,
    default: Any = NOTHING,
    *,
    before: Any = NOTHING,
    group: Group | tuple[Group, ...] = (),
    tasks: tuple[str, ...] = (),
) -> Any:
    """Declares a dataclass's field by a control. `default` is for one whose usual value models say themselves, so that
    the control has none; a seed's is drawn, and without a draw 0. `before` is what a request means that does not have
    the field, as it was kept before there was one, where that is not what a new one means."""
    resort = control.default if default is NOTHING else default
    groups = group if isinstance(group, tuple) else (group,)
    if isinstance(control, Picture | Mask):
        resort = NOTHING
    elif resort is None and default is NOTHING:
        resort = NOTHING
    metadata = {"declared": Declared(control, resort, groups, tasks)}
    if isinstance(control, Picture | Mask):
        return field(default=None, metadata=metadata)
    if isinstance(control, Seed):
        return field(default=max(0, control.default or 0), metadata=metadata)
    if before is not NOTHING:
        return field(default=before, metadata=metadata)
    if resort is NOTHING:
        return field(metadata=metadata)
    if isinstance(resort, list | dict):
        return field(default_factory=lambda: deepcopy(resort), metadata=metadata)
    return field(default=resort, metadata=metadata)


def declared(cls: type) -> Mapping[str, Declared]:
    """The declared fields of a dataclass by name, in the body's order; their controls have the fields' names."""
    found = {}
    for one in fields(cls):
        if isinstance(said := one.metadata.get("declared"), Declared):
            found[one.name] = replace(said, control=replace(said.control, name=one.name))
    return found
