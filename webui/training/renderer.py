"""Draws scenes: Noto Color Emoji on flat colours and painted places, 128x128 pixels, as stickers and in styles."""

import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from webui.errors import EaselError
from webui.training.nouns import DRAWINGS
from webui.training.places import SIDE, paint
from webui.training.scenes import COLOURS, PLACES, VARIANTS, WEATHERS, Placed, Scene
from webui.training.styles import FILTERS, recolour, silhouette, sticker, weather_layers

FONT_SIZE = 109  # the one size of the font's bitmaps
KEPT = 6000  # scaled drawings kept in memory, about 15 kB each
FONT_PLACES = (
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",
)


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
    """Draws scenes as uint8 arrays [128, 128, 3]. Keeps the font's drawings and painted places in memory.

    `extra` code points come behind `DRAWINGS`, for what a model is to learn beyond them.
    """

    def __init__(self, font: Path, extra: tuple[int, ...] = ()) -> None:
        face = ImageFont.truetype(str(font), FONT_SIZE)
        self.drawings = [_glyph(face, code) for code in (*(code for code, _ in DRAWINGS), *extra)]
        self.coloured: dict[tuple[int, str], Image.Image] = {}
        self.ready: dict[tuple[int, int, str, bool, bool], Image.Image] = {}
        self.places = {
            name: [paint(name, np.random.default_rng([7, i])) for i in range(VARIANTS)]
            for name in PLACES
        }
        self.weather = {name: weather_layers(name, VARIANTS) for name in WEATHERS}

    def draw(self, scene: Scene) -> np.ndarray:
        if scene.background in COLOURS:
            rgb = COLOURS[scene.background]
            tinted = tuple(min(255, max(0, c + t)) for c, t in zip(rgb, scene.tint, strict=True))
            picture = Image.new("RGB", (SIDE, SIDE), tinted)
        else:
            picture = self.places[scene.background][scene.variant].copy()
        for placed in scene.drawings:
            art = self._art(placed, scene)
            left, top = round(placed.x - art.width / 2), round(placed.y - art.height / 2)
            picture.paste(art, (left, top), art)
        if scene.weather:
            picture = self.weather[scene.weather][scene.variant](picture)
        if scene.style in FILTERS:
            picture = FILTERS[scene.style](picture)
        return np.asarray(picture)

    def _art(self, placed: Placed, scene: Scene) -> Image.Image:
        """The drawing as it is pasted: coloured, scaled, with outline or as a shadow."""
        dark = scene.style == "silhouette"
        key = (placed.noun, placed.size, placed.colour, scene.sticker, dark)
        if key not in self.ready:
            if len(self.ready) >= KEPT:
                self.ready.pop(next(iter(self.ready)))
            art = self._in_colour(placed.noun, placed.colour)
            scale = placed.size / max(art.size)
            shape = (max(1, round(art.width * scale)), max(1, round(art.height * scale)))
            art = art.resize(shape, Image.Resampling.LANCZOS)
            if dark:
                art = silhouette(art)
            self.ready[key] = sticker(art) if scene.sticker and not dark else art
        return self.ready[key]

    def _in_colour(self, noun: int, colour: str) -> Image.Image:
        if not colour:
            return self.drawings[noun]
        if (noun, colour) not in self.coloured:
            self.coloured[noun, colour] = recolour(self.drawings[noun], COLOURS[colour])
        return self.coloured[noun, colour]


def _glyph(face: ImageFont.FreeTypeFont, code: int) -> Image.Image:
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((8, 8), chr(code), font=face, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise EaselError(
            f"the font has no drawing for U+{code:X}: install a newer Noto Color Emoji"
        )
    return canvas.crop(box)


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
