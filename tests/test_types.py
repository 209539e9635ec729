from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from webui.errors import RequestError
from webui.types import SEED_MAX, Choice, GenerationRequest, Group, Model, Number, Task, Text

REQUEST = GenerationRequest(
    task="txt2img",
    model="m",
    sampler_name="Euler",
    seed=3,
    steps=20,
    cfg_scale=7.0,
    width=512,
    height=512,
)


@pytest.mark.parametrize(
    "values",
    [
        {"width": 64, "height": 2048},
        {"steps": 1, "batch_size": 16},
        {"steps": 150, "batch_size": 1},
        {"cfg_scale": 0},
        {"cfg_scale": 30.0, "denoising_strength": 0},
        {"seed": 0},
        {"seed": SEED_MAX - 16},
        {"prompt": "x" * 20_000},
        {"mask_blur": 64, "inpainting_fill": 3, "inpaint_full_res_padding": 256},
    ],
)
def test_values_at_their_bounds_are_accepted(values):
    request = replace(REQUEST, **values)
    assert {name: getattr(request, name) for name in values} == values


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("width", 513, "width 513: use a multiple of 8 (512 or 520)"),
        ("height", 2047, "height 2047: use a multiple of 8 (2040 or 2048)"),
        ("width", 56, "width 56: use 64 to 2048 in steps of 8"),
        ("height", 2056, "height 2056: use 64 to 2048 in steps of 8"),
        ("width", 512.0, "width 512.0: give a whole number from 64 to 2048"),
        ("steps", 0, "steps 0: use 1 to 150"),
        ("steps", 151, "steps 151: use 1 to 150"),
        ("steps", True, "steps True: give a whole number from 1 to 150"),
        ("steps", "20", "steps '20': give a whole number from 1 to 150"),
        ("batch_size", 17, "batch_size 17: use 1 to 16"),
        ("cfg_scale", 30.5, "cfg_scale 30.5: use 0 to 30"),
        ("cfg_scale", float("nan"), "cfg_scale nan: give a number from 0 to 30"),
        ("cfg_scale", float("inf"), "cfg_scale inf: give a number from 0 to 30"),
        ("cfg_scale", None, "cfg_scale None: give a number from 0 to 30"),
        ("denoising_strength", 1.01, "denoising_strength 1.01: use 0 to 1"),
        ("mask_blur", 65, "mask_blur 65: use 0 to 64"),
        ("inpainting_fill", 4, "inpainting_fill 4: use 0, 1, 2, 3"),
        ("inpaint_full_res", 1, "inpaint_full_res 1: give true or false"),
        ("prompt", None, "prompt None: give text"),
        ("negative_prompt", "x" * 20_001, "negative_prompt: 20001 characters; use at most 20000"),
    ],
)
def test_values_out_of_range_are_a_sentence_with_the_field(field, value, says):
    with pytest.raises(RequestError) as caught:
        replace(REQUEST, **{field: value})
    assert (str(caught.value), caught.value.field) == (says, field)


@pytest.mark.parametrize("seed", [-1, SEED_MAX, 1.5, "3", None])
def test_seeds_that_json_could_not_carry_are_refused(seed):
    with pytest.raises(RequestError) as caught:
        replace(REQUEST, seed=seed)
    assert caught.value.field == "seed"


def test_requests_are_frozen_and_each_picture_has_the_next_seed():
    with pytest.raises(FrozenInstanceError):
        REQUEST.steps = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        REQUEST.extras["x"] = 1  # type: ignore[index]
    assert [REQUEST.seed_of(i) for i in range(3)] == [3, 4, 5]


def test_a_latent_is_an_eighth_of_the_picture():
    assert Model("m", 4, False, (0.1, 10.0)).latent_shape(512, 384) == (4, 48, 64)
    assert Model("m", 16, False, (0.1, 10.0), downscale=4).latent_shape(128, 64) == (16, 16, 32)


def test_a_tasks_controls_are_listed_through_its_groups():
    steps = Number(name="steps", label="Steps", minimum=1, maximum=9, whole=True)
    prompt, size = (
        Text(name="prompt", label="Prompt"),
        Number(name="w", label="W", minimum=0, maximum=1),
    )
    task = Task("t", "T", lambda request, studio: iter(()), (prompt, Group("g", (steps, size))))
    assert task.flat_controls() == (prompt, steps, size)


def test_a_choice_may_stand_for_several_values():
    grid = Choice(name="grid", label="Grid", choices=(("2 x 2", (2, 2)), ("3 x 2", (3, 2))))
    assert grid.read([3, 2]) == grid.read((3, 2)) == grid.read("3 x 2") == [3, 2]
    with pytest.raises(RequestError, match="grid"):
        grid.read([4, 2])
