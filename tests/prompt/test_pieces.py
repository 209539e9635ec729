"""Brackets in prompts weigh what A1111's users expect, and nothing that can be written breaks them."""

import math
import random

import pytest

from webui.prompt import DEEPEST, parse


def weights(prompt: str) -> list[tuple[str | None, float]]:
    return [(piece.text, round(piece.weight, 4)) for piece in parse(prompt).pieces()]


def test_the_example_that_a1111_documents() -> None:
    assert weights("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).") == [
        ("a ", 1.0),
        ("house", 1.573),
        (" ", 1.1),
        ("on", 1.0),
        (" a ", 1.1),
        ("hill", 0.55),
        (", sun, ", 1.1),
        ("sky", 1.4641),
        (".", 1.1),
    ]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red cat", [("a red cat", 1.0)]),
        ("", [("", 1.0)]),
        ("(cat)", [("cat", 1.1)]),
        ("[cat]", [("cat", 0.9091)]),
        ("(cat:1.3)", [("cat", 1.3)]),
        ("( cat : 1.3 )", [(" cat ", 1.3)]),
        ("(cat:.5) (dog:-1)", [("cat", 0.5), (" ", 1.0), ("dog", -1.0)]),
        ("((cat))", [("cat", 1.21)]),
        ("(a [b] c)", [("a ", 1.1), ("b", 1.0), (" c", 1.1)]),
        (r"a \(photo\)", [("a (photo)", 1.0)]),
        (r"(\[x\]:2)", [("[x]", 2.0)]),
        (r"\{a\|b\} \__c__ \_ \x {d|e}", [(r"{a|b} __c__ \_ \x {d|e}", 1.0)]),
        ("a  BREAK \n BREAK  b)", [("a", 1.0), (None, 1.0), (None, 1.0), ("b)", 1.0)]),
        ("(a:1.)(b:.)", [("a", 1.0), ("b:.", 1.1)]),
        ("(never closed", [("never closed", 1.1)]),
        ("never opened) here]", [("never opened) here]", 1.0)]),
        ("time 3:15)", [("time 3:15)", 1.0)]),
        ("[cat:1.5)", [("cat:1.5)", 0.9091)]),
        ("a BREAK b", [("a", 1.0), (None, 1.0), ("b", 1.0)]),
        ("BREAKFAST", [("BREAKFAST", 1.0)]),
        ("(a)(b)", [("ab", 1.1)]),
    ],
)
def test_what_brackets_weigh(prompt: str, expected: list[tuple[str | None, float]]) -> None:
    assert weights(prompt) == expected


def test_weights_stop_growing_at_a_depth_that_nobody_means() -> None:
    """Else the work would grow with the square of a prompt's length, and weights beyond every number."""
    assert (
        parse("(" * DEEPEST + "x").pieces()[-1].weight
        == parse("(" * 20_000 + "x").pieces()[-1].weight
    )
    assert parse("(" * 9_000 + "x" + ")" * 9_000 + "y").pieces()[-1].weight == 1.0


def test_any_text_can_be_parsed_and_keeps_its_words() -> None:
    random.seed(1)
    for _ in range(2000):
        prompt = "".join(
            random.choices(["(", ")", "[", "]", ":1.2)", "\\(", "x", " ", ":", "1"], k=20)
        )
        pieces = parse(prompt).pieces()
        assert pieces and all(math.isfinite(piece.weight) for piece in pieces)
        assert "".join(piece.text or "" for piece in pieces).count("x") == prompt.count("x")
