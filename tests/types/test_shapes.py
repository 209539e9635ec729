"""Pictures of another shape than the size: stretched, cut or filled up, and where the shape is the same none of it."""

import numpy as np
import pytest
from PIL import Image

from webui.types.shapes import CROP, FILL, JUST_RESIZE, kept, placed, resized, same_shape


def columns(*colours: str, width: int = 20, height: int = 20) -> Image.Image:
    """Stripes of one colour beside each other."""
    whole = Image.new("RGB", (width * len(colours), height))
    for place, colour in enumerate(colours):
        whole.paste(colour, (place * width, 0, (place + 1) * width, height))
    return whole


def test_just_resize_stretches_as_it_always_did():
    picture = columns("red", "lime", "blue")
    stretched = resized(picture, (64, 64), JUST_RESIZE)
    assert stretched.tobytes() == picture.resize((64, 64), Image.Resampling.LANCZOS).tobytes()


@pytest.mark.parametrize("turned", [False, True])
def test_crop_keeps_the_middle_in_its_proportions(turned):
    picture = columns("red", "lime", "blue")  # 60 x 20
    picture = picture.transpose(Image.Transpose.ROTATE_90) if turned else picture
    cut = np.asarray(resized(picture, (64, 64), CROP))
    assert cut.shape == (64, 64, 3)
    assert (cut[14:-14, 14:-14] == (0, 255, 0)).all()


@pytest.mark.parametrize("turned", [False, True])
def test_fill_keeps_all_of_it_and_continues_its_edges(turned):
    picture = columns("red", "lime", "blue", width=16, height=16)  # 48 x 16
    filled = resized(picture, (96, 96), FILL)
    assert placed((48, 16), (96, 96), FILL) == (0, 32, 96, 64)
    inner = filled.crop((0, 32, 96, 64))
    assert inner.tobytes() == picture.resize((96, 32), Image.Resampling.LANCZOS).tobytes()
    rows = np.asarray(filled)
    assert (rows[:32] == rows[32]).all() and (rows[64:] == rows[63]).all()
    if turned:
        upright = np.asarray(resized(picture.transpose(Image.Transpose.TRANSPOSE), (96, 96), FILL))
        assert (upright == rows.transpose(1, 0, 2)).all()


def test_a_mask_is_filled_up_with_what_is_said():
    mask = Image.new("L", (30, 10))
    filled = np.asarray(resized(mask, (60, 60), FILL, around=255))
    assert (filled[:20] == 255).all() and (filled[40:] == 255).all() and not filled[20:40].any()


@pytest.mark.parametrize("mode", [JUST_RESIZE, CROP, FILL])
@pytest.mark.parametrize("shape", [(64, 32), (100, 50), (33, 17)])
def test_a_shape_that_does_not_differ_is_resized_alike_in_every_mode(mode, shape):
    picture = Image.effect_noise(shape, 60).convert("RGB")
    assert same_shape(shape, (128, 64))
    plain = picture.resize((128, 64), Image.Resampling.LANCZOS)
    assert resized(picture, (128, 64), mode).tobytes() == plain.tobytes()


def test_a_picture_that_is_only_cut_keeps_its_pixels():
    picture = Image.effect_noise((101, 64), 60).convert("RGB")
    assert resized(picture, (96, 64), CROP).tobytes() == picture.crop((2, 0, 98, 64)).tobytes()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((512, 512), (64, 64), True),
        ((4032, 3024), (2048, 1536), True),
        ((1000, 667), (1000, 664), False),
        ((600, 200), (512, 512), False),
        ((152, 101), (768, 512), True),
    ],
)
def test_proportions_are_the_same_as_nearly_as_whole_pixels_can(one, other, same):
    assert same_shape(one, other) is same


@pytest.mark.parametrize("shape", [(1, 900), (900, 1), (7, 5), (63, 2000)])
def test_the_thinnest_pictures_have_a_place(shape):
    for mode in (JUST_RESIZE, CROP, FILL):
        assert resized(Image.new("RGB", shape, "teal"), (64, 128), mode).size == (64, 128)
    left, top, right, bottom = kept(shape, (64, 128))
    assert 0 <= left < right <= shape[0] and 0 <= top < bottom <= shape[1]
