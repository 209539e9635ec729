"""What the starter model can draw: code points of Noto Color Emoji, each with the words people type for it.

Chosen by eye for drawings that differ from one another at 64 pixels; no symbols, flags, letters or people.
The first word is the noun that the classifier and the figures speak of; the others are synonyms for captions.
The order is part of every trained classifier, so new nouns go to the end.
"""

NOUNS: tuple[tuple[int, tuple[str, ...]], ...] = (
    # Food
    (0x1F34E, ("red apple", "apple")),
    (0x1F34F, ("green apple",)),
    (0x1F34C, ("banana",)),
    (0x1F34B, ("lemon",)),
    (0x1F349, ("watermelon", "slice of watermelon")),
    (0x1F347, ("grapes",)),
    (0x1F353, ("strawberry",)),
    (0x1F352, ("cherries",)),
    (0x1F350, ("pear",)),
    (0x1F34D, ("pineapple",)),
    (0x1F345, ("tomato",)),
    (0x1F346, ("aubergine", "eggplant")),
    (0x1F951, ("avocado",)),
    (0x1F955, ("carrot",)),
    (0x1F344, ("mushroom", "toadstool")),
    (0x1F9C0, ("cheese",)),
    (0x1F354, ("hamburger", "burger")),
    (0x1F355, ("pizza", "slice of pizza")),
    (0x1F369, ("doughnut", "donut")),
    (0x1F382, ("birthday cake", "cake")),
    (0x1F366, ("ice cream", "ice cream cone")),
    (0x1F36D, ("lollipop",)),
    (0x2615, ("cup of coffee", "coffee")),
    # Animals
    (0x1F431, ("cat", "kitten")),
    (0x1F436, ("dog", "puppy")),
    (0x1F98A, ("fox",)),
    (0x1F981, ("lion",)),
    (0x1F42F, ("tiger",)),
    (0x1F43C, ("panda",)),
    (0x1F43B, ("bear",)),
    (0x1F428, ("koala",)),
    (0x1F438, ("frog",)),
    (0x1F437, ("pig",)),
    (0x1F435, ("monkey",)),
    (0x1F430, ("rabbit", "bunny")),
    (0x1F42E, ("cow",)),
    (0x1F984, ("unicorn",)),
    (0x1F434, ("horse",)),
    (0x1F414, ("chicken",)),
    (0x1F427, ("penguin",)),
    (0x1F989, ("owl",)),
    (0x1F986, ("duck",)),
    (0x1F99C, ("parrot",)),
    (0x1F9A9, ("flamingo",)),
    (0x1F422, ("turtle", "tortoise")),
    (0x1F40D, ("snake",)),
    (0x1F995, ("dinosaur",)),
    (0x1F433, ("whale",)),
    (0x1F42C, ("dolphin",)),
    (0x1F420, ("fish", "tropical fish")),
    (0x1F988, ("shark",)),
    (0x1F419, ("octopus",)),
    (0x1F980, ("crab",)),
    (0x1F40C, ("snail",)),
    (0x1F98B, ("butterfly",)),
    (0x1F41D, ("bee",)),
    (0x1F41E, ("ladybug", "ladybird")),
    (0x1F418, ("elephant",)),
    (0x1F992, ("giraffe",)),
    (0x1F42A, ("camel",)),
    (0x1F409, ("dragon",)),
    # Plants
    (0x1F333, ("tree",)),
    (0x1F332, ("fir tree", "pine tree")),
    (0x1F334, ("palm tree", "palm")),
    (0x1F335, ("cactus",)),
    (0x1F33B, ("sunflower",)),
    (0x1F337, ("tulip",)),
    (0x1F339, ("rose", "red rose")),
    (0x1F340, ("four leaf clover", "clover")),
    (0x1F341, ("maple leaf",)),
    # Vehicles
    (0x1F697, ("red car", "car")),
    (0x1F695, ("taxi",)),
    (0x1F68C, ("bus",)),
    (0x1F692, ("fire engine", "fire truck")),
    (0x1F69C, ("tractor",)),
    (0x1F6B2, ("bicycle", "bike")),
    (0x1F682, ("steam train", "train")),
    (0x1F681, ("helicopter",)),
    (0x1F680, ("rocket",)),
    (0x26F5, ("sailboat", "boat")),
    (0x1F6A2, ("ship",)),
    (0x1F6F8, ("flying saucer", "ufo")),
    # Buildings
    (0x1F3E0, ("house",)),
    (0x1F3F0, ("castle",)),
    (0x26FA, ("tent",)),
    (0x1F3A1, ("ferris wheel",)),
    # Nature
    (0x1F31E, ("sun",)),
    (0x1F319, ("moon", "crescent moon")),
    (0x2B50, ("star",)),
    (0x1F308, ("rainbow",)),
    (0x1F525, ("fire", "flame")),
    (0x26C4, ("snowman",)),
    # Objects
    (0x1F388, ("red balloon", "balloon")),
    (0x2614, ("umbrella",)),
    (0x1F3B8, ("guitar",)),
    (0x1F511, ("key",)),
    (0x23F0, ("alarm clock", "clock")),
    (0x1F451, ("crown",)),
    (0x26BD, ("football", "soccer ball")),
    (0x1F383, ("pumpkin", "jack-o'-lantern")),
    (0x1F47B, ("ghost",)),
    (0x1F916, ("robot",)),
)

