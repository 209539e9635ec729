"""What is done to drawings and pictures: stickers, other colours, styles as filters, weather.

Plain image processing on PIL pictures; nothing here is random but weather, whose layers are drawn once from a seed.
"""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from webui.training.places import SIDE

Filter = Callable[[Image.Image], Image.Image]
PAPER = (246, 241, 230)


def sticker(art: Image.Image) -> Image.Image:
    """A drawing [RGBA] with a white outline, as wide as a thirtieth of its side, and a soft shadow below."""
    width = max(1.5, max(art.size) / 30)
    margin = round(width) + 5
    alpha = Image.new("L", (art.width + 2 * margin, art.height + 2 * margin))
    alpha.paste(art.getchannel("A"), (margin, margin))
    # Blurred by the outline's width and cut low: grown by about that width, with round corners and a soft rim.
    outline = alpha.filter(ImageFilter.GaussianBlur(width)).point(lambda v: max(0, v - 24) * 8)
    shadow = ImageChops.offset(outline, 0, 2).filter(ImageFilter.GaussianBlur(1.6))
    result = Image.new("RGBA", alpha.size)
    result.putalpha(shadow.point(lambda v: v * 0.4))
    white = Image.new("RGBA", alpha.size, (255, 255, 255, 0))
    white.putalpha(outline)
    result = Image.alpha_composite(result, white)
    result.alpha_composite(art, (margin, margin))
    return result


def silhouette(art: Image.Image) -> Image.Image:
    """The drawing as a nearly black shape."""
    dark = Image.new("RGBA", art.size, (16, 16, 22, 0))
    dark.putalpha(art.getchannel("A"))
    return dark


