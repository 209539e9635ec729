"""A sentence for people: English text that knows its own key and the values in it, so that a face may say it in
another language. Knows no language and no face."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Sentence", "with_keys"]

NAME = re.compile(r"\{(\w+)\}")


class Sentence(str):
    """English text made of `key` with the {names} in it replaced by `values`; a {name} without a value stays.

    It is text like any other: logs, the command line and answers in JSON have its English, and so has whatever is put
    together from it. `str(sentence)`, and thereby `str(error)`, is still the sentence. A value may be a sentence too.
    """

    key: str
    values: Mapping[str, str | int | float]

    def __new__(cls, key: str, /, **values: str | int | float) -> Sentence:
        made = super().__new__(cls, NAME.sub(lambda at: str(values.get(at[1], at[0])), key))
        made.key, made.values = key, values
        return made

    @classmethod
    def named(cls, key: str) -> Sentence:
        """What a declaration calls something: a label, which is a key of its own (a control's, a task's)."""
        return cls(key)

    def filled(self, **values: str | int | float) -> Sentence:
        """The same with values."""
        return type(self)(self.key, **values)

    def __str__(self) -> str:
        return self


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
