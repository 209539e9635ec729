import torch

from webui.training.captions import FOREIGN
from webui.training.fidelity import (
    ADDED,
    colour_prompts,
    held_out_prompts,
    seen_at,
    two_prompts,
)
from webui.training.nouns import nouns
from webui.training.scenes import colour_held_out, pair_held_out


def test_questions_are_about_what_training_never_shows_and_always_the_same():
    names = nouns()
    assert all(pair_held_out(names[a], names[b]) for (a, b), _, _ in two_prompts())
    assert all(colour_held_out(names[n], c) for n, c, _ in colour_prompts(60))
    assert two_prompts(5) == two_prompts(100)[:5]
    assert held_out_prompts(1)[0][2] == held_out_prompts()[0][2]
    assert not {words.strip(", ") for words in ADDED} & set(FOREIGN)


def test_prompts_say_the_places_and_the_colour():
    for (a, b), places, text in two_prompts(10):
        assert text.index(nouns()[a]) < text.rindex(nouns()[b])
        assert ("above" in text) == (places == ("top", "bottom"))
    assert all(f" {colour} " in f" {text}" for _, colour, text in colour_prompts(10))


def test_a_place_is_the_quarter_of_the_picture_there():
    picture = torch.zeros(1, 3, 128, 128)
    picture[..., 32:96, 64:] = 1.0
    assert seen_at(picture, ["right"]).shape == (1, 3, 128, 128)
    assert seen_at(picture, ["right"]).min() == 1 and seen_at(picture, ["left"]).max() == 0
    assert 0.2 < seen_at(picture, ["top"]).mean() < 0.3
