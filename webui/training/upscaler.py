"""An ESRGAN-type upscaler (Wang et al. 2018), four times as large, trained on renders.

Learns from renders of 128 pixels and the same at 32; edges look alike at every size, so it makes 512 of 128 too.
Absolute error first, then also distance in a classifier's features and an adversary, by the autoencoder's functions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from extensions.esrgan.rrdbnet import Shape, rrdbnet
from webui.training import loop, losses
from webui.training.autoencoder import Features
from webui.training.discriminator import PatchDiscriminator
from webui.training.renderer import Renderer, picture_batch
from webui.training.scenes import sample_scene
from webui.training.sheets import to_tensor

SCALE = 4


@dataclass(frozen=True, slots=True)
class UpscalerPreset:
    """0.44 million weights, 0.89 MB in fp16. Shares are of the steps."""

    filters: int = 28
    growth: int = 14
    blocks: int = 3
    steps: int = 2000
    batch: int = 4
    crop: int = 96
    rate: float = 5e-4
    warmup: int = 50
    decay_share: float = 0.3
    features: float = 0.1
    adversary: float = 0.3
    adversary_from: float = 0.5
    adversary_rate: float = 5e-4
    ema: float = 0.995
    seed: int = 41


def build_upscaler(preset: UpscalerPreset) -> nn.Module:
    """A fresh network, from [N, 3, H, W] in 0..1 to [N, 3, 4 H, 4 W]. What it adds starts small."""
    torch.manual_seed(preset.seed)
    network: nn.Module = rrdbnet(
        Shape(preset.filters, preset.growth, preset.blocks, ups=2, shuffle=1)
    )
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.mul_(0.5)
    return network


def shrink(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures [B, 3, H, W] in 0..1 at a quarter of the size, as resizing programs make them."""
    return F.interpolate(pictures, scale_factor=1 / SCALE, mode="bicubic", antialias=True).clamp(
        0, 1
    )


class UpscalerStage:
    """One step of the upscaler's training, for `loop.run`."""

    def __init__(
        self,
        preset: UpscalerPreset,
        renderer: Renderer,
        features: Features,
        *,
        device: str,
        bf16: bool,
    ) -> None:
        self.preset, self.renderer, self.features = preset, renderer, features
        self.device, self.bf16 = device, bf16
        self.model = build_upscaler(preset).to(device)
        self.judge = PatchDiscriminator().to(device)
        self.helpers: dict[str, nn.Module] = {"judge": self.judge}
        self.ours = torch.optim.AdamW(
            self.model.parameters(), lr=preset.rate, betas=(0.9, 0.99), weight_decay=0.0
        )
        self.theirs = torch.optim.AdamW(
            self.judge.parameters(), lr=preset.adversary_rate, betas=(0.5, 0.9), weight_decay=0.0
        )
        self.optimizers: list[torch.optim.Optimizer] = [self.ours, self.theirs]

    def advance(self, step: int) -> loop.Figures:
        preset = self.preset
        pictures = self._pictures(step)
        with self._autocast():
            drawn = self.model(shrink(pictures)).float() * 2 - 1
        wanted = pictures * 2 - 1
        figures = {"pixels": (drawn - wanted).abs().mean()}
        with self._autocast():
            seen = [f.float() for f in self.features(wanted)]
            got = [f.float() for f in self.features(drawn)]
        figures["features"] = losses.lpips(got, seen)
        close = figures["pixels"] + preset.features * figures["features"]
        loss = close
        adversarial = step >= preset.adversary_from * preset.steps
        if adversarial:
            fooled = losses.hinge_generator(self._judged(drawn))
            last = self.model.get_parameter("conv_last.weight")
            figures["weight"] = losses.adaptive_weight(close, fooled, last)
            loss = loss + preset.adversary * figures["weight"] * fooled
        loop.descend(loss, [self.ours])
        if adversarial:
            real, fake = self._judged(wanted), self._judged(drawn.detach())
            figures["judge"] = losses.hinge_discriminator(real, fake)
            loop.descend(figures["judge"], [self.theirs])
        return {name: value.detach() for name, value in figures.items()}

    def _pictures(self, step: int) -> torch.Tensor:
        """Crops of renders in 0..1."""
        rng = np.random.default_rng([self.preset.seed, step])
        scenes = [sample_scene(rng) for _ in range(self.preset.batch)]
        corners = [
            (int(x), int(y)) for x, y in rng.integers(0, 129 - self.preset.crop, (len(scenes), 2))
        ]
        pictures = to_tensor(picture_batch(self.renderer, scenes, corners, self.preset.crop))
        return ((pictures + 1) / 2).contiguous(memory_format=torch.channels_last).to(self.device)

    def _judged(self, pictures: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            answers: torch.Tensor = self.judge(pictures)
        return answers.float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16)


def train_upscaler(
    preset: UpscalerPreset,
    renderer: Renderer,
    features: Features,
    folder: Path,
    path: Path,
    *,
    device: str = "cpu",
    bf16: bool = True,
    minutes: float = float("inf"),
    log: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train, or go on training, write `path` in fp16 and return how it compares with bicubic resizing."""
    stage = UpscalerStage(preset, renderer, features, device=device, bf16=bf16)
    schedule = loop.Schedule(preset.steps, preset.warmup, preset.decay_share, preset.ema)
    loop.run(stage, schedule, folder, device=device, minutes=minutes, log=log)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: w.half().cpu().contiguous() for name, w in stage.model.state_dict().items()}
    save_file(weights, path)
    return {**compare(stage, features), "bytes": float(path.stat().st_size)}


@torch.no_grad()
def compare(stage: UpscalerStage, features: Features, count: int = 24) -> dict[str, float]:
    """PSNR in dB and features' distance of fresh renders shrunk and made large again, by the network and bicubic."""
    rng = np.random.default_rng(98)
    whole = to_tensor(picture_batch(stage.renderer, [sample_scene(rng) for _ in range(count)]))
    wanted = (whole + 1) / 2
    small = shrink(wanted)
    parts = [stage.model(p.to(stage.device)).cpu() for p in torch.split(small, 4)]
    ways = {
        "ours": torch.cat(parts).clamp(0, 1),
        "bicubic": F.interpolate(small, scale_factor=SCALE, mode="bicubic").clamp(0, 1),
    }
    figures = {}
    for name, drawn in ways.items():
        error = (drawn - wanted).square().mean((1, 2, 3)).clamp_min(1e-10)
        figures[f"{name}_psnr"] = float((-10 * error.log10()).mean())
        looks = [
            [f.float().cpu() for f in features((x * 2 - 1).to(stage.device))]
            for x in (drawn, wanted)
        ]
        figures[f"{name}_features"] = float(losses.lpips(*looks))
    return figures
