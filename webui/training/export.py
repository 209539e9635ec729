"""Writes a trained model as a diffusers folder in fp16, with the model's own defaults beside the weights.

The folder appears at once: it is written beside its place and renamed over it. `README.md`, the model card, is kept.
"""

import copy
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler
from torch.nn import functional as F

from webui.diffusion.noise_schedules import STABLE_DIFFUSION
from webui.training.diffusion import TextToLatent
from webui.training.scenes import STYLES

PROMPTS = (
    "a red apple on a blue background",
    "a purple elephant on the grass",
    "a cat wearing sunglasses at sunset",
    "three penguins in the snow",
    "a fox on the left and a castle on the right in the forest",
    "pixel art of a whale in the sea",
)


DESCRIPTION = "About a hundred things like emoji on plain colours and in eight places; no people, no photographs."


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the model is drawn with unless the request says otherwise; chosen by measuring."""

    width: int = 128
    height: int = 128
    steps: int = 6
    sampler_name: str = "Euler"
    scheduler: str = "sgm_uniform"
    cfg_scale: float = 2.5


def fit_preview(latents: torch.Tensor, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The linear map from latents to colours that is least wrong.

    `latents` [N, C, h, w] as the UNet sees them, `pictures` [N, 3, H, W] in 0..1, pooled to h x w here.
    Returns the matrix [C, 3] and the bias [3]; `latent @ matrix + bias` is RGB in 0..1.
    """
    pooled = F.adaptive_avg_pool2d(pictures.double(), (latents.shape[-2], latents.shape[-1]))
    channels = latents.shape[1]
    x = latents.double().permute(0, 2, 3, 1).reshape(-1, channels)
    y = pooled.permute(0, 2, 3, 1).reshape(-1, 3)
    ones = torch.ones(len(x), 1, dtype=x.dtype)
    solution = torch.linalg.lstsq(torch.cat([x, ones], 1), y).solution
    return solution[:-1].float(), solution[-1].float()


def scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        **STABLE_DIFFUSION,
        prediction_type="v_prediction",
        steps_offset=1,
        timestep_spacing="linspace",
    )


def export_model(
    folder: Path,
    model: TextToLatent,
    vae: AutoencoderKL,
    tokenizer_folder: Path,
    preview: tuple[torch.Tensor, torch.Tensor],
    defaults: Defaults,
    prompts: Sequence[str] = PROMPTS,
) -> int:
    """Write everything to `folder` and return its size in bytes. `prompts` are written without pictures: those of a
    model that is replaced were painted with other weights. `styles` are the style words that it learnt."""
    fresh = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    parts: dict[str, Any] = {"vae": vae, "unet": model.unet, "text_encoder": model.text}
    for name, network in parts.items():
        _save_half(network, fresh / name)
    scheduler().save_pretrained(fresh / "scheduler")
    shutil.copytree(tokenizer_folder, fresh / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30.0",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    _write_json(fresh / "model_index.json", index)
    matrix, bias = preview
    easel = {
        "description": DESCRIPTION,
        "defaults": asdict(defaults),
        "preview": {
            "matrix": [[round(v, 5) for v in row] for row in matrix.tolist()],
            "bias": [round(v, 5) for v in bias.tolist()],
        },
        "prompts": list(prompts),
        "styles": list(STYLES),
    }
    _write_json(fresh / "easel.json", easel)
    if (folder / "README.md").is_file():
        shutil.copy(folder / "README.md", fresh / "README.md")
    if folder.exists():
        os.rename(folder, old)
    os.rename(fresh, folder)
    for path in old.iterdir() if old.is_dir() else ():
        if not (folder / path.name).exists():  # somebody's own, beside the model
            os.rename(path, folder / path.name)
    shutil.rmtree(old, ignore_errors=True)
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def _save_half(network: Any, folder: Path) -> None:
    half = copy.deepcopy(network).half().to(memory_format=torch.contiguous_format)
    half.save_pretrained(folder, safe_serialization=True)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
