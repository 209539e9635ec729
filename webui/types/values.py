"""The values that a request carries: plain JSON, and pictures.

They come as JSON, are kept as JSON and are told as JSON. So each is brought to JSON's own form before it is accepted:
what a job finds after a restart is what it was given.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["DEPTH_MAX", "as_lists", "has_picture", "plain"]

DEPTH_MAX = 32  # of lists and objects in each other
DIGITS_MAX = 300  # of a whole number: what a float could hold
WRITE = "use text, finite numbers, true, false, null, and lists and objects of those"


def plain(value: Any) -> Any:
    """`value` as JSON gives it back, in containers of its own: tuples are lists, kinds of numbers and texts are
    numbers and texts. Pillow's pictures stay as they are. Raises `ValueError` with what is wrong with any other."""
    return _plain(value, DEPTH_MAX)


def _plain(value: Any, depth: int) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return _text(value)
        case int():
            if abs(value) >= 10**DIGITS_MAX:
                raise ValueError(f"a number of more than {DIGITS_MAX} digits")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"the number {value!r}; {WRITE}")
            return float(value)
    if _is_picture(value):
        return value
    if not isinstance(value, list | tuple | Mapping):
        raise ValueError(f"a value of type {type(value).__name__}; {WRITE}")
    if not depth:
        raise ValueError(f"more than {DEPTH_MAX} lists or objects in each other")
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, depth - 1) for key, item in value.items()}
    return [_plain(item, depth - 1) for item in value]


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character; send valid Unicode") from None
    return str.__str__(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"an object with the key {key!r}; use text for its keys")
    return _text(key)


def as_lists(value: Any, depth: int = DEPTH_MAX) -> Any:
    """`value` with lists for tuples, as deep as a plain value goes; everything else stays."""
    if depth and isinstance(value, list | tuple):
        return [as_lists(item, depth - 1) for item in value]
    if depth and isinstance(value, Mapping):
        return {key: as_lists(item, depth - 1) for key, item in value.items()}
    return value


def has_picture(value: Any) -> bool:
    """Whether a plain value is a picture, or one is in it."""
    match value:
        case list():
            return any(map(has_picture, value))
        case dict():
            return any(map(has_picture, value.values()))
    return _is_picture(value)


def _is_picture(value: Any) -> bool:
    pillow = sys.modules.get("PIL.Image")  # who has opened a picture has loaded it
    return pillow is not None and isinstance(value, pillow.Image)
