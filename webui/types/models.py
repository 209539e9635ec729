"""Models as they are listed, and as tasks see them once they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

__all__ = ["Model", "ModelCard"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as it is listed, told without loading a weight.

    `layout` is "folder" (diffusers), or of a single file "ldm" (the original keys) or "diffusers". `family` is the
    name that people know, `kind` what decides how it is loaded: "sd" (one CLIP text encoder: 1.x, 2.x and their
    like), "sdxl" (two) or "sdxl-refiner". `prediction` is what the UNet gives ("epsilon", "v_prediction", "sample"),
    None where only a call of it can tell; `zero_snr` says that its schedule ends in pure noise. `defaults` are the
    model's own values of request fields; `prompts` are example prompts. `problem`, where there is one, is the sentence
    why it cannot be used.
    """

    name: str
    path: Path
    family: str = ""
    latent_channels: int = 4
    inpainting: bool = False  # a UNet that also sees mask and masked picture (9 channels)
    layout: str = "folder"
    kind: str = "sd"
    prediction: str | None = None
    zero_snr: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prompts: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model as tasks see it: what shapes and noise levels it works at, never its weights.

    `sigmas` are the training noise levels, ascending, on the variance-exploding scale. `prediction` is what the
    UNet gives ("epsilon", "v_prediction" or "sample"), `context_dim` the width D of the texts that it sees.
    `hash` is the first 10 hex digits of the UNet file's SHA-256, "" while unknown.
    """

    name: str
    latent_channels: int
    inpainting: bool
    sigmas: tuple[float, ...]
    downscale: int = 8
    hash: str = ""
    prediction: str = "epsilon"
    context_dim: int = 768

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """The shape (C, h, w) of the latent of a picture of `width` x `height` pixels."""
        return (self.latent_channels, height // self.downscale, width // self.downscale)
