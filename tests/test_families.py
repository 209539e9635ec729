"""Families are asked, not named: nobody outside of the table compares a model's kind with a word."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.catalog import families
from webui.catalog.families import FAMILIES, OFFERED, THOSE_THAT_LOAD, family
from webui.diffusion.parameterisation import NAMES
from webui.engine.families import FAMILIES as RUN
from webui.errors import EaselError

ROOT = Path(__file__).parent.parent
PLACES = (
    "webui/engine",
    "webui/catalog",
    "webui/types",
    "webui/store",
    "webui/http",
    "webui/ui",
    "extensions",
)
ASKED = [
    path
    for place in PLACES
    for path in sorted((ROOT / place).rglob("*.py"))
    if path != Path(families.__file__)
]
KEYS = {*FAMILIES, "sd"}


def named(tree: ast.AST) -> Iterator[str]:
    """Comparisons, tables and matches with a family's key: what should be a question to the family."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        else:
            continue
        for part in parts:
            for word in ast.walk(part):
                if isinstance(word, ast.Constant) and word.value in KEYS:
                    yield f"{node.lineno}: {ast.unparse(node)[:80]}"


def test_nobody_compares_a_kind_with_a_word():
    found = {
        path.relative_to(ROOT).as_posix(): list(named(ast.parse(path.read_text("utf-8"))))
        for path in ASKED
    }
    assert len(ASKED) > 150
    assert {path: places for path, places in found.items() if places} == {}


@pytest.mark.parametrize(
    "source",
    [
        'x = card.kind != "sd"',
        'if model.kind in ("sdxl", "sdxl-refiner"): pass',
        'TEXTS = {"sd1": 1}',
        'match kind:\n    case "sdxl": pass',
    ],
)
def test_the_check_finds_such_a_comparison(source):
    assert list(named(ast.parse(source)))


def test_the_engine_works_with_every_family_of_the_table_by_the_same_object():
    assert {key: one.about for key, one in RUN.items()} == dict(FAMILIES)
    assert [key for key, one in FAMILIES.items() if one.key != key] == []


def test_what_families_predict_has_a_parameterisation():
    for one in FAMILIES.values():
        assert set(one.predictions) <= set(NAMES)
        assert one.prediction is None or one.prediction in one.predictions


def test_those_that_load_are_told_by_their_names():
    assert THOSE_THAT_LOAD == "Stable Diffusion 1, 2 and XL"
    assert {one.key for one in OFFERED} == {"sd1", "sd2", "sdxl", "sdxl-refiner"}


def test_a_relative_of_another_width_is_told_from_the_published_models():
    assert [family("sd1").called(width) for width in (768, 64)] == [
        "Stable Diffusion 1",
        "Stable Diffusion 1 kind",
    ]
    assert family("sdxl").called(128) == "Stable Diffusion XL"


def test_a_family_that_nobody_knows_is_refused():
    with pytest.raises(EaselError, match="family 'sd4' is not known; use sd1, sd2, sdxl"):
        family("sd4")
