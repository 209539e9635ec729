"""What a submission may hold, as JSON Schema, from the controls of the tasks there are."""

from __future__ import annotations

from typing import Any

from webui.registry import Catalog
from webui.types import PLACED, Choice, Control, Mask, Number, Picture, Seed, Switch

__all__ = ["submission"]


def submission(catalog: Catalog) -> dict[str, Any]:
    """The body of `POST /api/jobs` as OpenAPI describes bodies; what not all tasks take says whose it is."""
    own: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for control, tasks in _controls(catalog):
        where = own if control.name in PLACED else extras
        everywhere = len(tasks) == len(catalog.tasks)
        where[control.name] = _schema(control, "" if everywhere else f" ({', '.join(tasks)})")
    properties = {
        "task": {"type": "string", "enum": list(catalog.tasks)},
        "priority": {
            "type": "integer",
            "default": 0,
            "description": "of one owner's jobs the higher starts first",
        },
        **own,
        "extras": {
            "type": "object",
            "description": "the controls of extensions",
            "properties": extras,
        },
    }
    schema = {"type": "object", "required": ["task"], "properties": properties}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _controls(catalog: Catalog) -> list[tuple[Control, list[str]]]:
    """Every control of any task once, with the names of the tasks that have it."""
    found: dict[str, tuple[Control, list[str]]] = {}
    for task in catalog.tasks.values():
        for control in task.flat_controls():
            found.setdefault(control.name, (control, []))[1].append(task.name)
    return list(found.values())


def _schema(control: Control, whose: str) -> dict[str, Any]:
    words = control.label + (f": {control.info}" if control.info else "") + whose
    schema: dict[str, Any] = {"description": words, **_type(control)}
    if control.default is not None:
        schema["default"] = control.default
    return schema


def _type(control: Control) -> dict[str, Any]:
    match control:
        case Number():
            kind = "integer" if control.whole else "number"
            return {"type": kind, "minimum": control.minimum, "maximum": control.maximum}
        case Seed():
            return {"type": "integer", "minimum": -1}
        case Switch():
            return {"type": "boolean"}
        case Picture() | Mask():
            return {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/*"}
        case Choice() if not control.source:
            return {"enum": [value for _, value in control.choices]}
    return {"type": "string"}
