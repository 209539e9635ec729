"""A small ControlNet (Zhang et al. 2023) for edges, colour maps and boxes, trained on renders.

Attention stands in one level only, so that 2.9 million weights are 5.8 MB in fp16; what it shares with the UNet starts
as a copy. Its hints are made by the functions that requests use: Canny's edges and the picture at an eighth of its
size; and boxes in the drawings' mean colours on the background's.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import nn

from extensions.controlnet.preprocessors import canny, tile
from webui.diffusion.conversions import noised, signal_and_spread, target
from webui.training import loop
from webui.training.captions import caption
from webui.training.diffusion import TextToLatent, alphas_cumprod, timesteps
from webui.training.renderer import Renderer
from webui.training.scenes import Scene, sample_scene
from webui.training.sheets import to_tensor
from webui.training.tokenizer import encode

HINTS = ("edges", "colours", "boxes")


@dataclass(frozen=True, slots=True)
class ControlNetPreset:
    """`drop`: the share of captions left out, so that the hint has to say what is there (as in the paper)."""

    scenes: int = 4000
    steps: int = 4000
    batch: int = 16
    rate: float = 5e-4
    warmup: int = 100
    decay_share: float = 0.4
    drop: float = 0.5
    ema: float = 0.995
    seed: int = 51


def build_controlnet(unet: UNet2DConditionModel, seed: int = 51) -> ControlNetModel:
    """A ControlNet for `unet` that adds nothing yet. Attention in its second level only."""
    torch.manual_seed(seed)
    config = unet.config
    levels = len(config.block_out_channels)
    types = ["DownBlock2D"] * levels
    types[1] = "CrossAttnDownBlock2D"
    network = ControlNetModel(
        in_channels=config.in_channels,
        down_block_types=tuple(types),
        mid_block_type="UNetMidBlock2D",
        block_out_channels=tuple(config.block_out_channels),
        layers_per_block=config.layers_per_block,
        attention_head_dim=config.attention_head_dim,
        cross_attention_dim=config.cross_attention_dim,
        norm_num_groups=config.norm_num_groups,
        conditioning_embedding_out_channels=(16, 16, 32, 32),
    )
    own, theirs = network.state_dict(), unet.state_dict()
    same = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(same, strict=False)
    return network


def hint(picture: np.ndarray, scene: Scene, kind: str) -> np.ndarray:
    """What the network is shown of a render, uint8 [H, W, 3]."""
    shown = Image.fromarray(picture)
    if kind == "edges":
        return np.asarray(canny(shown, 100, 200))
    if kind == "colours":
        return np.asarray(tile(shown))
    corner = tuple(int(c) for c in picture[0, 0])
    plan = Image.new("RGB", shown.size, corner)
    draw = ImageDraw.Draw(plan)
    for placed in scene.drawings:
        left, top, right, bottom = placed.box()
        mean = picture[top:bottom, left:right].reshape(-1, 3).mean(0)
        draw.rectangle((left, top, right - 1, bottom - 1), fill=tuple(int(c) for c in mean))
    return np.asarray(plan)


class ControlNetStage:
    """One step of a ControlNet's training beside a frozen model, for `loop.run`."""

    def __init__(
        self,
        preset: ControlNetPreset,
        base: TextToLatent,
        vae: AutoencoderKL,
        tokenizer: Any,
        renderer: Renderer,
        *,
        prediction: str = "v_prediction",
        device: str = "cpu",
        bf16: bool = True,
    ) -> None:
        base.requires_grad_(False).to(device).eval()
        self.preset, self.base, self.tokenizer, self.renderer = preset, base, tokenizer, renderer
        self.device, self.bf16, self.prediction = device, bf16, prediction
        self.network = build_controlnet(base.unet, preset.seed).to(device)
        self.helpers: dict[str, nn.Module] = {}
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(self.network.parameters(), lr=preset.rate, weight_decay=0.0)
        ]
        self.acp = alphas_cumprod().float()
        self.scenes = [
            sample_scene(np.random.default_rng([preset.seed, i]), snapped=True)
            for i in range(preset.scenes)
        ]
        self.latents = self._encoded(vae)

    @property
    def model(self) -> nn.Module:
        module: nn.Module = self.network
        return module

    @torch.no_grad()
    def _encoded(self, vae: AutoencoderKL) -> torch.Tensor:
        parts = []
        for i in range(0, len(self.scenes), 16):
            pictures = to_tensor(np.stack([self.renderer.draw(s) for s in self.scenes[i : i + 16]]))
            posterior = vae.encode(pictures.to(self.device)).latent_dist
            parts.append(posterior.mode().bfloat16().cpu())
        return torch.cat(parts) * float(vae.config.scaling_factor)

    def advance(self, step: int) -> loop.Figures:
        loss = self.loss(step)
        loop.descend(loss, self.optimizers)
        return {"loss": loss.detach()}

    def loss(self, step: int, scale: float = 1.0) -> torch.Tensor:
        """Squared error of the prediction with the hint; `scale` 0 is without."""
        preset = self.preset
        rng = np.random.default_rng([preset.seed, 1, step])
        noise_rng = torch.Generator().manual_seed(preset.seed * 1_000_003 + step)
        chosen = rng.integers(len(self.scenes), size=preset.batch).tolist()
        scenes = [self.scenes[i] for i in chosen]
        texts = ["" if rng.random() < preset.drop else caption(s, rng) for s in scenes]
        kinds = rng.choice(HINTS, len(scenes)).tolist()
        hints = [
            hint(self.renderer.draw(s), s, kind) for s, kind in zip(scenes, kinds, strict=True)
        ]
        shown = (to_tensor(np.stack(hints)) + 1) / 2
        x0 = self.latents[chosen].float()
        noise, t = torch.randn(x0.shape, generator=noise_rng), timesteps(len(chosen), noise_rng)
        a = self.acp[t][:, None, None, None]
        at = signal_and_spread(a)
        xt = noised(x0, noise, *at).to(self.device)
        wanted = target(self.prediction, x0, noise, *at)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
            predicted = self._predicted(xt, t.to(self.device), texts, shown.to(self.device), scale)
        loss: torch.Tensor = (predicted.float() - wanted.to(self.device)).square().mean()
        return loss

    def _predicted(
        self, xt: torch.Tensor, t: torch.Tensor, texts: list[str], shown: torch.Tensor, scale: float
    ) -> torch.Tensor:
        tokens = encode(self.tokenizer, texts).to(self.device)
        context = self.base.text(input_ids=tokens).last_hidden_state
        down, mid = self.network(xt, t, context, shown, scale, return_dict=False)
        predicted: torch.Tensor = self.base.unet(
            xt,
            t,
            context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample
        return predicted

    @torch.no_grad()
    def gain(self, count: int = 8) -> float:
        """The error with hints, relative to that without, at steps that training did not see."""
        steps = range(10_000_000, 10_000_000 + count)
        learnt = sum(float(self.loss(step)) for step in steps)
        return learnt / sum(float(self.loss(step, 0.0)) for step in steps)


def train_controlnet(
    stage: ControlNetStage,
    folder: Path,
    path: Path,
    *,
    minutes: float = float("inf"),
    log: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train, or go on training, write `path` in fp16 and its config beside it; return what it gains."""
    preset = stage.preset
    schedule = loop.Schedule(preset.steps, preset.warmup, preset.decay_share, preset.ema)
    loop.run(stage, schedule, folder, device=stage.device, minutes=minutes, log=log)
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {k: w.half().cpu().contiguous() for k, w in stage.network.state_dict().items()}
    save_file(weights, path)
    config = {"_class_name": "ControlNetModel", **_plain(stage.network.config)}
    path.with_suffix(".json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return {"error_relative": stage.gain(), "bytes": float(path.stat().st_size)}


def _plain(config: Any) -> dict[str, Any]:
    """The config's entries without diffusers' own notes."""
    return {key: value for key, value in dict(config).items() if not key.startswith("_")}
