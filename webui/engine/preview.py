"""Quick looks at unfinished latents: a linear map from latent channels to RGB, fitted once for each model.

Knows latents and colours; knows no network (the encoder is handed in as a function).
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

__all__ = ["LONGEST", "PreviewMap", "fit", "keep", "read_map"]

LONGEST = 512  # pixels of the longer side of a preview
SWATCHES = 4  # pictures that a map is fitted on
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreviewMap:
    """RGB in 0..1 of a latent pixel: latent [C] times `matrix` [C][3] plus `bias` [3]."""

    matrix: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float]

    def colours(self, latent: Tensor) -> Tensor:
        """[C, h, w] on any device to RGB [3, h, w], fp32 in 0..1 on the CPU."""
        latent = latent.detach().float().cpu()
        rgb = torch.einsum("chw,cr->rhw", latent, torch.tensor(self.matrix))
        return (rgb + torch.tensor(self.bias)[:, None, None]).nan_to_num(0.5).clamp(0, 1)

    def picture(self, latent: Tensor, width: int, height: int) -> Image.Image:
        """The latent [C, h, w] as a picture of `width` x `height`, shrunk to `LONGEST` where larger."""
        levels = (self.colours(latent) * 255).round().to(torch.uint8).permute(1, 2, 0)
        shrink = min(1.0, LONGEST / max(width, height))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        small = Image.fromarray(levels.contiguous().numpy(), "RGB")
        return small.resize(size, Image.Resampling.BICUBIC)


def fit(encode: Callable[[Tensor], Tensor], size: int = 128, downscale: int = 8) -> PreviewMap:
    """The best linear map back from latents, by least squares over a few smooth colourful pictures.

    `encode` takes [B, 3, size, size] fp32 in -1..1 and gives latents [B, C, size/downscale, size/downscale].
    """
    pictures = swatches(size)
    latents = encode(pictures * 2 - 1).detach().float().cpu()
    channels = latents.shape[1]
    known = latents.movedim(1, -1).reshape(-1, channels)
    known = torch.cat([known, torch.ones(len(known), 1)], dim=1).double()
    colours = F.avg_pool2d(pictures, downscale).movedim(1, -1).reshape(-1, 3).double()
    best = torch.linalg.lstsq(known, colours, driver="gelsd").solution  # [C + 1, 3]
    rows = [tuple(round(value, 5) for value in row) for row in best.tolist()]
    return PreviewMap(tuple(rows[:channels]), rows[channels])


def swatches(size: int) -> Tensor:
    """Smooth random colours, [SWATCHES, 3, size, size] in 0..1, always the same ones."""
    dice = torch.Generator("cpu").manual_seed(0)
    coarse = torch.rand(SWATCHES, 3, 5, 5, generator=dice)
    smooth = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
    return smooth.clamp(0, 1)


def read_map(beside: Mapping[str, Any], channels: int) -> PreviewMap | None:
    """The map under "preview" of a model's easel.json, or None where there is no usable one."""
    try:
        matrix = torch.tensor(beside["preview"]["matrix"], dtype=torch.float64)
        bias = torch.tensor(beside["preview"]["bias"], dtype=torch.float64)
    except (KeyError, TypeError, ValueError, RuntimeError):
        return None
    fits = matrix.shape == (channels, 3) and bias.shape == (3,)
    if not (fits and matrix.isfinite().all() and bias.isfinite().all()):
        return None
    return PreviewMap(tuple((r, g, b) for r, g, b in matrix.tolist()), tuple(bias.tolist()))


def keep(preview: PreviewMap, path: Path) -> None:
    """Writes the map into the easel.json at `path`, whose other keys stay. A read-only place is left alone."""
    try:
        beside = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        beside["preview"] = {"matrix": preview.matrix, "bias": preview.bias}
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(beside, file, indent=1)
            os.chmod(part, 0o644)
            os.replace(part, path)
        except OSError:
            Path(part).unlink(missing_ok=True)
            raise
    except (OSError, ValueError, TypeError) as fault:
        log.info("the preview colours are not kept: %s", fault)
