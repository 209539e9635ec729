"""How often what was asked is what was drawn, as a classifier sees it that was trained on renders only.

Every question is about combinations that training never showed, with one fixed seed a prompt:

    one      one drawing on a background
    words    the same with foreign or style words behind
    two      two drawings, each at its place
    colour   one drawing in a colour

The classifier's own accuracy on fresh renders stands beside the figures: it bounds what can be measured.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn import functional as F
from transformers import CLIPTextModel

from webui.training.captions import coloured, plain_caption, plain_where
from webui.training.classifier import Classifier, judge
from webui.training.diffusion import TextToLatent, generate
from webui.training.nouns import nouns, takes_colour, with_article
from webui.training.scenes import (
    BACKGROUNDS,
    COLOURS,
    colour_held_out,
    held_out_pairs,
    pair_held_out,
)
from webui.training.sheets import save_sheet, to_uint8
from webui.training.tokenizer import load_tokenizer

SEED = 1000
# None of them is in a training caption as it stands, but for the style.
ADDED = (", watercolor", ", picture by someone", ", photorealistic, wednesday afternoon", ", sehr hübsch",
         ", by william turner", ", winner of a contest")  # fmt: skip
# Left, top, right, bottom of where a drawing is looked for.
REGIONS = {
    "left": (0, 32, 64, 96),
    "right": (64, 32, 128, 96),
    "top": (32, 0, 96, 64),
    "bottom": (32, 64, 96, 128),
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pictures are drawn for measuring."""

    steps: int = 20
    cfg_scale: float = 4.0
    scheduler: str = "uniform"
    device: str = "cpu"
    bf16: bool = True


def held_out_prompts(count: int = 200) -> list[tuple[int, str, str]]:
    """`count` held-out (noun index, background, prompt), always the same."""
    pairs = held_out_pairs()
    order = np.random.default_rng(5).permutation(len(pairs))[:count]
    names = nouns()
    return [(n, b, plain_caption([names[n]], b)) for n, b in (pairs[i] for i in order)]


def load_model(folder: Path, device: str = "cpu") -> tuple[TextToLatent, AutoencoderKL, Any]:
    """Networks in fp32 and the tokenizer of an exported folder."""
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    unet.to(memory_format=torch.channels_last)
    vae.to(memory_format=torch.channels_last)
    model = TextToLatent(text, unet).to(device).eval()
    return model, vae.to(device).eval(), load_tokenizer(folder / "tokenizer")


def two_prompts(count: int = 100) -> list[tuple[tuple[int, int], tuple[str, str], str]]:
    """`count` (noun indices, their places, prompt) of nouns that training never showed together, always the same."""
    names = nouns()
    pairs = [(a, b) for a in range(len(names)) for b in range(len(names)) if a != b]
    pairs = [(a, b) for a, b in pairs if pair_held_out(names[a], names[b])]
    rng = np.random.default_rng(6)
    asked = []
    for i, at in enumerate(rng.permutation(len(pairs))[:count].tolist()):
        a, b = pairs[at]
        one, other = with_article(names[a]), with_article(names[b])
        where = plain_where(BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))])
        if i % 2:
            asked.append(((a, b), ("top", "bottom"), f"{one} above {other} {where}"))
        else:
            text = f"{one} on the left and {other} on the right {where}"
            asked.append(((a, b), ("left", "right"), text))
    return asked


def colour_prompts(count: int = 100) -> list[tuple[int, str, str]]:
    """`count` (noun index, colour, prompt) of colours that training never showed on the noun, always the same."""
    names = nouns()
    pairs = [(n, c) for n, name in enumerate(names) for c in COLOURS if takes_colour(name, c)]
    pairs = [(n, c) for n, c in pairs if colour_held_out(names[n], c)]
    rng = np.random.default_rng(7)
    asked = []
    for at in rng.permutation(len(pairs))[:count].tolist():
        noun, colour = pairs[at]
        behind = [b for b in BACKGROUNDS if b != colour]
        where = plain_where(behind[int(rng.integers(len(behind)))])
        asked.append((noun, colour, f"{with_article(coloured(names[noun], colour))} {where}"))
    return asked


@torch.no_grad()
def draw(
    model: TextToLatent, vae: AutoencoderKL, tokenizer: Any, prompts: Sequence[str], how: Sampling
) -> torch.Tensor:
    """A picture for each prompt, [B, 3, H, W] in -1..1; the first has seed `SEED`, the next `SEED` + 1, ..."""
    pictures = []
    for first in range(0, len(prompts), 20):
        part = list(prompts[first : first + 20])
        seeds = [SEED + first + i for i in range(len(part))]
        z = generate(model, tokenizer, part, seeds, **asdict(how))
        pictures += [vae.decode(some).sample.float() for some in torch.split(z, 4)]
    return torch.cat(pictures).clamp(-1, 1)


