"""Stable Diffusion 1 by the modules of diffusers and transformers, a row at a time: what the engine's samplings are
compared with. Knows nothing of ours but the sigmas that it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer


class Reference:
    """A model of epsilon prediction from its folder. `merged`: differences that are added to its layers' weights, by
    kohya's prefix and the layer's path."""

    def __init__(self, folder: Path, merged: Mapping[str, Tensor] | None = None) -> None:
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        alphas = DDIMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod.double()
        self.levels = ((1 - alphas) / alphas).sqrt().log().numpy()
        networks = {"lora_unet_": self.unet, "lora_te_text_model_": self.text}
        for name, difference in (merged or {}).items():
            prefix = next(prefix for prefix in networks if name.startswith(prefix))
            layer = networks[prefix].get_submodule(name.removeprefix(prefix))
            layer.weight.data += difference

    @torch.no_grad()
    def encode(self, prompt: str) -> Tensor:
        """[77, D] of one chunk."""
        ids = self.tokenizer(prompt, padding="max_length", max_length=77, return_tensors="pt")
        return self.text(ids.input_ids).last_hidden_state[0]

    @torch.no_grad()
    def clean(self, x: Tensor, sigma: float, context: Tensor) -> Tensor:
        """The clean latent that the network sees in x [C, h, w] at a noise level, told one text."""
        step = float(np.interp(np.log(sigma), self.levels, np.arange(len(self.levels))))
        scaled = x[None] / (1 + sigma**2) ** 0.5
        return x - sigma * self.unet(scaled, step, context[None]).sample[0]


def composed(conds: Sequence[tuple[float, Tensor]], uncond: Tensor, scale: float) -> Tensor:
    """Guidance by several weighted predictions."""
    total = uncond.clone()
    for weight, cond in conds:
        total += scale * weight * (cond - uncond)
    return total


def draws(seed: int, shape: tuple[int, ...], count: int) -> list[Tensor]:
    generator = torch.Generator("cpu").manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]
