"""Captioned scenes: drawings of Noto Color Emoji on flat colours and painted places, 128x128 pixels.

Everything follows from a `numpy` generator that the caller seeds, so a step number is enough to draw a batch again.
About one (noun, background) pair in ten is held out by a stable hash: no training scene has it, alone or beside
another drawing, so that a prompt with such a pair asks for a combination the model never saw.
"""

import subprocess
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from webui.errors import EaselError
from webui.training.nouns import NOUNS, nouns

SIDE = 128
FONT_SIZE = 109  # the one size of the font's bitmaps
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
FONT_PLACES = (
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",
)


@dataclass(frozen=True, slots=True)
class Placed:
    """One drawing in a scene: index into `NOUNS`, centre and longer side in pixels."""

    noun: int
    x: float
    y: float
    size: int

    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the square that the drawing fits in, clipped to the picture."""
        half = self.size / 2
        left, top = max(0, int(self.x - half)), max(0, int(self.y - half))
        return left, top, min(SIDE, int(self.x + half)), min(SIDE, int(self.y + half))


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows. `tint` moves a flat colour a little; `variant` chooses one painting of a place."""

    background: str
    drawings: tuple[Placed, ...]
    tint: tuple[int, int, int]
    variant: int


def held_out(noun: str, background: str) -> bool:
    """Whether training never shows this pair. Stable across runs, machines and Python versions."""
    return zlib.crc32(f"{noun}|{background}".encode()) % 1000 < HELD_OUT_SHARE * 1000


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


def sample_scene(
    rng: np.random.Generator, two_share: float = 0.25, *, snapped: bool = False
) -> Scene:
    """A training scene: one drawing, or with probability `two_share` two side by side; no held-out pair.

    `snapped` scenes move drawings by whole latent cells (8 pixels), in two sizes, and do not tint colours: what
    the diffusion model has to learn per noun is then a few patterns of latents instead of a continuum.
    """
    seen = seen_pairs()
    noun, background = seen[rng.integers(len(seen))]
    if rng.random() >= two_share:
        return single_scene(rng, noun, background, snapped=snapped)
    names = nouns()
    while True:
        other = int(rng.integers(len(NOUNS)))
        if other != noun and not held_out(names[other], background):
            break
    drawings = []
    for index, centre in ((noun, 32), (other, 96)):
        size = 56 if snapped else int(rng.integers(50, 61))
        x = float(centre) if snapped else centre + rng.uniform(-3, 3)
        y = 56.0 + CELL * int(rng.integers(3)) if snapped else 66 + rng.uniform(-12, 12)
        drawings.append(Placed(index, x, y, size))
    return _scene(rng, background, tuple(drawings), snapped)


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


def _scene(
    rng: np.random.Generator, background: str, drawings: tuple[Placed, ...], snapped: bool
) -> Scene:
    red, green, blue = (0, 0, 0) if snapped else rng.integers(-6, 7, 3).tolist()
    variant = int(rng.integers(SNAPPED_VARIANTS if snapped else VARIANTS))
    return Scene(background, drawings, (red, green, blue), variant)


def find_font(path: str | None = None) -> Path:
    """The emoji font: `path` if given, else fontconfig's answer, else where distributions put it."""
    candidates = [path] if path else list(FONT_PLACES)
    if not path:
        try:
            found = subprocess.run(
                ["fc-match", "-f", "%{file}", "Noto Color Emoji"], capture_output=True, text=True
            ).stdout
        except OSError:
            found = ""
        if found.endswith("NotoColorEmoji.ttf"):
            candidates.insert(0, found)
    for candidate in candidates:
        if Path(candidate).is_file():
            return Path(candidate)
    raise EaselError(
        f"Noto Color Emoji not found ({', '.join(candidates)}): "
        "apt-get install fonts-noto-color-emoji, or give --font FILE"
    )


class Renderer:
    """Draws scenes as uint8 arrays [128, 128, 3]. Keeps the font's drawings and painted places in memory."""

    def __init__(self, font: Path) -> None:
        face = ImageFont.truetype(str(font), FONT_SIZE)
        self.drawings = [_glyph(face, code) for code, _ in NOUNS]
        self.sized: dict[tuple[int, int], Image.Image] = {}
        self.places = {
            name: [paint(name, np.random.default_rng([7, i])) for i in range(VARIANTS)]
            for name in PLACES
        }

    def draw(self, scene: Scene) -> np.ndarray:
        if scene.background in COLOURS:
            rgb = COLOURS[scene.background]
            tinted = tuple(min(255, max(0, c + t)) for c, t in zip(rgb, scene.tint, strict=True))
            picture = Image.new("RGB", (SIDE, SIDE), tinted)
        else:
            picture = self.places[scene.background][scene.variant].copy()
        for placed in scene.drawings:
            art = self._scaled(placed.noun, placed.size)
            left, top = round(placed.x - art.width / 2), round(placed.y - art.height / 2)
            picture.paste(art, (left, top), art)
        return np.asarray(picture)

    def _scaled(self, noun: int, size: int) -> Image.Image:
        if (noun, size) not in self.sized:
            art = self.drawings[noun]
            scale = size / max(art.size)
            shape = (max(1, round(art.width * scale)), max(1, round(art.height * scale)))
            self.sized[noun, size] = art.resize(shape, Image.Resampling.LANCZOS)
        return self.sized[noun, size]


