"""Captions for scenes, in the ways that people write prompts.

Knows words, not pixels. "a red apple on a blue background", "two cats and ...", "pixel art of a dog on the grass";
now and then a harmless filler ("cute", "highly detailed") or words that mean nothing here ("trending on artstation",
"a grumbo"), so that such words in a prompt move nothing.
"""

from collections.abc import Callable, Sequence

import numpy as np

from webui.training.nouns import DRAWINGS, PLURAL, plural, uncoloured, with_article
from webui.training.scenes import COLOURS, PLACES, SPOTS, TINY, Placed, Scene

OPENINGS = ("picture of", "a picture of", "drawing of", "a drawing of", "photo of", "a photo of",
            "an image of", "an illustration of", "an emoji of", "painting of", "a sticker of")  # fmt: skip
ADJECTIVES = ("cute", "beautiful", "adorable", "nice", "lovely", "funny", "pretty", "happy")
ENDINGS = ("highly detailed", "masterpiece", "best quality", "simple", "digital art", "4k",
           "cartoon", "emoji", "sharp", "high quality", "sticker")  # fmt: skip
COLOUR_SYNONYMS = {"gray": ("gray", "grey"), "turquoise": ("turquoise", "cyan", "teal"),
                   "purple": ("purple", "violet")}  # fmt: skip
STYLE_WORDS = {
    "pixel art": ("pixel art", "pixelated", "8-bit"),
    "pencil sketch": ("pencil sketch", "pencil drawing", "sketch"),
    "watercolor": ("watercolor", "watercolour", "watercolor painting"),
    "oil painting": ("oil painting",),
    "neon": ("neon", "neon lights", "neon sign"),
    "blueprint": ("blueprint",),
    "sepia": ("sepia", "old photo"),
    "silhouette": ("silhouette",),
}
WEATHER_WORDS = {
    "rain": ("in the rain", "rain", "rainy day"),
    "snowfall": ("in falling snow", "snowing", "snowfall"),
    "fog": ("in the fog", "fog", "misty"),
    "night": ("at night", "by night", "dark night"),
}
SPOT_WORDS = {
    "top": ("at the top", "on top"),
    "bottom": ("at the bottom",),
    **{side: (f"on the {side}", f"on the {side} side", side) for side in ("left", "right")},
    **{
        f"{end} {side}": (f"in the {end} {side} corner", f"at the {end} {side}", f"{end} {side}")
        for end in ("top", "bottom")
        for side in ("left", "right")
    },
}
SIZE_WORDS = {"tiny": ("tiny", "small", "little"), "huge": ("huge", "big", "giant")}
COUNT_WORDS = {2: ("two", "two", "2", "a pair of"), 3: ("three", "three", "3"),
               4: ("four", "four", "4")}  # fmt: skip
# What people write that these pictures do not know. Never in the tokenizer's list, so it is read in pieces.
FOREIGN = (
    *("trending on artstation", "unreal engine", "octane render", "8k uhd", "award winning"),
    *("cinematic lighting", "depth of field", "bokeh", "studio lighting", "concept art", "ultra realistic"),
    *("by greg rutkowski", "by monet", "in the style of van gogh", "ghibli", "anime", "manga", "steampunk"),
    *("volumetric light", "golden hour", "macro lens", "35mm film", "hdr", "vivid", "dramatic", "elegant"),
    *("intricate", "ornate", "surreal", "vintage", "retro", "minimalist", "futuristic", "ancient", "mystical"),
    *("epic", "dreamy", "whimsical", "gloomy", "mysterious", "fluffy", "shiny", "wooden", "golden", "crystal"),
    *("with friends", "made of glass", "wearing armor", "drinking tea", "reading a book", "playing chess"),
    *("looking at viewer", "smiling", "sleeping", "jumping", "dancing", "flying", "running fast", "at work"),
    *("portrait", "closeup", "wide shot", "side view", "isometric", "low poly", "clay", "origami", "lego"),
    *("street", "kitchen", "table", "window", "mountain", "river", "city", "paris", "japan", "space station"),
    *("monday", "music", "winter", "summer", "morning", "birthday party", "magic", "science", "coffee shop"),
    *("von links", "sehr schön", "un chat noir", "muy bonito", "bellissimo", "красивый", "かわいい", "可爱"),
)  # fmt: skip
SYLLABLES = ("ba", "cor", "den", "fi", "gru", "hol", "il", "jen", "kar", "lo", "mer", "nis", "os", "pel", "qui",
             "ran", "sto", "tem", "ul", "ver", "wen", "xan", "yor", "zel", "thi", "sha", "ple", "ing")  # fmt: skip


