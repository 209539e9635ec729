"""The values of a request are plain JSON: what `json` writes and reads is the value itself."""

from __future__ import annotations

import enum
import json
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.engine.conftest import request
from webui.errors import RequestError
from webui.types.values import DEPTH_MAX, has_picture, plain

PICTURE = Image.new("RGB", (8, 8))


class Shade(enum.StrEnum):
    DARK = "dark"


class Level(enum.IntEnum):
    HIGH = 3


def anything(draw: random.Random, depth: int = 3) -> Any:
    leaves = [
        None,
        True,
        0,
        -7,
        2**60,
        0.5,
        "",
        "ein Löwe 🦁",
        Shade.DARK,
        Level.HIGH,
        np.float64(0.25),
    ]
    kind = draw.randrange(5) if depth else 4
    many = range(draw.randrange(4))
    if kind == 0:
        return tuple(anything(draw, depth - 1) for _ in many)
    if kind == 1:
        return [anything(draw, depth - 1) for _ in many]
    if kind == 2:
        return {
            draw.choice(["picture", "values", "x", "ü"]): anything(draw, depth - 1) for _ in many
        }
    return draw.choice(leaves)


def same_kinds(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_kinds(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same_kinds, a, b))
    return bool(a == b)


def test_a_value_is_what_json_makes_of_it():
    draw = random.Random(5)
    for _ in range(500):
        given = anything(draw)
        found = plain(given)
        assert same_kinds(found, json.loads(json.dumps(found))), given
        assert found == json.loads(json.dumps(given)) and same_kinds(plain(found), found)


def test_what_is_given_is_not_shared():
    given = {"points": [[1, 2]]}
    found = plain(given)
    given["points"][0].append(3)
    assert found == {"points": [[1, 2]]}


def nested(depth: int) -> Any:
    value: Any = ()
    for _ in range(depth - 1):
        value = (value,)
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({1, 2}, "a value of type set"),
        (b"x", "a value of type bytes"),
        (object(), "a value of type object"),
        ([np.zeros(2)], "a value of type ndarray"),
        (np.int64(2), "a value of type int64"),
        ({"a": math.nan}, "the number nan"),
        (-math.inf, "the number -inf"),
        ([10**5000], "more than 300 digits"),
        ({1: "x"}, "the key 1"),
        (["\ud800"], "half a character"),
        ({"\ud800": 1}, "half a character"),
        (nested(DEPTH_MAX + 1), "in each other"),
    ],
)
def test_what_is_no_json_is_refused_with_the_controls_name(value, says):
    with pytest.raises(RequestError, match=says) as caught:
        request(extras={"odd": value})
    assert caught.value.field == "odd" and str(caught.value).startswith("odd holds ")
    assert "\n" not in str(caught.value)


def test_a_request_holds_plain_values_however_it_is_made():
    made = request(extras={"grid": (3, (2, "x")), "by": {"a": (1,)}})
    changed = replace(request(), extras={"grid": (3, (2, "x")), "by": {"a": (1,)}})
    for one in (made, changed):
        assert dict(one.extras) == {"grid": [3, [2, "x"]], "by": {"a": [1]}}
    assert plain(nested(DEPTH_MAX)) is not None


def test_pictures_are_known_at_any_depth():
    given = {"hints": ({"of": PICTURE}, 2), "words": ("a",)}
    one = request(extras=given)
    assert one.extras["hints"][0]["of"] is PICTURE
    assert has_picture(one.extras["hints"]) and not has_picture(one.extras["words"])
    assert dict(one.without_pictures().extras) == {"hints": None, "words": ["a"]}
