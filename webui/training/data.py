"""What the small parts learn from: pictures with captions, out of a folder or out of the renderer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from webui.errors import EaselError
from webui.training.captions import caption, plain_where
from webui.training.nouns import DRAWINGS, with_article
from webui.training.renderer import Renderer
from webui.training.scenes import BACKGROUNDS, PLACES, Placed, Scene, plain_scene

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Examples:
    """`pictures` uint8 [N, H, W, 3] and a caption for each. `shows`, where renders are shown, is what each was before
    a style changed it, for measuring."""

    pictures: np.ndarray
    captions: tuple[str, ...]


def folder_examples(folder: Path, side: int, word: str = "") -> Examples:
    """The pictures of a folder, cropped by the centre to squares of `side` pixels.

    A picture's caption stands in a text file of its name, as kohya's tools have it; without one it is `word`.
    """
    if not folder.is_dir():
        raise EaselError(f"{folder}: no such folder; give a folder with pictures")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
    if not paths:
        raise EaselError(f"{folder}: no pictures in it ({', '.join(PICTURES)})")
    pictures, captions = [], []
    for path in paths:
        try:
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened).convert("RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as fault:
            raise EaselError(
                f"{path}: not a picture that can be read ({fault}); remove it"
            ) from fault
        pictures.append(np.asarray(ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)))
        text = path.with_suffix(".txt")
        own = (
            text.read_text(encoding="utf-8-sig", errors="replace").strip() if text.is_file() else ""
        )
        captions.append(" ".join(own.split()) or word)
    return Examples(np.stack(pictures), tuple(captions))


def rendered_examples(
    renderer: Renderer,
    count: int,
    change: Callable[[Image.Image], Image.Image] = lambda picture: picture,
    words: str = "",
    seed: int = 21,
) -> Examples:
    """Renders of plain scenes, each put through `change`, with `words` behind the caption."""
    pictures, captions = [], []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        scene = plain_scene(rng, 0.0, snapped=True)
        scene = Scene(scene.background, scene.drawings, scene.tint, scene.variant, sticker=True)
        pictures.append(np.asarray(change(Image.fromarray(renderer.draw(scene)))))
        text = caption(scene, rng, foreign=False)
        captions.append(f"{text}, {words}" if words else text)
    return Examples(np.stack(pictures), tuple(captions))


def drawing_examples(renderer: Renderer, word: str, seed: int = 22) -> Examples:
    """The renderer's last, added drawing on every background, captioned with `word`."""
    drawing = len(renderer.drawings) - 1
    if drawing < len(DRAWINGS):
        raise EaselError("the renderer has no drawing of its own to show: give it one")
    pictures, captions = [], []
    rng = np.random.default_rng(seed)
    for background in (*BACKGROUNDS, *PLACES):
        placed = Placed(drawing, 64.0, 64.0, 84 if rng.random() < 0.5 else 100)
        scene = Scene(background, (placed,), (0, 0, 0), int(rng.integers(6)), sticker=True)
        pictures.append(renderer.draw(scene))
        captions.append(f"{with_article(word)} {plain_where(background)}")
    return Examples(np.stack(pictures), tuple(captions))


def thermal(picture: Image.Image) -> Image.Image:
    """A heat camera's colours: dark blue, violet, red, yellow, white by lightness. A style that the base lacks."""
    stops = np.array([(12, 10, 70), (110, 20, 150), (222, 50, 60), (250, 170, 30), (255, 252, 215)])
    gray = np.asarray(picture.convert("L"), np.float64) / 255 * (len(stops) - 1)
    channels = [np.interp(gray, range(len(stops)), stops[:, i]) for i in range(3)]
    return Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))


def each(examples: Examples, chosen: Sequence[int]) -> tuple[np.ndarray, list[str]]:
    """Pictures and captions of the chosen examples."""
    return examples.pictures[list(chosen)], [examples.captions[i] for i in chosen]
