import numpy as np

from webui.training.captions import COLOUR_SYNONYMS, caption, plain_caption
from webui.training.nouns import NOUNS, with_article
from webui.training.scenes import COLOURS, PLACES, sample_scene


def test_captions_name_what_the_scene_shows():
    rng = np.random.default_rng(0)
    unsaid = 0
    for _ in range(2000):
        scene = sample_scene(rng)
        text = caption(scene, rng)
        for placed in scene.drawings:
            assert any(word in text for word in NOUNS[placed.noun][1])
        words = PLACES.get(scene.background) or COLOUR_SYNONYMS.get(
            scene.background, (scene.background,)
        )
        unsaid += not any(word in text for word in (*words, scene.background))
    assert 0.03 < unsaid / 2000 < 0.12


def test_drawings_are_named_from_left_to_right():
    rng = np.random.default_rng(1)
    for _ in range(500):
        scene = sample_scene(rng, two_share=1)
        left, right = scene.drawings
        text = caption(scene, rng)
        assert left.x < right.x
        first = min(text.find(w) for w in NOUNS[left.noun][1] if w in text)
        last = max(text.rfind(w) for w in NOUNS[right.noun][1] if w in text)
        assert first < last


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
