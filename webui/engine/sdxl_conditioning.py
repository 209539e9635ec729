"""What Stable Diffusion XL's U-Nets are told beside the text: the pooled text and numbers about the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from webui.errors import EaselError
from webui.types import Row, SizeConditioning

if TYPE_CHECKING:
    from webui.engine.networks import Networks

__all__ = ["added_conditions", "numbers"]


def added_conditions(
    networks: Networks, rows: Sequence[Row], size_conditionings: Sequence[SizeConditioning]
) -> dict[str, Tensor] | None:
    """diffusers' `added_cond_kwargs` for the rows of a U-Net call; None for models that are told nothing.

    `size_conditionings` has one for each row. Gives `text_embeds` [R, P] and `time_ids` [R, 6], of the refiner [R, 5].
    """
    model, place = networks.model, networks.placement
    if not model.pooled_dim:
        return None
    pooled = [row.pooled for row in rows if row.pooled is not None]
    if len(pooled) < len(rows):
        raise EaselError(
            f"model {model.name!r} needs a pooled text with each text, and a text came without one; "
            "change texts by dataclasses.replace, so that it stays"
        )
    told = [
        numbers(size_conditioning, model.kind, row.role == "uncond")
        for row, size_conditioning in zip(rows, size_conditionings, strict=True)
    ]
    return {
        "text_embeds": torch.stack(pooled).to(place.device, place.dtype),
        "time_ids": torch.tensor(told, device=place.device, dtype=torch.float32),
    }


def numbers(size_conditioning: SizeConditioning, kind: str, negative: bool) -> tuple[float, ...]:
    """Original height and width, crop from the top and left, target height and width; the refiner is given how
    pleasing the picture is in the place of the target."""
    told = (*size_conditioning.original[::-1], *size_conditioning.crop[::-1])
    if kind == "sdxl-refiner":
        return (
            *told,
            size_conditioning.negative_aesthetic if negative else size_conditioning.aesthetic,
        )
    return (*told, *size_conditioning.target[::-1])
