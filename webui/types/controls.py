"""Controls: what a task or an extension asks of its user, as data that every face draws.

A control also knows which values it takes (`read`), so page, API and command line refuse with one sentence.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from webui.errors import RequestError
from webui.types.values import as_lists

__all__ = [
    "PROMPT_MAX",
    "SEED_MAX",
    "Choice",
    "Control",
    "Group",
    "Mask",
    "Number",
    "Picture",
    "Seed",
    "Switch",
    "Text",
]

PROMPT_MAX = 20_000  # characters
SEED_MAX = 2**53 - 1  # what JSON carries exactly


def _finite(value: Any) -> bool:
    """Whether this is a number that a float can hold."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < math.inf and (isinstance(value, float) or abs(value) < 2**1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One value that a person sets. `name` is the request's field (or its key in `extras`).

    `default=None` means "the model's own default" for a field of the request (`webui.defaults`), and "not
    given" for a key of `extras`. `hidden`: no face draws it; an extension sets it, and the infotext tells it.
    Values are plain JSON: what is declared as a tuple is a list.
    """

    name: str
    label: str
    info: str = ""
    default: Any = None
    hidden: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "default", as_lists(self.default))

    def read(self, value: Any) -> Any:
        """`value` in the control's own type; one that it does not take raises `RequestError`."""
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Control):
    """Words; `lines` is the height of the box. `prompt`: they are read as prompts are: extensions that change prompts
    change them, their tags and their length are checked when the request is accepted."""

    lines: int = 1
    prompt: bool = False

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise RequestError(f"{self.name} {value!r}: give text", self.name)
        if len(value) > PROMPT_MAX:
            what = f"{len(value)} characters; use at most {PROMPT_MAX}"
            raise RequestError(f"{self.name}: {what}", self.name)
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Control):
    """A number from `minimum` to `maximum`; whole when `whole`; `step` is the grid of the slider."""

    minimum: float
    maximum: float
    step: float = 1
    whole: bool = False

    def read(self, value: Any) -> int | float:
        kind = "a whole number" if self.whole else "a number"
        if not _finite(value) or (self.whole and value != int(value)):
            what = f"give {kind} from {self.minimum:g} to {self.maximum:g}"
            raise RequestError(f"{self.name} {value!r}: {what}", self.name)
        if not self.minimum <= value <= self.maximum:
            what = f"use {self.minimum:g} to {self.maximum:g}"
            raise RequestError(f"{self.name} {value!r}: {what}", self.name)
        return int(value) if self.whole else float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Control):
    """One of `choices` as (label, value) pairs, or of a registry named by `source`.

    `source` is "models", "samplers", "schedules", "upscalers" or "vaes": the face asks the catalog when it draws.
    """

    choices: tuple[tuple[str, Any], ...] = ()
    source: Literal["", "models", "samplers", "schedules", "upscalers", "vaes"] = ""

    def __post_init__(self) -> None:
        Control.__post_init__(self)
        if not all(isinstance(one, tuple | list) and len(one) == 2 for one in self.choices):
            raise ValueError(f"choices of {self.name!r}: write them as (label, value) pairs")
        choices = tuple((label, as_lists(value)) for label, value in self.choices)
        object.__setattr__(self, "choices", choices)

    def read(self, value: Any) -> Any:
        """The value of a choice, found by its value or, in any case, by its label or its value as text."""
        if self.source:
            return value  # the catalog's to find
        value = as_lists(value)
        for _, meant in self.choices:
            if meant == value and isinstance(meant, bool) == isinstance(value, bool):
                return as_lists(meant)  # 1 for 1.0, as JSON writes it; a list of its own
        if isinstance(value, str):
            for label, meant in self.choices:
                if value.lower() in (label.lower(), *written(meant)):
                    return as_lists(meant)
        known = ", ".join(repr(meant) for _, meant in self.choices) or "nothing yet"
        raise RequestError(f"{self.name} {value!r}: use {known}", self.name)


def written(value: Any) -> tuple[str, ...]:
    """A choice's value as people, menus and infotexts write it, in small letters; a list also as a tuple, which it
    once was."""
    found = str(value).lower()
    if isinstance(value, list | dict):
        older = str(_tuple(value)).lower()
        return found, older, json.dumps(value, ensure_ascii=False).lower()
    return (found,)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Control):
    """On or off."""

    def read(self, value: Any) -> bool:
        if value not in (True, False):  # 1 and 0 too, as JSON clients write them
            raise RequestError(f"{self.name} {value!r}: give true or false", self.name)
        return bool(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(Control):
    """A picture that the user gives. Under `extras` it may be left out, unless `required`."""

    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask(Control):
    """A mask painted over the picture control named `over`; white = repaint."""

    over: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed(Control):
    """A whole number; -1 draws one."""

    def read(self, value: Any) -> int:
        if not _finite(value) or not -1 <= value <= SEED_MAX or value != int(value):
            what = f"give a whole number from 0 to {SEED_MAX} (-1 draws one)"
            raise RequestError(f"{self.name} {value!r}: {what}", self.name)
        return int(value)


@dataclass(frozen=True, slots=True)
class Group:
    """Controls that belong together; folded unless `open`.

    `tasks` matters for a group that an extension adds to tabs: the names of the tasks that it belongs to;
    empty is every task that samples. A control's name is its key in `request.extras`.
    """

    label: str
    controls: tuple[Control, ...]
    open: bool = False
    tasks: tuple[str, ...] = ()
