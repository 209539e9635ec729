import numpy as np
import pytest

from webui.errors import EaselError
from webui.training.nouns import NOUNS, nouns
from webui.training.scenes import (
    BACKGROUNDS,
    COLOURS,
    SIDE,
    Placed,
    Renderer,
    Scene,
    crop_corner,
    find_font,
    held_out,
    held_out_pairs,
    sample_scene,
    seen_pairs,
    single_scene,
)


def test_nouns_are_distinct():
    assert len({code for code, _ in NOUNS}) == len(NOUNS) == len(set(nouns()))


@pytest.mark.parametrize("snapped", [False, True])
def test_training_scenes_never_show_a_held_out_pair(snapped):
    rng = np.random.default_rng(0)
    names = nouns()
    for _ in range(3000):
        scene = sample_scene(rng, snapped=snapped)
        assert not any(held_out(names[d.noun], scene.background) for d in scene.drawings)


def test_pairs_are_held_out_or_seen_and_enough_for_measuring():
    held, seen = set(held_out_pairs()), set(seen_pairs())
    assert not held & seen
    assert len(held) + len(seen) == len(NOUNS) * len(BACKGROUNDS)
    assert len(held) >= 200


def test_held_out_pairs_do_not_change_between_versions():
    assert held_out_pairs()[:3] == ((1, "green"), (1, "blue"), (1, "night sky"))


def test_same_generator_draws_the_same_scene():
    first = sample_scene(np.random.default_rng([1, 7]))
    assert first == sample_scene(np.random.default_rng([1, 7]))


def test_snapped_drawings_move_by_whole_latent_cells():
    rng = np.random.default_rng(0)
    for _ in range(200):
        for placed in sample_scene(rng, snapped=True).drawings:
            assert placed.x % 8 == 0 and placed.y % 8 == 0


def test_crops_stay_inside_the_picture():
    rng = np.random.default_rng(0)
    for _ in range(500):
        left, top = crop_corner(rng, sample_scene(rng), 64)
        assert 0 <= left <= SIDE - 64 and 0 <= top <= SIDE - 64


def test_flat_background_has_its_colour_and_the_drawing_is_inside(renderer: Renderer):
    rng = np.random.default_rng(0)
    for noun in range(len(NOUNS)):
        scene = single_scene(rng, noun, "blue", snapped=True)
        picture = renderer.draw(scene)
        assert picture.shape == (SIDE, SIDE, 3)
        assert tuple(picture[0, 0]) == COLOURS["blue"]
        assert (picture != picture[0, 0]).any(-1).mean() > 0.04


def test_every_place_is_painted_differently(renderer: Renderer):
    empty = Placed(0, -500, -500, 60)
    means = [
        renderer.draw(Scene(b, (empty,), (0, 0, 0), 0)).reshape(-1, 3).mean(0) for b in BACKGROUNDS
    ]
    for i, mean in enumerate(means):
        assert all(np.abs(mean - other).max() > 8 for other in means[:i])


def test_missing_font_says_what_to_install():
    with pytest.raises(EaselError, match="apt-get install fonts-noto-color-emoji"):
        find_font("/nowhere/NotoColorEmoji.ttf")
