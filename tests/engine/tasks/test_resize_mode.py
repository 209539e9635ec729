"""What becomes of a picture whose shape is not the size's, in image to image and in inpainting."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.engine.conftest import request
from webui.metadata import infotext, parse
from webui.types.shapes import CROP, FILL, JUST_RESIZE, resized

WIDE = Image.merge(
    "RGB",
    [
        Image.linear_gradient("L").resize((160, 64)),
        Image.linear_gradient("L").rotate(90).resize((160, 64)),
        Image.radial_gradient("L").resize((160, 64)),
    ],
)


def painted(box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", WIDE.size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def made(start, **values):
    bench = start()
    assert bench.end(bench.engine.submit(request(image=WIDE, **values))).state == "done"
    (finished,) = bench.finished
    return finished


@pytest.mark.parametrize("mode", [JUST_RESIZE, CROP, FILL])
def test_strength_0_of_img2img_shows_what_the_mode_does(start, mode):
    finished = made(start, task="img2img", denoising_strength=0.0, resize_mode=mode)
    assert finished.picture.tobytes() == resized(WIDE, (64, 64), mode).tobytes()


def test_each_mode_samples_from_the_picture_that_it_makes(start):
    found = set()
    for mode in (JUST_RESIZE, CROP, FILL):
        asked = {"task": "img2img", "denoising_strength": 0.3, "steps": 3}
        made_so = made(start, **asked, resize_mode=mode).picture.tobytes()
        bench = start()
        source = resized(WIDE, (64, 64), mode)
        assert bench.end(bench.engine.submit(request(**asked, image=source))).state == "done"
        assert made_so == bench.finished[0].picture.tobytes()
        found.add(made_so)
    assert len(found) == 3


@pytest.mark.parametrize("mode", [JUST_RESIZE, CROP])
def test_mask_and_picture_of_an_inpainting_go_the_same_way(start, mode):
    mask = painted((70, 24, 85, 39))
    finished = made(start, task="inpaint", mask=mask, mask_blur=0, resize_mode=mode)
    expected = np.asarray(resized(WIDE, (64, 64), mode))
    hole = np.asarray(resized(mask, (64, 64), mode, resample=Image.Resampling.BILINEAR))
    result = np.asarray(finished.picture)
    assert (hole == 0).any() and (hole == 255).any()
    assert (result[hole == 0] == expected[hole == 0]).all()
    assert (result[hole == 255] != expected[hole == 255]).any()


def test_what_an_inpainting_fills_up_is_painted_anew(start):
    mask = painted((70, 24, 85, 39))
    finished = made(start, task="inpaint", mask=mask, mask_blur=0, resize_mode=FILL)
    before, after = np.asarray(resized(WIDE, (64, 64), FILL)), np.asarray(finished.picture)
    assert (before[:16] != after[:16]).any() and (before[48:] != after[48:]).any()
    kept = np.asarray(resized(mask, (64, 64), FILL, around=255)) == 0
    assert kept[24:40, :16].all() and (before[kept] == after[kept]).all()


def test_only_masked_keeps_the_shape_of_what_it_paints(start):
    """A mask across the picture: its surroundings cannot be square. They are filled up, not stretched, nor is any of
    the mask cut away."""
    mask = painted((10, 20, 149, 43))
    asked = {"task": "inpaint", "mask": mask, "mask_blur": 0, "inpaint_full_res": True}
    asked |= {"denoising_strength": 0.01, "inpaint_full_res_padding": 0}
    crop = made(start, **asked, resize_mode=CROP)
    fill = made(start, **asked, resize_mode=FILL)
    plain = made(start, **asked, resize_mode=JUST_RESIZE)
    assert crop.picture.size == WIDE.size
    assert crop.picture.tobytes() == fill.picture.tobytes() != plain.picture.tobytes()
    inside = np.asarray(mask) > 0
    result, picture = np.asarray(crop.picture).astype(int), np.asarray(WIDE).astype(int)
    outside = (
        np.asarray(mask.filter(ImageFilter.GaussianBlur(3))) == 0
    )  # it went through the size and back
    assert outside.any() and (result[outside] == picture[outside]).all()
    assert (result[inside] != picture[inside]).any(axis=-1).mean() > 0.9


def test_the_text_tells_the_mode_where_shapes_differ(start):
    told = infotext(made(start, task="img2img", resize_mode=CROP))
    assert parse(told)["Resize mode"] == "Crop and resize"
    told = infotext(made(start, task="img2img"))  # a request of before
    assert parse(told)["Resize mode"] == "Just resize"
    told = infotext(made(start, task="img2img", resize_mode=CROP, width=160))
    assert "Resize mode" not in parse(told)
    small = painted((70, 24, 85, 39))
    part = {"inpaint_full_res": True, "inpaint_full_res_padding": 8}
    told = infotext(made(start, task="inpaint", mask=small, resize_mode=CROP, **part))
    assert "Resize mode" not in parse(told)  # what was made is as square as the size


def test_a_mask_that_is_cut_away_is_told(start):
    bench = start()
    asked = request(task="inpaint", image=WIDE, mask=painted((0, 0, 20, 63)), resize_mode=CROP)
    status = bench.end(bench.engine.submit(asked))
    assert status.state == "failed"
    assert "“Crop and resize” keeps" in status.error
