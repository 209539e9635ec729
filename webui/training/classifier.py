"""Says which drawing, which colour of it and which background a picture shows. Trained on renders only.

Two of them are trained, from different seeds: one lends its levels to losses (`losses.lpips`, `losses.alignment`), the
other judges (see `fidelity`), so that no model learns to please its judge. Training pictures are blurred, recoloured a
little and made noisy, so that shapes count rather than pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from webui.training import loop
from webui.training.nouns import NOUNS, nouns, takes_colour
from webui.training.renderer import Renderer, picture_batch
from webui.training.scenes import BACKGROUNDS, COLOURS, STYLES, Placed, Scene, single_scene
from webui.training.sheets import to_tensor

UNKNOWN = -100  # label of what cannot be seen: `cross_entropy` passes over it
COLOURLESS = frozenset({"pencil sketch", "blueprint", "neon", "sepia", "silhouette"})
OWN_COLOUR = len(COLOURS)  # label of a drawing in its own colours


@dataclass(frozen=True, slots=True)
class ClassifierPreset:
    """`fine`: whether the first level has the picture's full size, for losses that look at single pixels."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 160)
    fine: bool = True
    steps: int = 3200
    batch: int = 16
    rate: float = 2e-3
    warmup: int = 100
    seed: int = 3


def judge_preset() -> ClassifierPreset:
    """The judge: no loss looks at it, so it may be coarse; it must be right about nearly every render."""
    return ClassifierPreset((24, 48, 96, 160), fine=False, steps=2500, batch=32, seed=13)


class Classifier(nn.Module):
    """Levels at the full size (unless not `fine`), a half, a quarter, ..., then one head per question.

    Takes [B, 3, H, W] in -1..1.
    """

    def __init__(self, widths: tuple[int, ...], fine: bool = True) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        channels = 3
        for i, width in enumerate(widths):
            size, stride = (5, 1 if fine else 2) if i == 0 else (3, 2)
            layers = _layer(channels, width, size=size, stride=stride)
            if i in (1, 2):
                layers += _layer(width, width, size=3, stride=1)
            levels.append(nn.Sequential(*layers))
            channels = width
        self.levels = nn.ModuleList(levels)
        self.noun = nn.Linear(2 * channels, len(NOUNS))
        self.background = nn.Linear(2 * channels, len(BACKGROUNDS))
        self.colour = nn.Linear(2 * channels, len(COLOURS) + 1)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Every level's activations, the finest first."""
        found = []
        for level in self.levels:
            x = level(x)
            found.append(x)
        return found

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits over nouns, backgrounds, and colours of the drawing (the last one: its own)."""
        x = self.features(x)[-1]
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return self.noun(pooled), self.background(pooled), self.colour(pooled)


def _layer(channels: int, width: int, *, size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, width, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]


def any_scene(rng: np.random.Generator) -> Scene:
    """One drawing on one background, any pair: the classifier must know those that the model never saw."""
    background = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    noun = int(rng.integers(len(NOUNS)))
    scene = single_scene(rng, noun, background, snapped=bool(rng.random() < 0.5))
    placed = scene.drawings[0]
    if rng.random() < 0.3:
        placed = Placed(
            noun, 64 + rng.uniform(-8, 8), 64 + rng.uniform(-8, 8), int(rng.integers(60, 121))
        )
    fit = [c for c in COLOURS if takes_colour(nouns()[noun], c)]
    if fit and rng.random() < 0.35:
        placed = replace(placed, colour=str(rng.choice(fit)))
    style = str(rng.choice(STYLES)) if rng.random() < 0.2 else ""
    return replace(scene, drawings=(placed,), style=style, sticker=bool(rng.random() < 0.75))


def labels(scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Indices of each scene's noun, background and colour; `UNKNOWN` where its style hides them."""
    colours = [*COLOURS, ""]
    shown = [s.drawings[0].noun for s in scenes]
    hidden = [s.style in COLOURLESS for s in scenes]
    behind = [
        UNKNOWN if h else BACKGROUNDS.index(s.background)
        for s, h in zip(scenes, hidden, strict=True)
    ]
    inked = [
        UNKNOWN if h else colours.index(s.drawings[0].colour)
        for s, h in zip(scenes, hidden, strict=True)
    ]
    return torch.tensor(shown), torch.tensor(behind), torch.tensor(inked)


