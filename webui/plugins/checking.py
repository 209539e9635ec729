"""What an extension registers, held against what its kind promises: one sentence for the first thing wrong."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from webui.errors import RequestError
from webui.types import (
    Choice,
    Conditioner,
    Control,
    GenerationRequest,
    Group,
    PostProcessor,
    Sampler,
    Schedule,
    Task,
    Upscaler,
)
from webui.types.values import plain

__all__ = ["FIELDS", "KINDS", "Kind", "control_problem", "extras_of", "value_problem"]

FIELDS = frozenset(field.name for field in fields(GenerationRequest))


@dataclass(frozen=True, slots=True)
class Kind:
    """What a `register_*` hook returns values of: its type, what a value is called, its function's field."""

    type: type
    noun: str
    function: str = ""


KINDS = {
    "register_tasks": Kind(Task, "task", "make"),
    "register_samplers": Kind(Sampler, "sampler", "make"),
    "register_schedules": Kind(Schedule, "schedule", "make"),
    "register_upscalers": Kind(Upscaler, "upscaler", "upscale"),
    "register_conditioners": Kind(Conditioner, "conditioner", "prepare"),
    "register_postprocessors": Kind(PostProcessor, "post-processor", "process"),
    "register_controls": Kind(Group, "group of controls"),
}


def value_problem(kind: Kind, value: Any) -> str:
    """Why `value` cannot be taken, as what follows its name in a sentence; "" where it can.

    Controls are looked at by `control_problem`, names that are taken by the register.
    """
    for name in ("label", "info"):
        if not isinstance(getattr(value, name, ""), str):
            return f"{name} is {type_of(getattr(value, name))}, not text"
    if kind.function and not callable(getattr(value, kind.function)):
        return f"{kind.function} is {type_of(getattr(value, kind.function))}, not a function"
    for name in ("aliases", "tasks"):
        if not texts(getattr(value, name, ())):
            return f"{name} is {getattr(value, name)!r}; write it as a tuple: ('one',)"
    priority = getattr(value, "priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int):
        return f"priority is {priority!r}, not a whole number"
    if isinstance(value, Sampler) and (problem := sampler_problem(value)):
        return problem
    if isinstance(value, Sampler | Schedule) and (problem := options_problem(value)):
        return problem
    if isinstance(value, Task) and not value.name.isidentifier():
        return "a task's name is a word of letters, digits and _, as its command and endpoint"
    controls = getattr(value, "controls", ())
    allowed = Control | Group if isinstance(value, Task) else Control
    if not isinstance(controls, tuple | list):
        return f"controls is {type_of(controls)}; write it as a tuple: (control,)"
    for item in controls:
        if not isinstance(item, allowed):
            return f"controls hold {type_of(item)}, which is no control"
        if isinstance(item, Group) and (problem := group_problem(item)):
            return problem
    return ""


def sampler_problem(sampler: Sampler) -> str:
    if not isinstance(sampler.schedule, str):
        return f"schedule is {type_of(sampler.schedule)}, not a schedule's name"
    if sampler.noise not in ("normal", "brownian"):
        return f"noise is {sampler.noise!r}; use 'normal' or 'brownian'"
    return ""


def options_problem(part: Sampler | Schedule) -> str:
    if not isinstance(part.options, tuple | list):
        return f"options is {type_of(part.options)}; write it as a tuple of controls: (control,)"
    wrong = [item for item in part.options if not isinstance(item, Control)]
    return f"options hold {type_of(wrong[0])}, which is no control" if wrong else ""


def group_problem(group: Group) -> str:
    if not isinstance(group.controls, tuple | list):
        return f"controls of {group.label!r} is {type_of(group.controls)}; write it as a tuple"
    wrong = [item for item in group.controls if not isinstance(item, Control)]
    return f"controls hold {type_of(wrong[0])}, which is no control" if wrong else ""


def control_problem(control: Control) -> str:
    """Why a control cannot be taken, as what follows its name in a sentence; "" where it can."""
    if not isinstance(control.name, str) or not control.name.isidentifier():
        return "a control's name is a word of letters, digits and _"
    if not isinstance(control.label, str) or not control.label.strip():
        return "it has no label"
    values = [value for _, value in control.choices] if isinstance(control, Choice) else []
    if control.default is not None:
        try:
            values.append(control.read(control.default))
        except RequestError as error:
            return f"it does not take its own default: {error}"
        except Exception as error:  # the boundary: a control's fields can be of any type
            return f"its default cannot be checked: {type(error).__name__}: {error}"
    try:
        plain(values)
    except ValueError as wrong:
        return f"it holds {wrong}"
    return ""


def extras_of(value: Any) -> list[Control]:
    """The controls of a value whose names are keys of `extras`: for a task, a sampler or a schedule those that are no
    fields of a request, for everything else all."""
    if isinstance(value, Task | Sampler | Schedule):
        own = value.flat_controls() if isinstance(value, Task) else value.options
        return [control for control in own if control.name not in FIELDS]
    return list(getattr(value, "controls", ()))


def texts(value: object) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(text, str) for text in value)


def type_of(value: object) -> str:
    return f"of type {type(value).__name__}"
