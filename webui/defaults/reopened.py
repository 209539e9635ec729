"""The values of a form out of a request that was accepted once: what a job was asked for with."""

from __future__ import annotations

from typing import Any

from webui.defaults.extras import default_of, read_value
from webui.defaults.infotexts import Taken
from webui.errors import RequestError
from webui.registry import Catalog
from webui.sentences import Sentence
from webui.types import DEFAULTS, FIELDS, GenerationRequest, Mask, Picture, Seed, Task

__all__ = ["from_request"]


def from_request(request: GenerationRequest, task: Task, catalog: Catalog) -> Taken:
    """`request`'s values for the controls of its task, pictures left out; what is not here any more is told."""
    values: dict[str, Any] = {}
    notes: list[str] = []
    for control in task.flat_controls():
        if isinstance(control, Picture | Mask):
            continue
        if control.name == "model":
            card = catalog.models().get(request.model)
            if card is not None and card.problem is None:
                values["model"] = request.model
            else:
                notes.append(
                    Sentence(
                        "The model “{name}” is not here; the one that is chosen stays.",
                        name=request.model,
                    )
                )
            continue
        if (
            isinstance(control, Seed)
            and control.when in FIELDS
            and not request.value_of(control.when)
        ):
            value = DEFAULTS[control.name]  # it meant nothing, and was none that somebody chose
        elif control.name in FIELDS:
            value = getattr(request, control.name)
        elif control.name in request.extras:
            value = request.extras[control.name]
        else:
            value = default_of(control, catalog) if control.default is not None else None
        try:
            values[control.name] = None if value is None else read_value(control, value, catalog)
        except RequestError:
            notes.append(
                Sentence("{key} “{said}” cannot be used here.", key=control.label, said=str(value))
            )
    return Taken(values, tuple(notes))