def spoil(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur, recolour and add noise, differently for each call."""
    if rng.random() < 0.5:
        small = F.avg_pool2d(pictures, 2)
        pictures = F.interpolate(small, scale_factor=2, mode="bilinear")
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (len(pictures), 3, 1, 1))).float()
    shift = torch.from_numpy(rng.uniform(-0.06, 0.06, (len(pictures), 3, 1, 1))).float()
    noise = torch.from_numpy(rng.standard_normal(pictures.shape, np.float32))
    strength = torch.from_numpy(rng.uniform(0, 0.12, (len(pictures), 1, 1, 1))).float()
    return (pictures * gain + shift + noise * strength).clamp(-1, 1)


class ClassifierStage:
    """One step of a classifier's training, for `loop.run`."""

    helpers: dict[str, nn.Module]

    def __init__(
        self, preset: ClassifierPreset, renderer: Renderer, device: str, bf16: bool
    ) -> None:
        torch.manual_seed(preset.seed)
        self.preset, self.renderer, self.device, self.bf16 = preset, renderer, device, bf16
        self.model = Classifier(preset.widths, preset.fine).to(device)
        self.helpers = {}
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(self.model.parameters(), lr=preset.rate, weight_decay=0.05)
        ]

    def advance(self, step: int) -> loop.Figures:
        rng = np.random.default_rng([self.preset.seed, step])
        scenes = [any_scene(rng) for _ in range(self.preset.batch)]
        pictures = spoil(to_tensor(picture_batch(self.renderer, scenes)), rng)
        answers = [y.to(self.device) for y in labels(scenes)]
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
            logits = self.model(
                pictures.contiguous(memory_format=torch.channels_last).to(self.device)
            )
        loss = torch.stack(
            [F.cross_entropy(x.float(), y) for x, y in zip(logits, answers, strict=True)]
        ).sum()
        loop.descend(loss, self.optimizers, clip=float("inf"))
        return {"loss": loss.detach(), "noun": (logits[0].argmax(1) == answers[0]).float().mean()}


def train_classifier(
    preset: ClassifierPreset,
    renderer: Renderer,
    folder: Path,
    *,
    device: str = "cpu",
    bf16: bool = True,
    log: Callable[[str], None] = print,
) -> Classifier:
    """The classifier kept in `folder`, trained first, or to its end, if need be. Frozen."""
    stage = ClassifierStage(preset, renderer, device, bf16)
    schedule = loop.Schedule(preset.steps, preset.warmup, decay_share=0.7, ema=0.98)
    loop.run(stage, schedule, folder, device=device, log=log)
    stage.model.requires_grad_(False)
    return stage.model


@torch.no_grad()
def judge(
    model: Classifier, pictures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Most likely noun, background and colour of each picture, as indices."""
    answers = [model(p) for p in torch.split(pictures, 32)]
    noun, background, colour = (
        torch.cat(heads).argmax(1).cpu() for heads in zip(*answers, strict=True)
    )
    return noun, background, colour


def accuracy(
    model: Classifier, renderer: Renderer, count: int = 1000, seed: int = 77, device: str = "cpu"
) -> dict[str, float]:
    """How often it is right about clean renders, without styles, of scenes drawn for this alone."""
    rng = np.random.default_rng([seed, 1])
    scenes = [replace(any_scene(rng), style="") for _ in range(count)]
    answers = [
        judge(model, to_tensor(picture_batch(renderer, scenes[i : i + 64])).to(device))
        for i in range(0, count, 64)
    ]
    noun, background, colour = (
        torch.cat(given) == asked
        for given, asked in zip(zip(*answers, strict=True), labels(scenes), strict=True)
    )
    return {
        "noun": float(noun.float().mean()),
        "background": float(background.float().mean()),
        "both": float((noun & background).float().mean()),
        "colour": float(colour.float().mean()),
    }
