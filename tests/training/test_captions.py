import numpy as np

from webui.training.captions import (
    COLOUR_SYNONYMS,
    COUNT_WORDS,
    STYLE_WORDS,
    caption,
    coloured,
    plain_caption,
)
from webui.training.nouns import DRAWINGS, NOUNS, nouns, plural, with_article
from webui.training.scenes import COLOURS, PLACES, Placed, Scene, plain_scene, sample_scene


def scenes(count: int):
    rng = np.random.default_rng(0)
    for _ in range(count):
        scene = sample_scene(rng)
        yield scene, caption(scene, rng), rng


def test_captions_name_what_the_scene_shows():
    unsaid = 0
    for scene, text, _ in scenes(2500):
        for placed in scene.drawings:
            words = DRAWINGS[placed.noun][1]
            assert any(word in text or plural(word) in text for word in words)
            if placed.colour:
                assert any(c in text for c in COLOUR_SYNONYMS.get(placed.colour, (placed.colour,)))
        if scene.style:
            assert any(word in text for word in STYLE_WORDS[scene.style])
        words = PLACES.get(scene.background) or COLOUR_SYNONYMS.get(
            scene.background, (scene.background,)
        )
        missing = not any(word in text for word in (*words, scene.background))
        assert not (missing and (scene.weather or scene.kind == "empty"))
        unsaid += missing
    assert 0.02 < unsaid / 2500 < 0.12


def test_a_colour_is_not_said_of_a_word_with_another():
    rng = np.random.default_rng(0)
    scene = Scene("blue", (Placed(nouns().index("red apple"), 64, 64, 84, "green"),), (0, 0, 0), 0)
    assert not any("red" in caption(scene, rng, foreign=False) for _ in range(50))
    assert coloured("red car", "blue") == "blue car"


def test_drawings_are_named_from_left_to_right_unless_the_words_turn_them():
    rng = np.random.default_rng(1)
    for _ in range(500):
        scene = plain_scene(rng, two_share=1)
        left, right = scene.drawings
        text = caption(scene, rng, foreign=False)
        assert left.x < right.x
        first = min(text.find(w) for w in NOUNS[left.noun][1] if w in text)
        last = max(text.rfind(w) for w in NOUNS[right.noun][1] if w in text)
        turned = "right of" in text or text.find("on the right") in range(text.find("on the left"))
        assert (first < last) != turned, text


def test_counts_say_how_many():
    for scene, text, _ in scenes(1500):
        if scene.kind == "count":
            assert any(f"{word} " in text for word in COUNT_WORDS[len(scene.drawings)])


def test_an_empty_scene_names_its_background_alone():
    rng = np.random.default_rng(2)
    scene = Scene("grass", (), (0, 0, 0), 0, "empty")
    for _ in range(50):
        text = caption(scene, rng, foreign=False)
        assert "grass" in text and not any(f" {n}" in text for n in nouns())


def test_some_captions_hold_words_that_mean_nothing_and_those_for_the_tokenizer_none():
    ours = {word for s, _, r in scenes(2000) for word in caption(s, r, foreign=False).split()}
    every = {word for _, text, _ in scenes(2000) for word in text.split()}
    assert {"artstation", "friends"} & every and not {"artstation", "friends"} & ours
    assert len(every) > len(ours) + 100


def test_plain_captions_read_like_prompts():
    assert plain_caption(["red apple"], "blue") == "a red apple on a blue background"
    assert plain_caption(["octopus"], "sea") == "an octopus in the sea"
    assert plain_caption(["cat", "dog"], "orange") == "a cat and a dog on an orange background"


def test_articles():
    assert with_article("unicorn") == "a unicorn"
    assert with_article("umbrella") == "an umbrella"
    assert with_article("grapes") == "grapes"
    assert with_article("sun") == "the sun"
    assert all(with_article(words[0]) for _, words in NOUNS) and COLOURS