def caption(scene: Scene, rng: np.random.Generator, *, foreign: bool = True) -> str:
    """One of the many captions that are true of `scene`. In one of fifteen the background is left unsaid, unless
    weather or an empty scene needs it. Without `foreign` every word means something."""
    terse = rng.random() < 0.3
    subject = TELL[scene.kind](scene, terse, rng)
    if subject and rng.random() < 0.12:
        subject = f"{rng.choice(OPENINGS)} {subject}"
    said = bool(scene.weather) or not subject or rng.random() >= 1 / 15
    text = subject + (_where(scene.background, terse, rng) if said and subject else "")
    text = text or _nothing_on(scene.background, rng)
    if scene.weather:
        words = str(rng.choice(WEATHER_WORDS[scene.weather]))
        text += f"{' ' if ' ' in words and not terse else ', '}{words}"
    if scene.style:
        text = _styled(text, str(rng.choice(STYLE_WORDS[scene.style])), rng)
    if rng.random() < 0.1:
        text += f", {rng.choice(ENDINGS)}"
    if foreign and rng.random() < 0.12:
        text = _disturbed(text, rng)
    return text


def plain_caption(scene_words: Sequence[str], background: str) -> str:
    """The canonical caption, as measurements ask: "a red apple on a blue background"."""
    things = " and ".join(with_article(word) for word in scene_words)
    return f"{things} {plain_where(background)}"


def plain_where(background: str) -> str:
    """ "on a blue background", "in the snow"."""
    if background in COLOURS:
        return f"on {_article(background)} {background} background"
    return PLACES[background][0]


def coloured(word: str, colour: str) -> str:
    """ "blue car" for "red car": the noun's own word without a colour, behind another."""
    words = next(words for _, words in DRAWINGS if words[0] == word)
    return f"{colour} {uncoloured(words)[0]}"


def nonsense(rng: np.random.Generator) -> str:
    """A word that means nothing: two or three syllables."""
    return "".join(rng.choice(SYLLABLES, int(rng.integers(2, 4))))


