"""Says which drawing and which background a picture shows. Trained on renders only, never on generated pictures.

It judges the model (see `fidelity`), and lends its first layers to the decoder's refinement as a perceptual loss.
Training pictures are blurred, recoloured a little and made noisy, so that it judges shapes rather than pixels.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from webui.training import checkpoint
from webui.training.nouns import NOUNS
from webui.training.scenes import BACKGROUNDS, Renderer, Scene, picture_batch, single_scene
from webui.training.sheets import to_tensor


@dataclass(frozen=True, slots=True)
class ClassifierPreset:
    widths: tuple[int, ...] = (24, 48, 96, 160)
    steps: int = 1000
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 100
    seed: int = 3


class Classifier(nn.Module):
    """Four strided levels, then one head per question. Takes [B, 3, 128, 128] in -1..1."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        channels = 3
        for i, width in enumerate(widths):
            layers: list[nn.Module] = [
                nn.Conv2d(channels, width, 5 if i == 0 else 3, 2, 2 if i == 0 else 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            if i in (1, 2):
                layers += [
                    nn.Conv2d(width, width, 3, 1, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
            levels.append(nn.Sequential(*layers))
            channels = width
        self.levels = nn.ModuleList(levels)
        self.noun = nn.Linear(2 * channels, len(NOUNS))
        self.background = nn.Linear(2 * channels, len(BACKGROUNDS))

    def features(self, x: torch.Tensor, count: int) -> list[torch.Tensor]:
        """The first `count` levels' activations."""
        found = []
        for level in list(self.levels)[:count]:
            x = level(x)
            found.append(x)
        return found

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits over nouns and over backgrounds."""
        x = self.features(x, len(self.levels))[-1]
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return self.noun(pooled), self.background(pooled)


def any_scene(rng: np.random.Generator) -> Scene:
    """One drawing on one background, any pair: the classifier must know those that the model never saw."""
    background = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    snapped = bool(rng.random() < 0.5)
    return single_scene(rng, int(rng.integers(len(NOUNS))), background, snapped=snapped)


def labels(scenes: list[Scene]) -> tuple[torch.Tensor, torch.Tensor]:
    shown = torch.tensor([s.drawings[0].noun for s in scenes])
    return shown, torch.tensor([BACKGROUNDS.index(s.background) for s in scenes])


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


def train_classifier(
    preset: ClassifierPreset,
    renderer: Renderer,
    folder: Path,
    *,
    device: str = "cpu",
    bf16: bool = True,
    log: Callable[[str], None] = print,
) -> Classifier:
    """The classifier kept in `folder`, trained first if it is not there yet."""
    torch.manual_seed(preset.seed)
    model = Classifier(preset.widths).to(device)
    path = folder / "classifier.pt"
    if state := checkpoint.load(path, device):
        model.load_state_dict(state["model"])
        model.eval()
        return model
    optimizer = torch.optim.AdamW(model.parameters(), lr=preset.rate, weight_decay=0.05)
    started, right, seen = time.monotonic(), 0, 0
    for step in range(preset.steps):
        for group in optimizer.param_groups:
            group["lr"] = checkpoint.learning_rate(
                step, preset.steps, preset.rate, preset.warmup, 0.7
            )
        rng = np.random.default_rng([preset.seed, step])
        scenes = [any_scene(rng) for _ in range(preset.batch)]
        pictures = spoil(to_tensor(picture_batch(renderer, scenes)), rng)
        shown, behind = (y.to(device) for y in labels(scenes))
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            noun, background = model(
                pictures.contiguous(memory_format=torch.channels_last).to(device)
            )
        loss = F.cross_entropy(noun.float(), shown) + F.cross_entropy(background.float(), behind)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        right, seen = right + int((noun.argmax(1) == shown).sum()), seen + len(scenes)
        if (step + 1) % 100 == 0:
            pace = (time.monotonic() - started) / (step + 1)
            log(f"classifier {step + 1}/{preset.steps} nouns {right / seen:.3f} {pace:.3f} s/step")
            right, seen = 0, 0
    checkpoint.save(path, {"model": model.state_dict()})
    model.eval()
    return model


@torch.no_grad()
def judge(model: Classifier, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Most likely noun and background of each picture, as indices."""
    answers = [model(p) for p in torch.split(pictures, 32)]
    nouns = torch.cat([noun.argmax(1) for noun, _ in answers])
    return nouns.cpu(), torch.cat([background.argmax(1) for _, background in answers]).cpu()


def accuracy(
    model: Classifier, renderer: Renderer, count: int = 1000, seed: int = 77, device: str = "cpu"
) -> dict[str, float]:
    """How often it is right about clean renders of scenes drawn for this alone."""
    rng = np.random.default_rng([seed, 1])
    scenes = [any_scene(rng) for _ in range(count)]
    nouns: list[torch.Tensor] = []
    backgrounds: list[torch.Tensor] = []
    for i in range(0, count, 64):
        noun, background = judge(
            model, to_tensor(picture_batch(renderer, scenes[i : i + 64])).to(device)
        )
        nouns.append(noun)
        backgrounds.append(background)
    shown, behind = labels(scenes)
    noun_right, background_right = torch.cat(nouns) == shown, torch.cat(backgrounds) == behind
    return {
        "noun": float(noun_right.float().mean()),
        "background": float(background_right.float().mean()),
        "both": float((noun_right & background_right).float().mean()),
    }
