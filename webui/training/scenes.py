"""What a picture shows, as plain data: drawings on a colour or in a place, in a style, in some weather.

Everything follows from a `numpy` generator that the caller seeds, so a step number is enough to draw a batch again.
About one in ten of the pairs (noun, background), (noun, colour of the noun) and (noun, noun) is held out by a stable
hash: no training scene has it, so that a prompt with such a pair asks for a combination the model never saw.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from webui.training.nouns import (
    FACES,
    GLASSES,
    HATS,
    NOUNS,
    RIDES,
    can_be_counted,
    drawing_index,
    nouns,
    takes_colour,
)
from webui.training.places import SIDE

HELD_OUT_SHARE = 0.1
CELL = 8  # pixels to one latent cell
SNAPPED_SIZES = (84, 100)
VARIANTS = 24  # paintings of each place
SNAPPED_VARIANTS = 6

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 40, 40),
    "orange": (247, 140, 30),
    "yellow": (250, 220, 50),
    "green": (60, 170, 75),
    "blue": (45, 95, 220),
    "purple": (135, 60, 185),
    "pink": (250, 160, 200),
    "brown": (125, 78, 45),
    "gray": (140, 140, 140),
    "black": (18, 18, 20),
    "white": (250, 250, 250),
    "turquoise": (60, 205, 200),
}
# Each place with the words that follow a noun: "a dog on the grass".
PLACES: dict[str, tuple[str, ...]] = {
    "snow": ("in the snow", "on snow", "on the snow"),
    "grass": ("on the grass", "on a meadow", "on green grass"),
    "sea": ("in the sea", "on the sea", "in the ocean"),
    "desert": ("in the desert", "on sand"),
    "night sky": ("in the night sky", "under the stars", "at night"),
    "sunset": ("at sunset", "in front of a sunset"),
    "forest": ("in the forest", "in the woods"),
    "sky": ("in the sky", "in the blue sky", "in the clouds"),
}
BACKGROUNDS: tuple[str, ...] = (*COLOURS, *PLACES)
STYLES = ("pixel art", "pencil sketch", "watercolor", "oil painting", "neon", "blueprint", "sepia",
          "silhouette")  # fmt: skip
WEATHERS = ("rain", "snowfall", "fog", "night")
SPOTS: dict[str, tuple[int, int]] = {
    "left": (32, 64),
    "right": (96, 64),
    "top": (64, 32),
    "bottom": (64, 96),
    "top left": (32, 32),
    "top right": (96, 32),
    "bottom left": (32, 96),
    "bottom right": (96, 96),
}
SPOT_SIZE = 56
TINY, HUGE = 36, 120
ROWS = {2: ("left", "right"), 3: ("top", "bottom left", "bottom right"),
        4: ("top left", "top right", "bottom left", "bottom right")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placed:
    """One drawing: index into `DRAWINGS`, centre and longer side in pixels; `colour` is of `COLOURS`, "" its own."""

    noun: int
    x: float
    y: float
    size: int
    colour: str = ""

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the square that the drawing fits in, clipped to the picture."""
        half = self.size / 2
        left, top = max(0, int(self.x - half)), max(0, int(self.y - half))
        return left, top, min(SIDE, int(self.x + half)), min(SIDE, int(self.y + half))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows. `tint` moves a flat colour a little; `variant` chooses one painting of a place.

    `kind` says what the drawings are to one another, which captions put in words: see `KINDS`. Later drawings lie
    on earlier ones. `sticker` gives each a white outline and a soft shadow.
    """

    background: str
    drawings: tuple[Placed, ...]
    tint: tuple[int, int, int]
    variant: int
    kind: str = "plain"
    style: str = ""
    weather: str = ""
    sticker: bool = False


def held_out(noun: str, background: str) -> bool:
    """Whether training never shows this pair. Stable across runs, machines and Python versions."""
    return zlib.crc32(f"{noun}|{background}".encode()) % 1000 < HELD_OUT_SHARE * 1000


def colour_held_out(noun: str, colour: str) -> bool:
    """Whether training never shows this noun in this colour."""
    return held_out(noun, f"in {colour}")


def pair_held_out(one: str, other: str) -> bool:
    """Whether training never shows these two nouns together, in whichever order."""
    return held_out(*sorted((one, other)))


@lru_cache(maxsize=1)
def seen_pairs() -> tuple[tuple[int, str], ...]:
    """All (noun index, background) pairs that training may show."""
    return tuple(
        (i, b) for i, noun in enumerate(nouns()) for b in BACKGROUNDS if not held_out(noun, b)
    )


@lru_cache(maxsize=1)
def held_out_pairs() -> tuple[tuple[int, str], ...]:
    """All (noun index, background) pairs kept for measuring."""
    return tuple((i, b) for i, noun in enumerate(nouns()) for b in BACKGROUNDS if held_out(noun, b))


def plain_scene(
    rng: np.random.Generator, two_share: float = 0.25, *, snapped: bool = False
) -> Scene:
    """One drawing, or with probability `two_share` two side by side; no held-out pair, nothing else.

    `snapped` scenes move drawings by whole latent cells (8 pixels), in two sizes, and do not tint colours: what
    the diffusion model has to learn per noun is then a few patterns of latents instead of a continuum.
    """
    seen = seen_pairs()
    noun, background = seen[rng.integers(len(seen))]
    if rng.random() >= two_share:
        return single_scene(rng, noun, background, snapped=snapped)
    other = _companion(rng, noun, background)
    drawings = []
    for index, centre in ((noun, 32), (other, 96)):
        size = SPOT_SIZE if snapped else int(rng.integers(50, 61))
        x = float(centre) if snapped else centre + rng.uniform(-3, 3)
        y = 56.0 + CELL * int(rng.integers(3)) if snapped else 66 + rng.uniform(-12, 12)
        drawings.append(Placed(index, x, y, size))
    return _scene(rng, background, tuple(drawings), snapped, "pair")


def single_scene(
    rng: np.random.Generator, noun: int, background: str, *, snapped: bool = False
) -> Scene:
    """One drawing near the middle, of any pair, held out or not."""
    if snapped:
        size = SNAPPED_SIZES[rng.integers(len(SNAPPED_SIZES))]
        x, y = (64.0 + CELL * int(rng.integers(-1, 2)) for _ in range(2))
    else:
        size = int(rng.integers(76, 105))
        room = ((SIDE - size) / 2 - 3) * 0.7
        x, y = 64 + rng.uniform(-room, room), 64 + rng.uniform(-room, room)
    return _scene(rng, background, (Placed(noun, x, y, size),), snapped)


def sample_scene(
    rng: np.random.Generator, *, snapped: bool = False, style_share: float = 0.12
) -> Scene:
    """A training scene of any kind of `KINDS`, now and then in a style or in weather, sometimes in chosen colours.

    Scenes that are not `snapped` (see `plain_scene`) move each drawing a little and are stickers five times in six.
    """
    kinds, shares = zip(*((kind, share) for kind, (share, _) in KINDS.items()), strict=True)
    kind = str(rng.choice(kinds, p=np.array(shares) / sum(shares)))
    scene = KINDS[kind][1](rng, snapped)
    if not snapped and kind != "plain":
        scene = replace(scene, drawings=tuple(_moved(rng, d) for d in scene.drawings))
    if scene.drawings and rng.random() < 0.2:
        scene = replace(scene, drawings=_coloured(rng, scene))
    style = str(rng.choice(STYLES)) if rng.random() < style_share else ""
    weather = str(rng.choice(WEATHERS)) if not style and rng.random() < 0.06 else ""
    sticker = snapped or bool(rng.random() < 5 / 6)
    return replace(scene, style=style, weather=weather, sticker=sticker)


def _single(rng: np.random.Generator, snapped: bool) -> Scene:
    return plain_scene(rng, 0.0, snapped=snapped)


def _pair(rng: np.random.Generator, snapped: bool) -> Scene:
    return plain_scene(rng, 1.0, snapped=snapped)


def _stack(rng: np.random.Generator, snapped: bool) -> Scene:
    """Two drawings, one above the other."""
    noun, background = _seen(rng)
    other = _companion(rng, noun, background)
    return _scene(rng, background, _at(("top", "bottom"), (noun, other)), snapped, "stack")


def _count(rng: np.random.Generator, snapped: bool) -> Scene:
    """Two to four of the same drawing."""
    noun, background = _seen(rng, can_be_counted)
    spots = ROWS[int(rng.integers(2, 5))]
    return _scene(rng, background, _at(spots, (noun,) * len(spots)), snapped, "count")


def _spot(rng: np.random.Generator, snapped: bool) -> Scene:
    """One drawing at one of the eight `SPOTS`."""
    noun, background = _seen(rng)
    return _scene(rng, background, _at((str(rng.choice([*SPOTS])),), (noun,)), snapped, "spot")


def _size(rng: np.random.Generator, snapped: bool) -> Scene:
    """One drawing, tiny or huge."""
    noun, background = _seen(rng)
    size = TINY if rng.random() < 0.5 else HUGE
    return _scene(rng, background, (Placed(noun, 64.0, 64.0, size),), snapped, "size")


def _wearing(rng: np.random.Generator, snapped: bool) -> Scene:
    """A face with a hat, sunglasses or a balloon."""
    worn = str(rng.choice([*HATS, *GLASSES, "red balloon"]))
    noun, background = _seen_with(rng, worn)
    other = drawing_index(worn)
    if worn in HATS:
        drawings = (Placed(noun, 64.0, 72.0, 84), Placed(other, 64.0, 24.0, 48))
    elif worn in GLASSES:
        drawings = (Placed(noun, 64.0, 64.0, 100), Placed(other, 64.0, 64.0, 72))
    else:
        drawings = (Placed(noun, 48.0, 72.0, 76), Placed(other, 104.0, 48.0, 56))
    return _scene(rng, background, drawings, snapped, "wearing")


def _riding(rng: np.random.Generator, snapped: bool) -> Scene:
    """A face on or in something that carries it; what carries lies in front."""
    ride = str(rng.choice([*RIDES]))
    noun, background = _seen_with(rng, ride)
    drawings = (
        Placed(noun, 64.0, float(RIDES[ride]), 52),
        Placed(drawing_index(ride), 64.0, 88.0, 84),
    )
    return _scene(rng, background, drawings, snapped, "riding")


def _seen_with(rng: np.random.Generator, other: str) -> tuple[int, str]:
    """A face and a background that training may show together with `other`."""
    names = nouns()
    while True:
        noun, background = _seen(rng, FACES.__contains__)
        if not held_out(other, background) and not pair_held_out(names[noun], other):
            return noun, background


def _empty(rng: np.random.Generator, snapped: bool) -> Scene:
    """A background alone."""
    return _scene(rng, BACKGROUNDS[rng.integers(len(BACKGROUNDS))], (), snapped, "empty")


# Each kind with its share of the training scenes.
KINDS: dict[str, tuple[float, Callable[[np.random.Generator, bool], Scene]]] = {
    "plain": (0.60, _single),
    "pair": (0.12, _pair),
    "stack": (0.04, _stack),
    "count": (0.07, _count),
    "spot": (0.05, _spot),
    "size": (0.03, _size),
    "wearing": (0.04, _wearing),
    "riding": (0.02, _riding),
    "empty": (0.03, _empty),
}


def _seen(
    rng: np.random.Generator, suits: Callable[[str], bool] = lambda noun: True
) -> tuple[int, str]:
    """A (noun index, background) that training may show, with a noun that `suits`."""
    seen, names = seen_pairs(), nouns()
    while True:
        noun, background = seen[rng.integers(len(seen))]
        if suits(names[noun]):
            return noun, background


def _companion(rng: np.random.Generator, noun: int, background: str) -> int:
    names = nouns()
    while True:
        other = int(rng.integers(len(NOUNS)))
        if other == noun or held_out(names[other], background):
            continue
        if not pair_held_out(names[noun], names[other]):
            return other


def _at(spots: tuple[str, ...], drawn: tuple[int, ...]) -> tuple[Placed, ...]:
    return tuple(
        Placed(noun, float(SPOTS[spot][0]), float(SPOTS[spot][1]), SPOT_SIZE)
        for spot, noun in zip(spots, drawn, strict=True)
    )


def _moved(rng: np.random.Generator, placed: Placed) -> Placed:
    x, y = placed.x + rng.uniform(-5, 5), placed.y + rng.uniform(-5, 5)
    return replace(placed, x=x, y=y, size=round(placed.size * rng.uniform(0.92, 1.06)))


def _coloured(rng: np.random.Generator, scene: Scene) -> tuple[Placed, ...]:
    """The drawings in colours that they may have; of several of one kind all in one, of others only the first."""
    names = nouns()
    first = scene.drawings[0]
    fit = [c for c in COLOURS if takes_colour(names[first.noun], c)]
    fit = [c for c in fit if not colour_held_out(names[first.noun], c)]
    if not fit:
        return scene.drawings
    colour = str(rng.choice(fit))
    many = scene.kind == "count"
    return tuple(
        replace(d, colour=colour) if many or i == 0 else d for i, d in enumerate(scene.drawings)
    )


def _scene(
    rng: np.random.Generator,
    background: str,
    drawings: tuple[Placed, ...],
    snapped: bool,
    kind: str = "plain",
) -> Scene:
    red, green, blue = (0, 0, 0) if snapped else rng.integers(-6, 7, 3).tolist()
    variant = int(rng.integers(SNAPPED_VARIANTS if snapped else VARIANTS))
    return Scene(background, drawings, (red, green, blue), variant, kind)


def crop_corner(rng: np.random.Generator, scene: Scene, crop: int) -> tuple[int, int]:
    """Left and top of a crop that overlaps a drawing nine times in ten."""
    room = SIDE - crop
    if not scene.drawings or rng.random() < 0.1:
        left, top = rng.integers(0, room + 1, 2)
        return int(left), int(top)
    placed = scene.drawings[rng.integers(len(scene.drawings))]
    left, top, right, bottom = placed.box()
    x, y = rng.uniform(left, right), rng.uniform(top, bottom)
    return int(np.clip(x - crop / 2, 0, room)), int(np.clip(y - crop / 2, 0, room))
