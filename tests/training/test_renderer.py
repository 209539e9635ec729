from dataclasses import replace

import numpy as np
import pytest

from webui.errors import EaselError
from webui.training.nouns import NOUNS, nouns
from webui.training.renderer import Renderer, find_font, picture_batch
from webui.training.scenes import (
    BACKGROUNDS,
    COLOURS,
    SIDE,
    STYLES,
    WEATHERS,
    Placed,
    Scene,
    single_scene,
)

CAT, APPLE = nouns().index("cat"), nouns().index("red apple")


def shown(noun: int, background: str = "blue", colour: str = "", **more: object) -> Scene:
    return Scene(background, (Placed(noun, 64.0, 64.0, 84, colour),), (0, 0, 0), 0, **more)


def test_flat_background_has_its_colour_and_the_drawing_is_inside(renderer: Renderer):
    rng = np.random.default_rng(0)
    for noun in range(len(NOUNS)):
        scene = single_scene(rng, noun, "blue", snapped=True)
        picture = renderer.draw(scene)
        assert picture.shape == (SIDE, SIDE, 3)
        assert tuple(picture[0, 0]) == COLOURS["blue"]
        assert (picture != picture[0, 0]).any(-1).mean() > 0.04


def test_every_place_is_painted_differently(renderer: Renderer):
    means = [
        renderer.draw(Scene(b, (), (0, 0, 0), 0, "empty")).reshape(-1, 3).mean(0)
        for b in BACKGROUNDS
    ]
    for i, mean in enumerate(means):
        assert all(np.abs(mean - other).max() > 8 for other in means[:i])


def test_a_sticker_is_the_drawing_with_white_around_it(renderer: Renderer):
    plain = renderer.draw(shown(CAT)).astype(int)
    stuck = renderer.draw(shown(CAT, sticker=True)).astype(int)
    inside = np.abs(plain[50:90, 50:80] - stuck[50:90, 50:80])
    assert inside.max() <= 2
    added = ((stuck > 240).all(-1) & (plain == plain[0, 0]).all(-1)).sum()
    assert 200 < added < 1500
    assert tuple(stuck[0, 0]) == COLOURS["blue"]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_drawing_in_another_colour_has_that_colour(renderer: Renderer, colour):
    wanted = np.array(COLOURS[colour])
    for noun in (CAT, APPLE):
        picture = renderer.draw(
            shown(noun, "turquoise" if colour != "turquoise" else "red", colour)
        )
        middle = np.median(picture[44:84, 44:84].reshape(-1, 3), axis=0)
        assert np.abs(middle - wanted).max() < 45, (noun, middle)


def test_an_apples_leaf_stays_green(renderer: Renderer):
    red, blue = (renderer.draw(shown(APPLE, "white", c)).astype(int) for c in ("red", "blue"))
    green = (red[..., 1] > red[..., 0] + 30) & (red[..., 1] > red[..., 2] + 30)
    assert green.sum() > 60 and np.abs(red - blue)[green].max() < 30


def test_styles_and_weather_change_the_picture_each_in_its_way(renderer: Renderer):
    pictures = [renderer.draw(shown(CAT, "grass", sticker=True)).astype(int)]
    pictures += [
        renderer.draw(shown(CAT, "grass", sticker=True, style=s)).astype(int) for s in STYLES
    ]
    pictures += [
        renderer.draw(shown(CAT, "grass", sticker=True, weather=w)).astype(int) for w in WEATHERS
    ]
    for i, picture in enumerate(pictures):
        assert picture.shape == (SIDE, SIDE, 3)
        assert all(np.abs(picture - other).mean() > 3 for other in pictures[:i]), i


def test_pixel_art_is_made_of_blocks(renderer: Renderer):
    picture = renderer.draw(shown(CAT, style="pixel art"))
    assert (picture[::4, ::4] == picture[3::4, 3::4]).all()


def test_what_is_kept_in_memory_changes_nothing(renderer: Renderer, font):
    scene = replace(shown(CAT, "sea", "green"), sticker=True)
    first = picture_batch(Renderer(font), [scene, scene])
    assert (first == renderer.draw(scene)).all()


def test_missing_font_says_what_to_install():
    with pytest.raises(EaselError, match="apt-get install fonts-noto-color-emoji"):
        find_font("/nowhere/NotoColorEmoji.ttf")
