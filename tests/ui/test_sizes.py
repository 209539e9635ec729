"""Shapes of a model's own size."""

from __future__ import annotations

import pytest

from webui.ui.sizes import shapes


@pytest.mark.parametrize(("width", "height"), [(512, 512), (768, 768), (1024, 1024), (640, 512)])
def test_shapes_have_about_the_models_pixels_in_steps_of_64(width: int, height: int) -> None:
    for label, wide, high in shapes(width, height):
        ratio = eval(label.replace(":", "/"))
        assert wide % 64 == high % 64 == 0
        assert 0.8 < wide * high / (width * height) < 1.2, label
        assert abs(wide / high / ratio - 1) < 0.15, label


def test_a_model_of_small_pictures_has_steps_of_8() -> None:
    found = {label: (wide, high) for label, wide, high in shapes(128, 128)}
    assert found["1:1"] == (128, 128)
    assert found["3:2"] == (160, 104) and found["2:3"] == (104, 160)
    assert all(side % 8 == 0 for size in found.values() for side in size)


def test_a_models_own_size_is_offered_as_it_is() -> None:
    assert ["3:2", 192, 128] in shapes(192, 128)


def test_upright_is_lying_turned() -> None:
    found = {label: (wide, high) for label, wide, high in shapes(1024, 1024)}
    for lying, upright in (("4:3", "3:4"), ("3:2", "2:3"), ("16:9", "9:16")):
        assert found[lying] == found[upright][::-1]