# Drawings that only occur with others. Measurements and held-out pairs know nothing of them.
ACCESSORIES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0x1F3A9, ("top hat", "hat")),
    (0x1F576, ("sunglasses",)),
)
DRAWINGS = (*NOUNS, *ACCESSORIES)

FACES = frozenset({"cat", "dog", "fox", "lion", "tiger", "panda", "bear", "koala", "frog", "pig", "monkey", "owl",
                   "penguin", "pumpkin", "sun", "ghost", "robot"})  # fmt: skip
HATS = ("crown", "top hat")
GLASSES = ("sunglasses",)
# What a face may sit on or in, with the face's centre in pixels from the top of a picture of 128.
RIDES = {"red car": 48, "taxi": 48, "bus": 40, "tractor": 40, "bicycle": 48, "elephant": 32,
         "camel": 32, "turtle": 48, "whale": 48}  # fmt: skip

PLURAL = frozenset({"grapes", "cherries", "sunglasses"})
UNCOUNTED = frozenset({"cheese", "pizza", "ice cream", "coffee", "fire", "corn"})
UNIQUE = frozenset({"sun", "moon"})


def nouns() -> list[str]:
    """The first word of every drawing, in the table's order."""
    return [words[0] for _, words in NOUNS]


def with_article(word: str) -> str:
    """ "an octopus", "a red apple", "grapes", "the sun": the word as a sentence takes it."""
    if word in PLURAL or word in UNCOUNTED:
        return word
    if word in UNIQUE:
        return f"the {word}"
    vowel = word[0] in "aeio" or word.startswith(("umbrella",))
    return f"{'an' if vowel else 'a'} {word}"


def drawing_index(word: str) -> int:
    """Index into `DRAWINGS` of the drawing whose first word this is."""
    return next(i for i, (_, words) in enumerate(DRAWINGS) if words[0] == word)


def own_colour(word: str) -> str:
    """The colour that the word begins with, or ""."""
    first = word.split()[0]
    return first if first in ("red", "green") and first != word else ""


def uncoloured(words: tuple[str, ...]) -> tuple[str, ...]:
    """Those words that name no colour: what "blue" can be put in front of."""
    return tuple(w for w in words if not own_colour(w))


def takes_colour(noun: str, colour: str) -> bool:
    """Whether "a blue car" can be said of this noun: it has a word without a colour, and is not blue by name."""
    return bool(uncoloured(DRAWINGS[drawing_index(noun)][1])) and own_colour(noun) != colour


def can_be_counted(noun: str) -> bool:
    """Whether "three tigers" can be said."""
    return noun not in PLURAL | UNCOUNTED | UNIQUE


def plural(word: str) -> str:
    """ "foxes", "butterflies", "slices of pizza", "fish"."""
    if " of " in word:
        head, tail = word.split(" of ", 1)
        return f"{plural(head)} of {tail}"
    if word in PLURAL or word.endswith("fish"):
        return word
    for end, ends in (("leaf", "leaves"), ("man", "men")):
        if word.endswith(end):
            return word.removesuffix(end) + ends
    if word.endswith(("ry", "ly", "py", "ny", "ty")):
        return f"{word[:-1]}ies"
    return f"{word}{'es' if word.endswith(('s', 'x', 'ch', 'sh', 'tomato')) else 's'}"
