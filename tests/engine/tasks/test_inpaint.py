"""Inpainting: what is outside the mask is the original, what is inside is new; boxes and fills."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from tests.engine.conftest import request
from webui.engine.tasks.img2img import last_sigmas
from webui.engine.tasks.inpaint import (
    blend_outside,
    crop_box,
    fill_from_surroundings,
    latent_mask,
)
from webui.types import Denoised


def picture(size=(64, 64)) -> Image.Image:
    """Smooth colours that differ everywhere."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / max(size)
    return Image.fromarray((np.stack([x, y, 1 - x], -1) * 255).astype(np.uint8))


def mask(size=(64, 64), box=(24, 24, 39, 39)) -> Image.Image:
    made = Image.new("L", size)
    ImageDraw.Draw(made).rectangle(box, fill=255)
    return made


@pytest.mark.parametrize("model", ["tiny", "tiny-inpainting"])
@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_pixels_outside_the_blurred_mask_are_identical(start, model, fill):
    bench = start()
    job = bench.engine.submit(
        request(task="inpaint", model=model, image=picture(), mask=mask(), inpainting_fill=fill)
    )
    assert bench.end(job).state == "done"
    result = np.asarray(bench.finished[0].picture)
    soft = np.asarray(mask().filter(ImageFilter.GaussianBlur(4)))
    assert (soft == 0).sum() > 1000
    assert (result[soft == 0] == np.asarray(picture())[soft == 0]).all()
    middle = (slice(28, 36), slice(28, 36))
    assert np.abs(result[middle].astype(int) - np.asarray(picture())[middle]).mean() > 3


def test_the_inverted_mask_keeps_what_was_painted(start):
    bench = start()
    job = bench.engine.submit(
        request(
            task="inpaint",
            image=picture(),
            mask=mask(),
            inpainting_mask_invert=True,
            mask_blur=0,
            denoising_strength=1.0,
        )
    )
    assert bench.end(job).state == "done"
    result = np.asarray(bench.finished[0].picture)
    inside = np.asarray(mask()) > 0
    assert (result[inside] == np.asarray(picture())[inside]).all()
    assert (result[~inside] != np.asarray(picture())[~inside]).any()


def test_only_masked_gives_the_picture_back_at_its_own_size(start):
    bench = start()
    big, hole = picture((200, 120)), mask((200, 120), (150, 80, 170, 100))
    job = bench.engine.submit(
        request(
            task="inpaint", image=big, mask=hole, inpaint_full_res=True, inpaint_full_res_padding=8
        )
    )
    assert bench.end(job).state == "done"
    result = np.asarray(bench.finished[0].picture)
    assert result.shape == (120, 200, 3)
    soft = np.asarray(hole.filter(ImageFilter.GaussianBlur(4)))
    same = (result == np.asarray(big)).all(-1)
    assert same[soft == 0].all()
    assert not same[85:95, 155:165].all()


def test_an_empty_mask_is_told(start):
    bench = start()
    job = bench.engine.submit(
        request(task="inpaint", image=picture(), mask=Image.new("L", (64, 64)))
    )
    status = bench.end(job)
    assert status.state == "failed"
    assert "nothing is masked" in status.error


@pytest.mark.parametrize("speck", [1, 60, 127])
def test_specks_that_are_not_repainted_do_not_widen_the_crop(speck):
    clean = mask((512, 512), (200, 200, 259, 259))
    spotted = clean.copy()
    for at in ((4, 3), (500, 20), (30, 510)):
        spotted.putpixel(at, speck)
    assert crop_box(clean, (512, 512), 0) == (200, 200, 260, 260)
    assert crop_box(spotted, (512, 512), 0) == (200, 200, 260, 260)
    spotted.putpixel((4, 3), 128)  # which is repainted
    assert crop_box(spotted, (512, 512), 0) == (3, 3, 260, 260)


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (64, 512)])
def test_the_crop_holds_the_mask_with_padding_and_has_the_aspect(size):
    hole = mask((400, 300), (100, 120, 139, 149))
    left, top, right, bottom = crop_box(hole, size, 10)
    assert left <= 90 and top <= 110 and right >= 150 and bottom >= 160
    assert 0 <= left < right <= 400 and 0 <= top < bottom <= 300
    if bottom - top < 300 and right - left < 400:
        assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.03)


