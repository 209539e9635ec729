"""Which values a control takes, by its declaration."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest

from webui.errors import RequestError
from webui.types import PROMPT_MAX, SEED_MAX, Choice, Control, Number, Seed, Switch, Text

WEIGHT = Number(name="weight", label="Weight", minimum=-1, maximum=2)
COUNT = Number(name="count", label="Count", minimum=1, maximum=9, whole=True)
PAPER = Choice(
    name="paper", label="Paper", choices=(("Plain", "p"), ("Rice paper", 1), ("On", True))
)
WORDS, SEED, SWITCH = (
    Text(name="words", label="Words"),
    Seed(name="seed", label="Seed"),
    Switch(name="switch", label="Switch"),
)


@pytest.mark.parametrize(
    ("control", "given", "meant"),
    [
        (WORDS, "", ""),
        (WORDS, "x" * PROMPT_MAX, "x" * PROMPT_MAX),
        (WEIGHT, -1, -1.0),
        (WEIGHT, 2.0, 2.0),
        (COUNT, 9, 9),
        (COUNT, 3.0, 3),
        (SEED, -1, -1),
        (SEED, SEED_MAX, SEED_MAX),
        (SEED, 5.0, 5),
        (SWITCH, True, True),
        (SWITCH, 0, False),
        (PAPER, "p", "p"),
        (PAPER, "PLAIN", "p"),
        (PAPER, "rice paper", 1),
        (PAPER, 1, 1),
        (PAPER, True, True),
        (Choice(name="model", label="Model", source="models"), "any", "any"),
    ],
)
def test_what_a_control_takes_comes_in_its_own_type(control, given, meant):
    found = control.read(given)
    assert found == meant and type(found) is type(meant)


FOLDED = Choice(
    name="fold",
    label="Fold",
    choices=(("Flat", ()), ("In four", (2, ("x", 2.0))), ("By name", {"at": (1, 2)})),
    default=(2, ("x", 2.0)),
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ((2, ("x", 2)), [2, ["x", 2.0]]),
        ([2, ["x", 2.0]], [2, ["x", 2.0]]),
        ("in four", [2, ["x", 2.0]]),
        ('[2, ["x", 2.0]]', [2, ["x", 2.0]]),  # as menus and infotexts write it
        ("(2, ('x', 2.0))", [2, ["x", 2.0]]),  # as infotexts of before do
        ([], []),
        ({"at": [1, 2]}, {"at": [1, 2]}),
        (MappingProxyType({"at": (1, 2)}), {"at": [1, 2]}),
    ],
)
def test_a_choice_of_several_values_is_a_list_however_it_is_written(given, meant):
    assert FOLDED.read(given) == meant
    assert FOLDED.default == [2, ["x", 2.0]] == FOLDED.read(FOLDED.default)
    with pytest.raises(ValueError, match="choices of 'x': write them as"):
        Choice(name="x", label="X", choices=("one", "two"))  # type: ignore[arg-type]
    deep: list[Any] = []
    for _ in range(700):
        deep = [deep]
    with pytest.raises(RequestError, match="fold"):
        FOLDED.read(deep)


WRONG: list[tuple[Control, object]] = [
    *((WORDS, value) for value in (5, None, ["a"], b"a", "x" * (PROMPT_MAX + 1))),
    *((WEIGHT, value) for value in (-1.01, 2.5, "1", True, None, math.nan, math.inf, [1], {})),
    *((COUNT, value) for value in (0, 10, 1.5, "3", False, -math.inf)),
    *((SEED, value) for value in (-2, SEED_MAX + 1, 1.5, "5", True, None, math.nan, math.inf)),
    *((SWITCH, value) for value in (2, "true", "", None, [], 0.5)),
    *((PAPER, value) for value in ("silk", 2, None, [], 0, False, {})),
]


@pytest.mark.parametrize(("control", "given"), WRONG)
def test_what_it_does_not_take_is_one_sentence_with_its_name(control, given):
    with pytest.raises(RequestError) as caught:
        control.read(given)
    assert caught.value.field == control.name
    assert str(caught.value).startswith(f"{control.name}") and "\n" not in str(caught.value)
