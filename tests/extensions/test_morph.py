"""Morph: its ends are the pictures of its prompts, its length and format what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from extensions import morph
from tests.engine.conftest import request
from webui import images
from webui.catalog.checkpoints import list_models
from webui.engine.placement import place
from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.tasks import TASKS
from webui.errors import RequestError
from webui.testing.families import FAMILIES, build, write
from webui.types import Animation, EncodeText, LoadModel, ModelCard, Parts

EXTRAS = {
    "morph_to": "a blue dog",
    "morph_frames": 3,
    "morph_ms": 80,
    "morph_format": "webp",
    "morph_bounce": False,
}
LONG = "a photo of the red cat on the grass, " * 14  # more than one chunk of 75 tokens


@pytest.fixture
def make(start):
    """Runs requests on an engine that has the task, and gives the finished ones."""
    (task,) = morph.register_tasks()
    bench = start(tasks={**TASKS, "morph": task})

    def run(**values):
        extras = {**EXTRAS, **values.pop("extras", {})}
        job = bench.engine.submit(request(**{"task": "morph", "extras": extras, **values}))
        status = bench.end(job)
        assert status.state == "done", status.error
        return [done for done in bench.finished if done.job == job]

    return run


@pytest.mark.parametrize("sampler", ["Euler", "Euler a"])
def test_the_ends_are_the_pictures_of_the_two_prompts(make, sampler):
    """To the bit; with a sampler that draws noise too, since each frame draws the same."""
    (film,) = make(sampler_name=sampler, negative_prompt="red")
    frames = film.picture.frames
    same = {"task": "txt2img", "sampler_name": sampler, "negative_prompt": "red"}
    for frame, prompt in ((frames[0], "a cat"), (frames[-1], "a blue dog")):
        (still,) = make(prompt=prompt, **same)
        assert frame.tobytes() == still.picture.tobytes()
    assert len({frame.tobytes() for frame in frames}) == 3


def test_between_equal_prompts_nothing_moves(make):
    (film,) = make(extras={"morph_to": "a cat"})
    levels = np.stack([np.asarray(frame, int) for frame in film.picture.frames])
    assert abs(levels - levels[0]).max() <= 1


@pytest.mark.parametrize(
    ("bounce", "expected"), [(False, [0, 1, 2, 3]), (True, [0, 1, 2, 3, 2, 1])]
)
def test_there_and_back_shows_no_end_twice(make, bounce, expected):
    (film,) = make(extras={"morph_frames": 4, "morph_bounce": bounce}, steps=1)
    frames = [frame.tobytes() for frame in film.picture.frames]
    assert [frames.index(frame) for frame in frames] == expected
    assert film.picture.frame_ms == 80 and film.picture.loop


def test_two_frames_there_and_back_are_two(make):
    (film,) = make(extras={"morph_frames": 2, "morph_bounce": True}, steps=1)
    assert len(film.picture.frames) == 2


def test_every_picture_of_a_batch_is_a_film_of_its_own_seed(make):
    films = make(batch_size=2, steps=2)
    (second,) = make(seed=2, steps=2)
    assert [film.seed for film in films] == [1, 2]
    one, other = (np.asarray(film.picture.frames[1], int) for film in (films[1], second))
    assert abs(one - other).max() <= 1


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_the_file_holds_the_film(make, tmp_path, format):
    (film,) = make(extras={"morph_format": format}, steps=2)
    assert isinstance(film.picture, Animation)
    saved = images.save(film, tmp_path)
    assert saved.path.suffix == f".{format}" and "Morph to: a blue dog" in saved.parameters
    with Image.open(saved.path) as read:
        assert (read.format, read.n_frames, read.size) == (format.upper(), 3, (64, 64))
        assert read.info["loop"] == 0
        read.seek(1)
        read.load()
        assert read.info["duration"] == 80


# --- Texts of different length --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "to", "negative"),
    [
        ("a cat", LONG, "dog"),
        (LONG, "a cat", "dog"),
        ("a cat", "a dog", LONG),
        (LONG, LONG * 2, ""),
    ],
)
def test_texts_are_filled_up_as_the_engine_does_it(models_dir, prompt, to, negative):
    """`EncodeText` fills up the shorter of two texts: each text beside the longest is what it must be."""
    runner = Runner(lambda: list_models([models_dir]), place("cpu", "float32", "sdpa"))
    with torch.inference_mode():
        model = runner.load(LoadModel("tiny"))
    longest = max((prompt, to, negative), key=len)

    def expected(text):
        return run_alone(encoded(model, text, longest), runner).texts[0].context

    made = request(prompt=prompt, negative_prompt=negative, extras={**EXTRAS, "morph_to": to})
    first, last = run_alone(morph.both_ends(made, studio_of(made), model), runner)
    for end, text in ((first, prompt), (last, to)):
        for one, words in zip(end.texts, (text, negative), strict=True):
            torch.testing.assert_close(one.context, expected(words), atol=1e-5, rtol=0)
    halfway = morph.between(first, last, 0.5).texts[0].context
    torch.testing.assert_close(halfway, (first.texts[0].context + last.texts[0].context) / 2)


@pytest.mark.parametrize(("to", "negative"), [("a dog", "red"), (LONG, ""), ("a dog", LONG)])
def test_pooled_texts_walk_too_and_an_empty_negative_stays_nothing(tmp_path, to, negative):
    """Stable Diffusion XL, whose empty negative prompt counts as zeros."""
    path = write(tmp_path / "xl.safetensors", build(FAMILIES["sdxl"]), "ldm")
    card = ModelCard("xl", path, kind="sdxl", layout="ldm", prediction="epsilon")
    runner = Runner(lambda: [card], place("cpu", "float32", "sdpa"))
    with torch.inference_mode():
        model = runner.load(LoadModel("xl"))
    made = request(prompt="a cat", negative_prompt=negative, extras={**EXTRAS, "morph_to": to})
    first, last = run_alone(morph.both_ends(made, studio_of(made), model), runner)
    (start, none), (end, same) = first.texts, last.texts
    assert none.context.shape == end.context.shape
    torch.testing.assert_close(none.context, same.context, atol=1e-5, rtol=0)
    assert (not none.context.any()) == (not negative)
    half, unchanged = morph.between(first, last, 0.5).texts
    torch.testing.assert_close(half.pooled, (start.pooled + end.pooled) / 2)
    assert torch.equal(unchanged.pooled, none.pooled)


def studio_of(made):
    return PictureStudio(made, 0, Parts(TASKS, SAMPLERS, SCHEDULES), torch.device("cpu"))


def encoded(model, text, beside):
    return (yield EncodeText(model, text, beside))


# --- Refused --------------------------------------------------------------------------------------


def test_a_film_without_an_end_is_refused():
    with pytest.raises(RequestError, match="morph_to"):
        morph.change_request(request(task="morph", extras={**EXTRAS, "morph_to": " "}))
    morph.change_request(request())  # another task's


def test_an_inpainting_model_is_refused(start):
    (task,) = morph.register_tasks()
    bench = start(tasks={"morph": task})
    job = bench.engine.submit(request(task="morph", model="tiny-inpainting", extras=EXTRAS))
    assert "for inpainting" in bench.end(job).error


def test_progress_counts_all_frames(start):
    (task,) = morph.register_tasks()
    bench = start(tasks={"morph": task})
    job = bench.engine.submit(request(task="morph", extras=EXTRAS, steps=5))
    assert bench.end(job).steps == 15