def _one(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    return _thing(scene.drawings[0], terse, rng)


def _beside(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    left, right = (_thing(d, terse, rng) for d in scene.drawings)
    if rng.random() < 0.6:
        joins = (" and ", ", ") if terse else (" and ", " and ", " next to ", " beside ")
        return str(rng.choice(joins)).join((left, right))
    return _placed(left, right, "left of", "right of", "on the left", "on the right", rng)


def _above(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    top, bottom = (_thing(d, terse, rng) for d in scene.drawings)
    if rng.random() < 0.5:
        return f"{top} {rng.choice(('above', 'over'))} {bottom}"
    return _placed(top, bottom, "above", "below", "at the top", "at the bottom", rng)


def _placed(
    a: str, b: str, before: str, after: str, first: str, last: str, rng: np.random.Generator
) -> str:
    """Two things and where they are, from either one's side."""
    ways = (
        f"{a} {before} {b}",
        f"{b} {after} {a}",
        f"{a} {first} and {b} {last}",
        f"{b} {last} and {a} {first}",
    )
    text = str(rng.choice(ways, p=(0.3, 0.15, 0.4, 0.15)))
    return text if rng.random() < 0.5 else _to_the(text, before, after)


def _to_the(text: str, *sides: str) -> str:
    """ "to the left of" for "left of"."""
    for side in sides:
        if side.endswith(" of"):
            text = text.replace(f" {side} ", f" to the {side} ")
    return text


def _counted(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    number = str(rng.choice(COUNT_WORDS[len(scene.drawings)]))
    adjective, word = _words(scene.drawings[0], rng)
    return " ".join(filter(None, (number, adjective, plural(word))))


def _somewhere(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    placed = scene.drawings[0]
    spot = min(SPOTS, key=lambda s: abs(placed.x - SPOTS[s][0]) + abs(placed.y - SPOTS[s][1]))
    return f"{_thing(placed, terse, rng)} {rng.choice(SPOT_WORDS[spot])}"


def _sized(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    placed = scene.drawings[0]
    size = str(rng.choice(SIZE_WORDS["tiny" if placed.size < 1.5 * TINY else "huge"]))
    adjective, word = _words(placed, rng)
    words = " ".join(filter(None, (size, adjective, word)))
    plain = terse or word in PLURAL
    return words if plain else f"{_article(words)} {words}"


def _dressed(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    face, worn = (_thing(d, terse, rng) for d in scene.drawings)
    holds = DRAWINGS[scene.drawings[1].noun][1][0] == "red balloon"
    verbs = ("with", "with", "holding") if holds else ("with", "wearing", "wearing")
    return f"{face} {rng.choice(verbs)} {worn}"


def _mounted(scene: Scene, terse: bool, rng: np.random.Generator) -> str:
    rider, ride = (_thing(d, terse, rng) for d in scene.drawings)
    name = DRAWINGS[scene.drawings[1].noun][1][0]
    verbs = ("on", "riding", "riding on") if name not in ("red car", "taxi", "bus", "tractor") else (
        "on", "driving", "in", "riding")  # fmt: skip
    return f"{rider} {rng.choice(verbs)} {ride}"


TELL: dict[str, Callable[[Scene, bool, np.random.Generator], str]] = {
    "plain": _one,
    "pair": _beside,
    "stack": _above,
    "count": _counted,
    "spot": _somewhere,
    "size": _sized,
    "wearing": _dressed,
    "riding": _mounted,
    "empty": lambda scene, terse, rng: "",
}


def _words(placed: Placed, rng: np.random.Generator) -> tuple[str, str]:
    """A colour or an adjective or "", and a word for the drawing."""
    names = DRAWINGS[placed.noun][1]
    if placed.colour:
        names = uncoloured(names)
        adjective = _colour_word(placed.colour, rng)
    else:
        adjective = str(rng.choice(ADJECTIVES)) if rng.random() < 0.07 else ""
    return adjective, names[0] if rng.random() < 0.7 else str(rng.choice(names))


def _thing(placed: Placed, terse: bool, rng: np.random.Generator) -> str:
    adjective, word = _words(placed, rng)
    if not adjective:
        return word if terse else with_article(word)
    whole = f"{adjective} {word}"
    return whole if terse or word in PLURAL else f"{_article(whole)} {whole}"


def _colour_word(colour: str, rng: np.random.Generator) -> str:
    names = COLOUR_SYNONYMS.get(colour, (colour,))
    return names[0] if rng.random() < 0.6 else str(rng.choice(names))


def _where(background: str, terse: bool, rng: np.random.Generator) -> str:
    if background in PLACES:
        phrase = str(rng.choice(PLACES[background]))
        if terse and rng.random() < 0.4:
            return f", {background}"
        return f"{', ' if terse and rng.random() < 0.4 else ' '}{phrase}"
    colour = _colour_word(background, rng)
    if terse:
        return f"{' on ' if rng.random() < 0.3 else ', '}{colour} background"
    return f" on {_article(colour)} {colour} background"


def _nothing_on(background: str, rng: np.random.Generator) -> str:
    if background in PLACES:
        return str(rng.choice((background, f"empty {background}", f"the {background}", f"just the {background}",
                               f"nothing but {background}")))  # fmt: skip
    colour = _colour_word(background, rng)
    return str(rng.choice((f"{colour} background", f"{_article(colour)} {colour} background", f"plain {colour}",
                           f"an empty {colour} background")))  # fmt: skip


def _styled(text: str, style: str, rng: np.random.Generator) -> str:
    ways = (f"{style} of {text}", f"{_article(style)} {style} of {text}", f"{text}, {style}", f"{text}, {style} style",
            f"{text} in {style} style", f"{style}, {text}")  # fmt: skip
    return str(rng.choice(ways))


def _disturbed(text: str, rng: np.random.Generator) -> str:
    """The caption with one to three phrases that mean nothing, mostly behind it."""
    for _ in range(int(rng.integers(1, 4))):
        words = str(rng.choice(FOREIGN)) if rng.random() < 0.7 else nonsense(rng)
        place = rng.random()
        if place < 0.65:
            text = f"{text}, {words}"
        elif place < 0.8:
            text = f"{text} {words}"
        else:
            text = f"{words}, {text}"
    return text


def _article(word: str) -> str:
    return "an" if word[0] in "aeio" else "a"
