"""Paintings of the places that drawings stand in: gradients and a few shapes, simple enough for a small model."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 128


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
