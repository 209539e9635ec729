"""A sentence for people: English text that knows its own key and the values in it, so that a face may say it in
another language. Knows no language and no face."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Called", "Sentence", "joined", "kept", "with_keys"]

NAME = re.compile(r"\{(\w+)\}")


class Sentence(str):
    """English text made of `key` with the {names} in it replaced by `values`; a {name} without a value stays.
    What is no text and no number is told as the text that it makes.

    It is text like any other: logs, the command line and answers in JSON have its English, and so has whatever is put
    together from it. `str(sentence)`, and thereby `str(error)`, is still the sentence. A value may be a sentence too.
    """

    key: str
    values: Mapping[str, str | int | float]

    def __new__(cls, key: str, /, **given: Any) -> Sentence:
        values = {name: _plain(value) for name, value in given.items()}
        made = super().__new__(cls, NAME.sub(lambda at: str(values.get(at[1], at[0])), key))
        made.key, made.values = key, values
        return made

    @classmethod
    def named(cls, key: str) -> Sentence:
        """What a declaration calls something: a label, which is a key of its own (a control's, a task's)."""
        return cls(key)

    def filled(self, **values: Any) -> Sentence:
        """The same with values."""
        return type(self)(self.key, **values)

    def __str__(self) -> str:
        return self


def _plain(value: Any) -> str | int | float:
    """A value as JSON has it; of anything else, as of an error, what it says."""
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


class Called(Sentence):
    """A control inside a sentence: programs and logs read its name, people its label, which is a key."""

    def __new__(cls, name: str, label: str = "") -> Called:
        made = str.__new__(cls, name)
        made.key, made.values = label or name, {}
        return made


def joined(between: str, parts: Sequence[str]) -> Sentence:
    """Sentences side by side, each with its own key."""
    names = [f"part{place}" for place, _ in enumerate(parts)]
    key = between.join(f"{{{name}}}" for name in names)
    return Sentence.named(key).filled(**dict(zip(names, parts, strict=True)))


def kept(text: str | None, told: str | None) -> str | None:
    """A sentence as it was written down: its English, and the JSON of its keys where it had some."""
    if text is None or told is None:
        return text
    key, values = json.loads(told)
    made = str.__new__(Sentence, text)
    made.key, made.values = key, {name: _again(one) for name, one in values.items()}
    return made


def _again(told: Any) -> Any:
    if not isinstance(told, list):
        return told
    key, values = told
    return Sentence.named(key).filled(**{name: _again(one) for name, one in values.items()})


def with_keys(value: Any) -> Any:
    """`value`, JSON as a page is told it, with every sentence in it as [key, values], which the page says in its own
    language. Text that is no sentence is somebody's own words and stays; so is what a sentence's values are."""
    if isinstance(value, Sentence):
        return [value.key, {name: with_keys(one) for name, one in value.values.items()}]
    if isinstance(value, Mapping):
        return {name: with_keys(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [with_keys(one) for one in value]
    return value