def recolour(art: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """The drawing in another colour: hue and saturation of `colour`, lightness bent so that its median is that of
    `colour` while black stays black and white stays white. Vivid parts of a quite different hue (an apple's leaf)
    stay as they are."""
    pixels = np.asarray(art).astype(np.float64) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    high, low = rgb.max(-1), rgb.min(-1)
    light = (high + low) / 2
    chroma = high - low
    angle = np.angle(rgb @ np.exp(2j * np.pi * np.arange(3) / 3))
    weight = chroma * alpha
    main = np.angle((weight * np.exp(1j * angle)).sum())
    vivid = (weight.sum() / max(alpha.sum(), 1e-6)) > 0.15
    away = np.abs(np.angle(np.exp(1j * (angle - main))))
    ours = ~((away > np.pi / 3) & (chroma > 0.25)) if vivid else np.ones_like(light, bool)
    if (ours & (alpha > 0.5)).sum() < 0.5 * (alpha > 0.5).sum():
        ours = np.ones_like(light, bool)  # of many colours: all of it
    hue, target, saturation = colorsys.rgb_to_hls(*(c / 255 for c in colour))
    middle = np.clip(np.median(light[ours & (alpha > 0.5)]), 0.05, 0.95)
    power = np.clip(np.log(target) / np.log(middle), 0.2, 8)
    new_light = light**power
    spread = saturation * (1 - np.abs(2 * new_light - 1)) / 2
    pure = np.array(colorsys.hls_to_rgb(hue, 0.5, 1.0)) * 2 - 1
    new = new_light[..., None] + spread[..., None] * pure
    result = np.where(ours[..., None], new, rgb)
    return Image.fromarray(
        (np.concatenate([result, alpha[..., None]], -1).clip(0, 1) * 255).round().astype(np.uint8)
    )


def pixel_art(picture: Image.Image) -> Image.Image:
    """Blocks of 4x4 pixels."""
    small = picture.resize((SIDE // 4, SIDE // 4), Image.Resampling.BOX)
    return small.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def pencil_sketch(picture: Image.Image) -> Image.Image:
    """Grey lines on paper: the picture divided by its own blur ("colour dodge")."""
    gray = np.asarray(picture.convert("L"), np.float64)
    soft = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(3)), np.float64)
    lines = (gray / np.maximum(soft, 1)).clip(0.35, 1)
    return Image.fromarray((lines[..., None] * np.array(PAPER)).astype(np.uint8))


def watercolor(picture: Image.Image) -> Image.Image:
    """Flat washes, paler, with darker rims."""
    flat = picture.filter(ImageFilter.MedianFilter(5))
    wash = np.asarray(flat, np.float64)
    rims = _outlines(flat).filter(ImageFilter.GaussianBlur(1))
    dark = 1 - 0.45 * np.asarray(rims, np.float64)[..., None] / 255
    return Image.fromarray(((0.72 * wash + 0.28 * np.array(PAPER)) * dark).astype(np.uint8))


def oil_painting(picture: Image.Image) -> Image.Image:
    """Blots: of twenty colours, each pixel takes the most frequent one around it."""
    few = picture.quantize(20, dither=Image.Dither.NONE)
    blots = Image.frombytes("L", few.size, few.tobytes()).filter(ImageFilter.ModeFilter(7))
    few.putdata(blots.tobytes())
    return few.convert("RGB")


def neon(picture: Image.Image) -> Image.Image:
    """Glowing edges in their own colours on black."""
    edges = _without_rim(picture.filter(ImageFilter.FIND_EDGES))
    edges = ImageOps.autocontrast(edges, cutoff=1)
    glow = edges.filter(ImageFilter.GaussianBlur(2.5)).point(lambda v: min(255, v * 1.2))
    lit = ImageChops.add(edges.filter(ImageFilter.GaussianBlur(0.6)), glow)
    return ImageChops.add(lit, Image.new("RGB", picture.size, (10, 6, 22)))


def blueprint(picture: Image.Image) -> Image.Image:
    """White outlines on blue paper with a grid."""
    base = Image.new("RGB", picture.size, (24, 66, 148))
    draw = ImageDraw.Draw(base)
    for at in range(0, SIDE, 16):
        draw.line((at, 0, at, SIDE), fill=(44, 90, 172))
        draw.line((0, at, SIDE, at), fill=(44, 90, 172))
    base.paste((236, 242, 255), (0, 0), _outlines(picture))
    return base


def sepia(picture: Image.Image) -> Image.Image:
    """An old photograph's browns."""
    return ImageOps.colorize(picture.convert("L"), (38, 22, 12), (250, 236, 208), (164, 122, 80))


def _outlines(picture: Image.Image) -> Image.Image:
    """Edges as a grey picture."""
    edges = _without_rim(picture.filter(ImageFilter.FIND_EDGES)).convert("L")
    return edges.point(lambda v: min(255, v * 3))


def _without_rim(edges: Image.Image) -> Image.Image:
    """Edges without the picture's own border, which the filter takes for one."""
    clean = Image.new(edges.mode, edges.size)
    clean.paste(edges.crop((1, 1, edges.width - 1, edges.height - 1)), (1, 1))
    return clean


FILTERS: dict[str, Filter] = {
    "pixel art": pixel_art,
    "pencil sketch": pencil_sketch,
    "watercolor": watercolor,
    "oil painting": oil_painting,
    "neon": neon,
    "blueprint": blueprint,
    "sepia": sepia,
}


def weather_layers(name: str, count: int) -> list[Filter]:
    """`count` versions of rain, snowfall, fog or night, as filters."""
    return [_weather(name, np.random.default_rng([8, i])) for i in range(count)]


def _weather(name: str, rng: np.random.Generator) -> Filter:
    if name == "night":
        return lambda picture: ImageChops.multiply(
            picture, Image.new("RGB", picture.size, (82, 92, 158))
        )
    layer = Image.new("RGBA", (2 * SIDE, 2 * SIDE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    if name == "fog":
        fade = np.linspace(190, 90, 2 * SIDE).astype(np.uint8)
        layer = Image.new("RGBA", layer.size, (222, 226, 230, 0))
        layer.putalpha(Image.fromarray(np.repeat(fade[:, None], 2 * SIDE, 1)))
    elif name == "rain":
        draw.rectangle((0, 0, *layer.size), fill=(70, 84, 104, 90))
        for x, y in rng.uniform(-10, 2 * SIDE, (70, 2)).tolist():
            draw.line((x, y, x - 6, y + 22), fill=(214, 228, 246, 210), width=3)
    else:
        draw.rectangle((0, 0, *layer.size), fill=(196, 206, 222, 60))
        for x, y in rng.uniform(0, 2 * SIDE, (60, 2)).tolist():
            r = rng.uniform(3, 5.5)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255, 245))
    layer = layer.resize((SIDE, SIDE), Image.Resampling.BOX)
    return lambda picture: Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")