def seen_at(pictures: torch.Tensor, places: Sequence[str]) -> torch.Tensor:
    """Of each picture the quarter at its place, as large as the picture."""
    side = pictures.shape[-1] / 128
    parts = []
    for picture, place in zip(pictures, places, strict=True):
        left, top, right, bottom = (round(v * side) for v in REGIONS[place])
        parts.append(picture[:, top:bottom, left:right])
    return F.interpolate(torch.stack(parts), scale_factor=2, mode="bilinear")


class Examiner:
    """Asks a model and lets the classifier answer. `sheets` is a folder for the pictures."""

    def __init__(
        self,
        model: TextToLatent,
        vae: AutoencoderKL,
        tokenizer: Any,
        classifier: Classifier,
        how: Sampling,
        sheets: Path | None = None,
    ) -> None:
        self.networks = (model, vae, tokenizer)
        self.classifier, self.how, self.sheets = classifier, how, sheets

    def one(self, count: int = 200, added: Sequence[str] = ("",)) -> dict[str, Any]:
        """Shares of held-out pairs whose noun, background and both are right, and which are wrong. `added` words stand
        behind the prompts in turn."""
        asked = held_out_prompts(count)
        prompts = [f"{text}{added[i % len(added)]}" for i, (_, _, text) in enumerate(asked)]
        noun, background, _ = judge(
            self.classifier, self._draw(prompts, "words" if any(added) else "one")
        )
        noun_right = noun == torch.tensor([n for n, _, _ in asked])
        background_right = background == torch.tensor([BACKGROUNDS.index(b) for _, b, _ in asked])
        names = nouns()
        wrong = [
            f"{text}: {names[int(noun[i])]}, {BACKGROUNDS[int(background[i])]}"
            for i, text in enumerate(prompts)
            if not (noun_right[i] and background_right[i])
        ]
        return {
            "prompts": count,
            "noun": _share(noun_right),
            "background": _share(background_right),
            "both": _share(noun_right & background_right),
            "wrong": wrong,
        }

    def words(self, count: int = 200) -> dict[str, Any]:
        """`one` again with words that mean nothing, or a style."""
        return self.one(count, ADDED)

    def two(self, count: int = 100) -> dict[str, Any]:
        """Shares of two nouns that are right, each at its place, and of the single ones."""
        asked = two_prompts(count)
        pictures = self._draw([text for _, _, text in asked], "two")
        right = []
        for i in range(2):
            noun, _, _ = judge(
                self.classifier, seen_at(pictures, [places[i] for _, places, _ in asked])
            )
            right.append(noun == torch.tensor([pair[i] for pair, _, _ in asked]))
        return {
            "prompts": count,
            "each": _share(torch.cat(right)),
            "both": _share(right[0] & right[1]),
        }

    def colour(self, count: int = 100) -> dict[str, Any]:
        """Shares of drawings in the asked colour, and of those that are also the asked drawing."""
        asked = colour_prompts(count)
        noun, _, colour = judge(
            self.classifier, self._draw([text for _, _, text in asked], "colour")
        )
        names = [*COLOURS]
        inked = colour == torch.tensor([names.index(c) for _, c, _ in asked])
        known = noun == torch.tensor([n for n, _, _ in asked])
        return {
            "prompts": count,
            "colour": _share(inked),
            "noun": _share(known),
            "both": _share(inked & known),
        }

    def _draw(self, prompts: list[str], name: str) -> torch.Tensor:
        pictures = draw(*self.networks, prompts, self.how)
        if self.sheets is not None:
            save_sheet(self.sheets / f"{name}.png", to_uint8(pictures), 20)
        return pictures


QUESTIONS = ("one", "words", "two", "colour")


def measure(
    examiner: Examiner,
    counts: dict[str, int] | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The answers to all `QUESTIONS`, or to those in `counts` with so many prompts, and how they were drawn."""
    figures: dict[str, Any] = {k: v for k, v in asdict(examiner.how).items() if k != "device"}
    started = time.monotonic()
    for question in counts or QUESTIONS:
        ask = getattr(examiner, question)
        figures[question] = ask(counts[question]) if counts else ask()
        log(f"{question}: { ({k: v for k, v in figures[question].items() if k != 'wrong'}) }")
    return {**figures, "seconds": round(time.monotonic() - started, 1)}


def _share(right: torch.Tensor) -> float:
    return float(right.float().mean())
