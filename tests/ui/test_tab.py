"""The size that a given picture is worked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from webui.registry import Catalog, Registry
from webui.types import ModelCard
from webui.ui.tab import MENU, fit, menu


@pytest.mark.parametrize(
    ("wide", "high", "size"),
    [
        (512, 512, (512, 512)),
        (256, 256, (256, 256)),  # a small picture is not enlarged
        (4000, 3000, (592, 440)),  # 4:3 at the pixels of 512 x 512
        (300, 200, (304, 200)),  # to multiples of 8
        (10, 10, (64, 64)),
    ],
)
def test_fit(wide: int, high: int, size: tuple[int, int]) -> None:
    assert fit({"width": wide, "height": high}, 512, 512) == size


@pytest.mark.parametrize(
    "given", [None, {}, {"width": 0, "height": 0}, {"width": "x", "height": 1}, 5]
)
def test_no_picture_has_no_size(given: object) -> None:
    assert fit(given, 512, 512) is None


def listing(count: int) -> Catalog:
    """Models that are newer the nearer they stand to the end."""
    cards = [ModelCard(name=f"m{n}", path=Path(f"m{n}"), modified=float(n)) for n in range(count)]
    none: Registry[object] = Registry("none", ())
    return Catalog(none, none, none, lambda: cards)  # type: ignore[arg-type]


def test_the_menu_has_all_models_in_their_order() -> None:
    assert menu(listing(MENU)) == [f"m{n}" for n in range(MENU)]


def test_of_very_many_the_menu_has_the_first_the_chosen_and_the_newest() -> None:
    found = menu(listing(10 * MENU), "m7")
    assert found[:3] == ["m0", "m7", f"m{9 * MENU + 1}"]
    assert found[-1] == f"m{10 * MENU - 1}"
    assert len(found) == MENU + 1
