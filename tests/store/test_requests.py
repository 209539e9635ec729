"""Requests on disk: every field comes back as it was, pictures to the pixel, and nothing else is accepted."""

import json
from dataclasses import fields, replace

import pytest
from PIL import Image

from tests.engine.conftest import request
from webui.errors import EaselError, RequestError
from webui.metadata import read
from webui.store.requests import dump, load
from webui.types import GenerationRequest

PICTURE = Image.effect_noise((32, 16), 60).convert("RGB")
MASK = Image.linear_gradient("L").resize((32, 16))
FULL = request(
    task="inpaint",
    prompt='ein Löwe, "groß"\n🦁',
    negative_prompt="blurry",
    batch_size=3,
    image=PICTURE,
    mask=MASK,
    inpaint_full_res=True,
    extras={
        "weight": 0.5,
        "eta": 0.25,
        "hint": PICTURE,
        "words": "x",
        "none": None,
        "on": True,
        "grid": (2, (3, "x")),
        "points": [{"at": (1, 2.5), "picture": "a name"}, []],
        "values": {"values": {"a": None}},
    },
)


def same(a, b):
    return a.tobytes() == b.tobytes() and a.mode == b.mode if isinstance(a, Image.Image) else a == b


def test_every_field_comes_back(tmp_path):
    found = load(dump(FULL, tmp_path), tmp_path)
    for field in fields(GenerationRequest):
        ours, theirs = getattr(FULL, field.name), getattr(found, field.name)
        if field.name == "extras":
            assert ours.keys() == theirs.keys()
            assert all(same(ours[name], theirs[name]) for name in ours)
        else:
            assert same(ours, theirs), field.name


def test_a_value_comes_back_in_its_own_kind(tmp_path):
    found = load(dump(FULL, tmp_path), tmp_path).extras
    assert found["grid"] == FULL.extras["grid"] == [2, [3, "x"]]
    assert json.dumps(found["points"]) == json.dumps(FULL.extras["points"])


def test_a_request_of_before_there_was_a_resize_mode_stretches(tmp_path):
    now = replace(FULL, resize_mode=2)
    assert load(dump(now, tmp_path), tmp_path).resize_mode == 2
    kept = json.loads(dump(now, tmp_path))
    del kept["request"]["resize_mode"]
    assert load(json.dumps(kept), tmp_path).resize_mode == 0


def test_a_field_of_before_that_is_an_option_now_comes_back_as_one(tmp_path):
    kept = json.loads(dump(request(extras={"weight": 0.5}), tmp_path))
    assert "eta" not in kept["request"]
    kept["request"]["eta"] = 0.5
    found = load(json.dumps(kept), tmp_path)
    assert found == request(extras={"weight": 0.5, "eta": 0.5}) and found.value_of("eta") == 0.5


def test_pictures_in_lists_and_objects_come_back(tmp_path):
    given = request(extras={"hints": [{"of": PICTURE}, [MASK, 2]]})
    found = load(dump(given, tmp_path), tmp_path).extras["hints"]
    assert same(found[0]["of"], PICTURE) and same(found[1][0], MASK) and found[1][1] == 2


def test_equal_pictures_are_kept_once(tmp_path):
    dump(FULL, tmp_path)
    dump(FULL, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2  # the picture (also under extras) and the mask


def test_the_settings_in_a_picture_come_back(tmp_path):
    """What is made of it after a restart keeps them, as it would have before."""
    carrying = PICTURE.copy()
    carrying.info["parameters"] = "a löwe\nSteps: 4, Seed: 5, Size: 64x64"
    found = load(dump(replace(FULL, image=carrying), tmp_path), tmp_path)
    assert read(found.image) == carrying.info["parameters"]
    assert read(found.extras["hint"]) is None  # another file, though of the same pixels


def test_a_picture_that_is_gone_is_said(tmp_path):
    text = dump(FULL, tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(EaselError, match="picture of the request is gone"):
        load(text, tmp_path)


def test_values_are_checked_again(tmp_path):
    kept = json.loads(dump(request(), tmp_path))
    kept["request"]["width"] = 7
    with pytest.raises(RequestError, match="width 7"):
        load(json.dumps(kept), tmp_path)
    kept["version"] = 99
    with pytest.raises(EaselError, match="version 99"):
        load(json.dumps(kept), tmp_path)


def test_a_picture_is_never_read_from_elsewhere(tmp_path):
    PICTURE.save(tmp_path / "outside.png")
    kept = json.loads(dump(request(), tmp_path / "kept"))
    kept["request"]["image"] = {"picture": "../outside.png"}
    with pytest.raises(EaselError, match="gone"):
        load(json.dumps(kept), tmp_path / "kept")
