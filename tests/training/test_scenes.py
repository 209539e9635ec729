from collections import Counter

import numpy as np
import pytest

from webui.training.nouns import DRAWINGS, NOUNS, nouns, plural, takes_colour
from webui.training.scenes import (
    BACKGROUNDS,
    COLOURS,
    KINDS,
    SIDE,
    colour_held_out,
    crop_corner,
    held_out,
    held_out_pairs,
    pair_held_out,
    plain_scene,
    sample_scene,
    seen_pairs,
)


def test_nouns_are_distinct():
    assert len({code for code, _ in DRAWINGS}) == len(DRAWINGS)
    assert len(NOUNS) == len(set(nouns()))


@pytest.mark.parametrize("snapped", [False, True])
def test_training_scenes_never_show_a_held_out_pair(snapped):
    rng = np.random.default_rng(0)
    names = [words[0] for _, words in DRAWINGS]
    for _ in range(3000):
        scene = sample_scene(rng, snapped=snapped)
        shown = [names[d.noun] for d in scene.drawings]
        known = [name for name in shown if name in nouns()]
        assert not any(held_out(name, scene.background) for name in known)
        for name, drawing in zip(shown, scene.drawings, strict=True):
            assert not drawing.colour or not colour_held_out(name, drawing.colour)
        if len(set(known)) == 2:
            assert not pair_held_out(*known)


def test_pairs_are_held_out_or_seen_and_enough_for_measuring():
    held, seen = set(held_out_pairs()), set(seen_pairs())
    assert not held & seen
    assert len(held) + len(seen) == len(NOUNS) * len(BACKGROUNDS)
    assert len(held) >= 200
    two = [(a, b) for a in nouns() for b in nouns() if a < b and pair_held_out(a, b)]
    inked = [
        (n, c) for n in nouns() for c in COLOURS if takes_colour(n, c) and colour_held_out(n, c)
    ]
    assert len(two) >= 200 and len(inked) >= 60


def test_held_out_pairs_do_not_change_between_versions():
    assert held_out_pairs()[:3] == ((1, "green"), (1, "blue"), (1, "night sky"))


def test_a_pair_is_held_out_in_either_order():
    assert all(pair_held_out(a, b) == pair_held_out(b, a) for a in nouns() for b in nouns())


def test_every_kind_comes_in_its_share():
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, snapped=True) for _ in range(4000)]
    kinds = Counter(scene.kind for scene in scenes)
    for kind, (share, _) in KINDS.items():
        assert kinds[kind] / 4000 == pytest.approx(share, abs=0.025)
    assert {s.style for s in scenes} > {"", "pixel art"} and {s.weather for s in scenes} > {"fog"}
    assert {len(s.drawings) for s in scenes if s.kind == "count"} == {2, 3, 4}
    assert all(
        len({(d.noun, d.colour) for d in s.drawings}) == 1 for s in scenes if s.kind == "count"
    )


def test_same_generator_draws_the_same_scene():
    first = sample_scene(np.random.default_rng([1, 7]))
    assert first == sample_scene(np.random.default_rng([1, 7]))


def test_snapped_drawings_move_by_whole_latent_cells():
    rng = np.random.default_rng(0)
    for _ in range(300):
        for placed in sample_scene(rng, snapped=True).drawings:
            assert placed.x % 8 == 0 and placed.y % 8 == 0


def test_scenes_of_the_card_are_plain():
    rng = np.random.default_rng(99)
    for scene in (plain_scene(rng) for _ in range(100)):
        assert scene.kind in ("plain", "pair") and not (
            scene.style or scene.weather or scene.sticker
        )


def test_crops_stay_inside_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(500):
        left, top = crop_corner(rng, sample_scene(rng), 64)
        assert 0 <= left <= SIDE - 64 and 0 <= top <= SIDE - 64


@pytest.mark.parametrize(
    ("one", "many"),
    [("fox", "foxes"), ("butterfly", "butterflies"), ("cup of coffee", "cups of coffee"),
     ("fish", "fish"), ("maple leaf", "maple leaves"), ("monkey", "monkeys"), ("snowman", "snowmen")],
)  # fmt: skip
def test_plurals(one, many):
    assert plural(one) == many
