"""Captions for scenes, in the ways that people write prompts.

Knows words, not pixels. "a red apple on a blue background", "red apple, blue background", "an octopus in the
sea", "picture of a dog on the grass"; now and then a harmless filler ("cute", "highly detailed"), so that such
words in a prompt move nothing.
"""

from collections.abc import Sequence

import numpy as np

from webui.training.nouns import NOUNS, with_article
from webui.training.scenes import COLOURS, PLACES, Scene

OPENINGS = ("picture of", "a picture of", "drawing of", "a drawing of", "photo of", "a photo of",
            "an image of", "an illustration of", "an emoji of", "painting of")  # fmt: skip
ADJECTIVES = ("cute", "beautiful", "big", "small", "nice", "little", "funny", "pretty")
ENDINGS = ("highly detailed", "masterpiece", "best quality", "simple", "digital art", "4k",
           "cartoon", "emoji", "sharp", "high quality")  # fmt: skip
COLOUR_SYNONYMS = {"gray": ("gray", "grey"), "turquoise": ("turquoise", "cyan", "teal"),
                   "purple": ("purple", "violet")}  # fmt: skip


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many captions that are true of `scene`. In one of fifteen the background is left unsaid."""
    words = []
    for placed in scene.drawings:
        names = NOUNS[placed.noun][1]
        words.append(names[0] if rng.random() < 0.7 else str(rng.choice(names)))
    terse = rng.random() < 0.3
    things = [_thing(word, terse, rng) for word in words]
    joins = (" and ", ", ") if terse else (" and ", " and ", " next to ", " beside ")
    subject = str(rng.choice(joins)).join(things)
    if rng.random() < 0.15:
        subject = f"{rng.choice(OPENINGS)} {subject}"
    where = "" if rng.random() < 1 / 15 else _where(scene.background, terse, rng)
    text = subject + where
    if rng.random() < 0.1:
        text += f", {rng.choice(ENDINGS)}"
    return text


def plain_caption(scene_words: Sequence[str], background: str) -> str:
    """The canonical caption, as measurements ask: "a red apple on a blue background"."""
    things = " and ".join(with_article(word) for word in scene_words)
    if background in COLOURS:
        return f"{things} on {_article(background)} {background} background"
    return f"{things} {PLACES[background][0]}"


def _thing(word: str, terse: bool, rng: np.random.Generator) -> str:
    if rng.random() < 0.07:
        adjective = str(rng.choice(ADJECTIVES))
        return f"{adjective} {word}" if terse else f"a {adjective} {word}"
    return word if terse else with_article(word)


def _where(background: str, terse: bool, rng: np.random.Generator) -> str:
    if background in PLACES:
        phrase = str(rng.choice(PLACES[background]))
        if terse and rng.random() < 0.4:
            return f", {background}"
        return f"{', ' if terse and rng.random() < 0.4 else ' '}{phrase}"
    names = COLOUR_SYNONYMS.get(background, (background,))
    colour = names[0] if rng.random() < 0.6 else str(rng.choice(names))
    if terse:
        return f"{' on ' if rng.random() < 0.3 else ', '}{colour} background"
    return f" on {_article(colour)} {colour} background"


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" else "a"
