"""Pictures to latents and back by a model's VAE. Knows tensors; knows no request.

One picture at a time, so that a picture's last bits do not depend on its neighbours and memory stays that of one.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from webui.engine.memory import out_of_memory
from webui.engine.tiling import Tile, Tiled, run_tile, tiled
from webui.errors import ModelFileError, Sentence

if TYPE_CHECKING:
    from collections.abc import Hashable

    from webui.engine.networks import Networks

__all__ = ["TILED_ABOVE", "decode", "encode", "tile"]

TILED_ABOVE = 1280 * 1280  # pixels of a picture that the VAE takes whole
log = logging.getLogger(__name__)


@torch.inference_mode()
def encode(networks: Networks, pixels: Tensor) -> Tensor:
    """Pixels [B, 3, H, W] fp32 in -1..1 to latents [B, C, h, w] fp32: the posterior's mean, shifted and scaled."""
    return torch.cat([_finite(networks, _encode, one[None]) for one in pixels])


@torch.inference_mode()
def decode(networks: Networks, latents: Tensor) -> Tensor:
    """Scaled latents [B, C, h, w] to pictures [B, H, W, 3] uint8 on the CPU.

    A VAE that overflows in half precision is moved to fp32 for good (`networks.notes` says so); one that gives
    no numbers even then, or a latent that holds none, raises `ModelFileError` naming the model.
    """
    if not latents.isfinite().all():
        raise ModelFileError(
            Sentence(
                "model {model}: the U-Net gave values that are not numbers in "
                "{dtype_name}; start with --dtype float32, or the file is damaged",
                model=repr(networks.model.name),
                dtype_name=networks.placement.dtype_name,
            )
        )
    pictures = []
    for latent in latents:
        pixels = _finite(networks, _decode, latent[None])
        levels = ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        pictures.append(levels.permute(0, 2, 3, 1).cpu())
    return torch.cat(pictures)


@torch.inference_mode()
def tile(networks: Networks, call: Tile) -> Tiled:
    """A part of a decode or encode (`tiling.tiled`), of unscaled pixels or a scaled latent."""
    whole_latent = (call.way, call.part) == ("decode", "whole")
    x = networks.latents.encoded(call.x.float()) if whole_latent else call.x
    made = Tiled(x, {})

    def run(networks: Networks, given: Tensor) -> Tensor:
        nonlocal made
        made = run_tile(networks.vae, replace(call, x=given))
        return made.y

    _finite(networks, run, x)
    return made


def _encode(networks: Networks, pixels: Tensor) -> Tensor:
    """Whole where it fits into the memory, else in tiles."""
    vae = networks.vae
    size = ("encode", vae.dtype, tuple(pixels.shape))
    small = pixels.shape[-1] * pixels.shape[-2] <= TILED_ABOVE
    if small and _may_fit(networks, size):
        try:
            posterior = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist
            mean: Tensor = posterior.mode().float()
            networks.capacity.made(size, 1)
            return networks.latents.sampled(mean)
        except RuntimeError as error:
            _told(networks, error, size)
    moments = _in_tiles(networks, "encode", pixels)
    return networks.latents.sampled(moments.chunk(2, dim=1)[0])


def _decode(networks: Networks, latents: Tensor) -> Tensor:
    """Whole where it fits into the memory, else in tiles."""
    vae = networks.vae
    size = ("decode", vae.dtype, tuple(latents.shape))
    if not _may_fit(networks, size):
        return _in_tiles(networks, "decode", latents)
    try:
        unscaled = networks.latents.encoded(latents.to(vae.device).float())
        pixels: Tensor = vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float()
    except RuntimeError as error:
        _told(networks, error, size)
        return _in_tiles(networks, "decode", latents)
    networks.capacity.made(size, 1)
    return pixels


def _may_fit(networks: Networks, size: Hashable) -> bool:
    """Whether a picture is tried whole: not where one of its size has lately not fitted."""
    if networks.capacity.rows(size, 1):
        return True
    networks.capacity.made(size, 0)
    return False


def _told(networks: Networks, error: RuntimeError, size: Hashable) -> None:
    """Remembers that the memory does not suffice; raises any other error again."""
    if not out_of_memory(error):
        raise error
    networks.capacity.failed(size, 1)
    log.warning("model %s: the VAE goes on in tiles (%s)", networks.model.name, error)
    if networks.placement.device.type == "cuda":
        torch.cuda.empty_cache()


def _in_tiles(networks: Networks, way: Literal["encode", "decode"], x: Tensor) -> Tensor:
    tiles = tiled(way, x, networks.model.downscale)
    try:
        call = next(tiles)
        while True:
            call = tiles.send(tile(networks, call))
    except StopIteration as stop:
        whole: Tensor = stop.value
        return whole


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
            Sentence(
                "model {model}: its VAE gives values that are not numbers, even in "
                "float32; the file is damaged, get it again",
                model=repr(networks.model.name),
            )
        )
    return result


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Run: TypeAlias = Callable[[Networks, Tensor], Tensor]