def test_the_crop_stays_inside_at_a_corner():
    left, top, right, bottom = crop_box(mask((100, 50), (95, 45, 99, 49)), (64, 64), 32)
    assert (right, bottom) == (100, 50)
    assert left >= 0 and top >= 0


def test_fill_takes_the_colours_around():
    """Left half red, right half blue, a hole across the middle: each side continues."""
    two = Image.new("RGB", (64, 64), "red")
    two.paste("blue", (32, 0, 64, 64))
    hole = mask(box=(8, 24, 55, 39))
    filled = np.asarray(fill_from_surroundings(two, hole)).astype(int)
    assert (filled[:20] == np.asarray(two)[:20]).all()
    assert filled[32, 10, 0] > 150 > 100 > filled[32, 10, 2]
    assert filled[32, 53, 2] > 150 > 100 > filled[32, 53, 0]


def test_fill_of_everything_is_grey():
    filled = fill_from_surroundings(picture(), Image.new("L", (64, 64), 255))
    assert filled.getextrema() == ((128, 128),) * 3


def test_a_latent_cell_is_repainted_when_any_pixel_of_it_is():
    hole = torch.zeros(1, 16, 24)
    hole[0, 7, 8] = 1
    assert latent_mask(hole, 8).tolist() == [[[0, 1, 0], [0, 0, 0]]]


def test_blending_forwards_every_reply_and_holds_the_outside():
    start, inside = torch.full((1, 1, 2), 5.0), torch.tensor([[[0.0, 1.0]]])

    def sampling():
        first = yield "call"
        second = yield "other"
        return first.denoised, second

    run = blend_outside(sampling(), start, inside)
    assert next(run) == "call"
    assert run.send(Denoised(torch.zeros(1, 1, 2))) == "other"
    with pytest.raises(StopIteration) as stop:
        run.send("as it is")
    assert stop.value.value[0].tolist() == [[[5.0, 0.0]]]
    assert stop.value.value[1] == "as it is"


@pytest.mark.parametrize(
    ("strength", "steps_run"), [(0.0, 1), (0.5, 11), (0.75, 16), (0.999, 20), (1.0, 20)]
)
def test_img2img_runs_a1111s_number_of_steps(strength, steps_run):
    sigmas = [*range(20, 0, -1), 0]
    last = last_sigmas(sigmas, strength)
    assert len(last) - 1 == steps_run
    assert last[-1] == 0


@pytest.mark.parametrize("size", [(64, 64), (100, 80)])
@pytest.mark.parametrize("full_res", [None, False, True])
def test_strength_0_gives_the_picture_itself(start, full_res, size):
    """Of img2img (None) and inpainting: no model is loaded, and no pixel changes that its size does not."""
    bench = start()
    asked = {"task": "img2img", "image": picture(size), "denoising_strength": 0.0, "model": "tiny"}
    if full_res is not None:
        asked |= {"task": "inpaint", "mask": mask(size), "inpaint_full_res": full_res}
        asked |= {"inpainting_fill": 2}
    assert bench.end(bench.engine.submit(request(**asked))).state == "done"
    (finished,) = bench.finished
    kept = size if full_res else (64, 64)
    expected = (
        picture(size) if kept == size else picture(size).resize(kept, Image.Resampling.LANCZOS)
    )
    assert finished.picture.size == kept and finished.picture.tobytes() == expected.tobytes()
    assert (finished.model, finished.sampled) == (None, False)
