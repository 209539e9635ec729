"""Controls: what a task or an extension asks of its user, as data that every face draws.

A control also knows which values it takes (`read`), so page, API and command line refuse with one sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from webui.errors import RequestError
from webui.sentences import Called, Sentence
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
    "Side",
    "Switch",
    "Text",
    "flat",
]

PROMPT_MAX = 20_000  # characters
SEED_MAX = 2**53 - 1  # what JSON carries exactly


def _finite(value: Any) -> bool:
    """Whether this is a number that a float can hold."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < math.inf and (isinstance(value, float) or abs(value) < 2**1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One value that a person sets. `name` is the request's field (or its key in `extras`); in the declaration of a
    field it is left out (`webui.types.fields`).

    `default=None` means "the model's own default" for a field of the request (`webui.defaults`), and "not
    given" for a key of `extras`. `hidden`: no face draws it; an extension sets it, and the infotext tells it.
    `required`: a program must give it. Values are plain JSON: what is declared as a tuple is a list.

    The infotext tells a value under the key `infotext` ("": of an extra its label, of a field nothing), unless it is
    `omit`, or the control named `when` is off, without which it means nothing. Where a text lacks the key, `omit`
    is what that means; with `always` the key is written all the same. `texts` are (text, value) pairs for values
    that a text calls otherwise than the program does.

    On the page the controls of a group stand in the order in which they are declared, lower `order` first.
    `advanced` is the title of a folded part of its group that it stands in; `width` the part of the group's width that
    it takes ("" is its kind's), `beside` the name of the control on whose right it stands in a row of their own.
    `shared` ones stand above all tabs, once. `short` is a shorter name that the command line takes as well.
    """

    name: str = ""
    label: str
    info: str = ""
    default: Any = None
    hidden: bool = False
    required: bool = False
    infotext: str = ""
    omit: Any = ...
    always: bool = False
    when: str = ""
    texts: tuple[tuple[str, Any], ...] = ()
    order: int = 0
    advanced: str = ""
    width: Literal["", "half", "full"] = ""
    beside: str = ""
    shared: bool = False
    short: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "default", as_lists(self.default))
        object.__setattr__(self, "omit", as_lists(self.omit))
        texts = tuple((text, as_lists(value)) for text, value in self.texts)
        object.__setattr__(self, "texts", texts)

    @property
    def called(self) -> Called:
        """What a sentence calls it: its name, or to people its label."""
        return Called(self.name, self.label)

    def read(self, value: Any) -> Any:
        """`value` in the control's own type; one that it does not take raises `RequestError`."""
        return value

    def check(self, value: Any) -> None:
        """Raises `RequestError` unless `value` is one that `read` could have given."""
        self.read(value)

    def told(self, value: Any) -> Any:
        """What the infotext tells of a value; None where it leaves that out."""
        if value is None or (value == self.omit and not self.always):
            return None
        return next((text for text, meant in self.texts if meant == value), value)

    def meant(self, text: str) -> Any:
        """What a value of the infotext stands for: one of `texts`, or itself, to be read."""
        return next((v for said, v in self.texts if said.lower() == text.lower()), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Control):
    """Words; `lines` is the height of the box. `prompt`: they are read as prompts are: extensions that change prompts
    change them, their tags and their length are checked when the request is accepted."""

    lines: int = 1
    prompt: bool = False

    def read(self, value: Any) -> str:
        return _text(self, value)


def _text(control: Control, value: Any) -> str:
    if not isinstance(value, str):
        given = {"name": control.called, "value": repr(value)}
        raise RequestError(Sentence("{name} {value}: give text", **given), control.name)
    if len(value) > PROMPT_MAX:
        what = Sentence(
            "{name}: {number} characters; use at most {most}",
            name=control.called,
            number=len(value),
            most=PROMPT_MAX,
        )
        raise RequestError(what, control.name)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Control):
    """A number from `minimum` to `maximum`; whole when `whole`; `step` is the grid of the slider."""

    minimum: float
    maximum: float
    step: float = 1
    whole: bool = False

    def read(self, value: Any) -> int | float:
        if not _finite(value) or (self.whole and value != int(value)):
            raise self._wrong(value)
        if not self.minimum <= value <= self.maximum:
            why = Sentence("{name} {value}: use {low} to {high}", **self._facts(value))
            raise RequestError(why, self.name)
        return int(value) if self.whole else float(value)

    def check(self, value: Any) -> None:
        self.read(value)
        if self.whole and not isinstance(value, int):
            raise self._wrong(value)

    def _wrong(self, value: Any) -> RequestError:
        facts = self._facts(value)
        if self.whole:
            why = Sentence("{name} {value}: give a whole number from {low} to {high}", **facts)
        else:
            why = Sentence("{name} {value}: give a number from {low} to {high}", **facts)
        return RequestError(why, self.name)

    def _facts(self, value: Any) -> dict[str, str]:
        low, high = f"{self.minimum:g}", f"{self.maximum:g}"
        return {"name": self.called, "value": repr(value), "low": low, "high": high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side(Number):
    """A side of a picture in pixels, a multiple of `step`. One `beside` another makes a size: the page draws what swaps
    them and what sets both at once."""

    whole: bool = True

    def read(self, value: Any) -> int:
        step, low, high = int(self.step), int(self.minimum), int(self.maximum)
        if _finite(value) and not low <= value <= high:
            raise RequestError(
                Sentence(
                    "{name} {value}: use {low} to {high} in steps of {step}",
                    name=self.called,
                    value=value,
                    low=low,
                    high=high,
                    step=step,
                ),
                self.name,
            )
        side = int(Number.read(self, value))
        if side % step:
            down = side - side % step
            near: list[int] = [v for v in (down, down + step) if low <= v <= high]
            both = {"low": down, "high": down + step}
            why = Sentence(
                "{name} {value}: use a multiple of {step} ({near})",
                name=self.called,
                value=side,
                step=step,
                near=Sentence("{low} or {high}", **both)
                if len(near) > 1
                else "".join(map(str, near)),
            )
            raise RequestError(why, self.name)
        return side

    def nearest(self, side: float) -> int:
        """The side nearest to a length that it takes."""
        step, low, high = int(self.step), int(self.minimum), int(self.maximum)
        return min(max(round(side / step) * step, low), high)


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
        value = as_lists(value)
        two = bool(self.choices) and all(isinstance(meant, bool) for _, meant in self.choices)
        if two and not isinstance(value, str) and value in (0, 1):  # as JSON clients write them
            value = bool(value)
        for _, meant in self.choices:
            if meant == value and isinstance(meant, bool) == isinstance(value, bool):
                return as_lists(meant)  # 1 for 1.0, as JSON writes it; a list of its own
        if isinstance(value, str):
            for label, meant in self.choices:
                if value.lower() in (label.lower(), *written(meant)):
                    return as_lists(meant)
        if self.source:
            return _text(self, value)  # the catalog's to find
        known = ", ".join(repr(meant) for _, meant in self.choices) or Sentence("nothing yet")
        raise _no_switch(self, value) if two else self._none(value, known)

    def check(self, value: Any) -> None:
        meant = self.read(value)
        if meant != value or isinstance(meant, bool) != isinstance(value, bool):
            two = isinstance(meant, bool)
            raise _no_switch(self, value) if two else self._none(value, repr(meant))

    def _none(self, value: Any, known: str) -> RequestError:
        facts = {"name": self.called, "value": repr(value), "known": known}
        return RequestError(Sentence("{name} {value}: use {known}", **facts), self.name)


def _no_switch(control: Control, value: Any) -> RequestError:
    facts = {"name": control.called, "value": repr(value)}
    return RequestError(Sentence("{name} {value}: give true or false", **facts), control.name)


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
            raise _no_switch(self, value)
        return bool(value)

    def check(self, value: Any) -> None:
        if not isinstance(value, bool):
            raise _no_switch(self, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(Control):
    """A picture that the user gives. It may be left out, unless `required`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask(Control):
    """A mask painted over the picture control named `over`; white = repaint."""

    over: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed(Control):
    """A whole number up to `maximum`; -1 draws one."""

    maximum: int = SEED_MAX

    def read(self, value: Any) -> int:
        if not _finite(value) or value != int(value):
            raise self._wrong(value)
        if not -1 <= value <= self.maximum:
            raise self._wrong(value, number=True)
        return int(value)

    def check(self, value: Any) -> None:
        """A seed that was drawn is no -1 any more."""
        if self.read(value) == -1 or not isinstance(value, int):
            raise self._wrong(value, number=isinstance(value, int))

    def _wrong(self, value: Any, number: bool = False) -> RequestError:
        facts = {"name": self.called, "value": repr(value), "most": str(self.maximum)}
        if number:
            why = Sentence("{name} {value}: use 0 to {most} (-1 draws one)", **facts)
        else:
            why = Sentence(
                "{name} {value}: give a whole number from 0 to {most} (-1 draws one)", **facts
            )
        return RequestError(why, self.name)


@dataclass(frozen=True, slots=True)
class Group:
    """Controls that belong together; folded unless `open`.

    `tasks` matters for a group that is added to tabs, by an extension or by the declaration of a field: the names of
    the tasks that it belongs to; empty is every task that samples. A control's name is its key in `request.extras`.
    """

    label: str
    controls: tuple[Control, ...] = ()
    open: bool = False
    tasks: tuple[str, ...] = ()


def flat(items: Iterable[Control | Group]) -> tuple[Control, ...]:
    """Controls, groups opened, in order."""
    found: list[Control] = []
    for item in items:
        found.extend(item.controls if isinstance(item, Group) else (item,))
    return tuple(found)