def _glyph(face: ImageFont.FreeTypeFont, code: int) -> Image.Image:
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((8, 8), chr(code), font=face, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise EaselError(
            f"the font has no drawing for U+{code:X}: install a newer Noto Color Emoji"
        )
    # Premultiplied, so that resizing bleeds no black into soft edges.
    return canvas.crop(box)


def paint(place: str, rng: np.random.Generator) -> Image.Image:
    """A painting of `place`, 128x128, simple enough for a small model: gradients and a few shapes."""
    sky, ground = {
        "snow": (((168, 196, 226), (214, 228, 240)), ((240, 246, 252), (222, 232, 244))),
        "grass": (((120, 190, 245), (196, 228, 250)), ((112, 196, 70), (66, 150, 44))),
        "sea": (((140, 205, 245), (206, 236, 250)), ((28, 122, 190), (12, 70, 140))),
        "desert": (((250, 214, 150), (252, 236, 196)), ((232, 186, 108), (204, 148, 74))),
        "night sky": (((8, 8, 36), (20, 24, 72)), ((20, 24, 72), (38, 36, 100))),
        "sunset": (((92, 50, 128), (240, 110, 70)), ((250, 150, 60), (255, 205, 90))),
        "forest": (((20, 62, 40), (44, 96, 56)), ((44, 76, 34), (28, 54, 26))),
        "sky": (((70, 150, 235), (120, 186, 245)), ((120, 186, 245), (178, 216, 250))),
    }[place]
    side = 2 * SIDE
    horizon = int(side * rng.uniform(0.40, 0.52))
    rows = np.empty((side, 3))
    rows[:horizon] = np.linspace(sky[0], sky[1], horizon)
    rows[horizon:] = np.linspace(ground[0], ground[1], side - horizon)
    base = np.repeat(rows[:, None], side, 1).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(base)
    draw = ImageDraw.Draw(picture)
    if place == "snow":
        _hills(draw, rng, horizon, side, (232, 240, 249))
        for _ in range(40):
            _dot(
                draw,
                rng.uniform(0, side),
                rng.uniform(0, side),
                rng.uniform(2, 4.5),
                (255, 255, 255),
            )
    elif place == "grass":
        _hills(draw, rng, horizon, side, (104, 186, 66))
        for _ in range(70):
            x, y = rng.uniform(0, side), rng.uniform(horizon + 16, side)
            draw.line((x, y, x + rng.uniform(-4, 4), y - 13), fill=(54, 130, 38), width=3)
    elif place == "sea":
        for y in range(horizon + 14, side, 24):
            phase = rng.uniform(0, 20)
            xs = np.arange(-4, side + 8, 4)
            ys = y + 4 * np.sin((xs + phase) / 9)
            draw.line([*zip(xs.tolist(), ys.tolist(), strict=True)], fill=(92, 176, 226), width=4)
    elif place == "desert":
        _hills(draw, rng, horizon, side, (240, 198, 122))
        _hills(draw, rng, horizon + 40, side, (222, 172, 96))
    elif place == "night sky":
        for _ in range(46):
            x, y = rng.uniform(0, side, 2)
            _dot(draw, x, y, rng.uniform(1.6, 4), (255, 250, 215))
    elif place == "sunset":
        x = rng.uniform(70, side - 70)
        _dot(draw, x, horizon + 6, 46, (255, 226, 110))
        draw.rectangle((0, horizon + 52, side, side), fill=(86, 38, 66))
    elif place == "forest":
        for x in range(-10, side + 20, 34):
            _fir(draw, x + rng.uniform(-8, 8), horizon + 50, rng.uniform(110, 150), (26, 84, 48))
        for x in range(0, side + 20, 52):
            _fir(draw, x + rng.uniform(-12, 12), horizon + 76, rng.uniform(100, 140), (36, 110, 58))
    else:
        for _ in range(5):
            x, y = rng.uniform(10, side - 10), rng.uniform(20, side - 20)
            for dx, r in ((-22, 13), (0, 20), (22, 14)):
                _dot(draw, x + dx, y, r, (246, 250, 255))
    soft = picture.resize((SIDE, SIDE), Image.Resampling.BOX)
    return soft.filter(ImageFilter.GaussianBlur(0.4))


Ink = tuple[int, int, int]


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, ink: Ink) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)


def _fir(draw: ImageDraw.ImageDraw, x: float, foot: float, height: float, ink: Ink) -> None:
    draw.rectangle((x - 4, foot - 10, x + 4, foot + 14), fill=(70, 46, 28))
    draw.polygon([(x - 24, foot), (x, foot - height), (x + 24, foot)], fill=ink)


def _hills(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, y: int, side: int, ink: Ink
) -> None:
    xs = np.arange(0, side + 8, 8)
    ys = y + 12 * np.sin(xs / rng.uniform(28, 48) + rng.uniform(0, 6)) + 8
    points = [*zip(xs.tolist(), ys.tolist(), strict=True)]
    draw.polygon([(0, side), *points, (side, side)], fill=ink)


def picture_batch(
    renderer: Renderer,
    scenes: list[Scene],
    boxes: list[tuple[int, int]] | None = None,
    crop: int = SIDE,
) -> np.ndarray:
    """uint8 [B, crop, crop, 3]; `boxes` are the crops' left and top."""
    corners = boxes or [(0, 0)] * len(scenes)
    return np.stack(
        [
            renderer.draw(s)[top : top + crop, left : left + crop]
            for s, (left, top) in zip(scenes, corners, strict=True)
        ]
    )


def crop_corner(rng: np.random.Generator, scene: Scene, crop: int) -> tuple[int, int]:
    """Left and top of a crop that overlaps a drawing nine times in ten."""
    room = SIDE - crop
    if rng.random() < 0.1:
        left, top = rng.integers(0, room + 1, 2)
        return int(left), int(top)
    placed = scene.drawings[rng.integers(len(scene.drawings))]
    left, top, right, bottom = placed.box()
    x, y = rng.uniform(left, right), rng.uniform(top, bottom)
    return int(np.clip(x - crop / 2, 0, room)), int(np.clip(y - crop / 2, 0, room))
