"""What steers a sampler: the encoded prompts, and what an inpainting UNet sees of the picture."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from PIL import Image

from webui.types import Call, Condition, Encode, EncodeText, GenerationRequest, Model, Studio

__all__ = ["condition", "seen_by_inpainting"]


def condition(
    request: GenerationRequest, model: Model, studio: Studio
) -> Generator[Call, Any, Condition]:
    """The prompts, encoded. An inpainting UNet is told that all is to be repainted."""
    cond: Condition = yield EncodeText(
        model, request.prompt, request.negative_prompt, request.clip_skip
    )
    if model.inpainting:
        size = (request.width, request.height)
        grey, everything = Image.new("RGB", size), Image.new("L", size, 255)
        cond = yield from seen_by_inpainting(cond, grey, everything, studio)
    return cond


def seen_by_inpainting(
    cond: Condition, picture: Image.Image, mask: Image.Image, studio: Studio
) -> Generator[Call, Any, Condition]:
    """`cond` with the five extra channels of a 9-channel UNet: the mask (1 = repaint) at latent size,
    and the latent of the picture with the masked part greyed out (Stable Diffusion 1.5 inpainting)."""
    import torch

    hole = (studio.pixels(mask) > 0.5).float()
    latent = yield Encode(cond.model, studio.pixels(picture) * (1 - hole))
    small = hole[:, :: cond.model.downscale, :: cond.model.downscale]
    return replace(cond, inputs={**cond.inputs, "concat": torch.cat([small, latent])})
