"""Pictures to latents and back by a model's VAE. Knows tensors; knows no request.

One picture at a time, so that a picture's last bits do not depend on its neighbours and memory stays that of one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from webui.errors import ModelFileError

if TYPE_CHECKING:
    from webui.engine.loading import Networks

__all__ = ["decode", "encode"]

log = logging.getLogger(__name__)


@torch.inference_mode()
def encode(networks: Networks, pixels: Tensor) -> Tensor:
    """Pixels [B, 3, H, W] fp32 in -1..1 to latents [B, C, h, w] fp32: the posterior's mean, scaled."""
    return torch.cat([_finite(networks, _encode, one[None]) for one in pixels])


@torch.inference_mode()
def decode(networks: Networks, latents: Tensor) -> Tensor:
    """Scaled latents [B, C, h, w] to pictures [B, H, W, 3] uint8 on the CPU.

    A VAE that overflows in half precision is moved to fp32 for good (`networks.notes` says so); one that gives
    no numbers even then, or a latent that holds none, raises `ModelFileError` naming the model.
    """
    if not latents.isfinite().all():
        raise ModelFileError(
            f"model {networks.model.name!r}: the U-Net gave values that are not numbers in "
            f"{networks.placement.dtype_name}; start with --dtype float32, or the file is damaged"
        )
    pictures = []
    for latent in latents:
        pixels = _finite(networks, _decode, latent[None])
        levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        pictures.append(levels.permute(0, 2, 3, 1).cpu())
    return torch.cat(pictures)


def _encode(networks: Networks, pixels: Tensor) -> Tensor:
    vae = networks.vae
    posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
    mean: Tensor = posterior.mode().float()
    return mean * networks.scaling_factor


def _decode(networks: Networks, latents: Tensor) -> Tensor:
    vae = networks.vae
    latents = latents.to(vae.device).float() / networks.scaling_factor
    pixels: Tensor = vae.decode(latents.to(vae.dtype), return_dict=False)[0].float()
    return pixels


def _finite(networks: Networks, run: _Run, given: Tensor) -> Tensor:
    """`run`'s result, in fp32 from now on where it is not finite in the VAE's dtype."""
    result = run(networks, given)
    if result.isfinite().all():
        return result
    if networks.vae.dtype != torch.float32:
        note = (
            f"the VAE of {networks.model.name!r} overflows in {networks.vae.dtype}: now in float32"
        )
        log.warning(note)
        networks.notes.append(note)
        networks.vae.to(torch.float32)
        result = run(networks, given)
    if not result.isfinite().all():
        raise ModelFileError(
            f"model {networks.model.name!r}: its VAE gives values that are not numbers, even in float32; "
            "the file is damaged, get it again"
        )
    return result


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Run: TypeAlias = Callable[[Networks, Tensor], Tensor]
