"""A sentence for people: English text that knows its own key and the values in it, so that a face may say it in
another language. Knows no language and no face."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["Sentence", "said"]

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

    def __str__(self) -> str:
        return self


def said(text: str) -> list[Any]:
    """[key, values] of a sentence, as JSON, for who translates it; a text that is none is its own key, without values.
    A value that is a sentence is such a pair."""
    if not isinstance(text, Sentence):
        return [text, {}]
    values = {
        name: said(value) if isinstance(value, Sentence) else value
        for name, value in text.values.items()
    }
    return [text.key, values]
