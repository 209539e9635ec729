"""The size that a given picture is worked at."""

from __future__ import annotations

import pytest

from webui.ui.tab import fit


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
