"""What lies between a VAE's latents and those that are sampled. Knows numbers; knows no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["LatentGeometry"]


@dataclass(frozen=True, slots=True)
class LatentGeometry:
    """The latents of a VAE: their `channels`, how many pixels one of them is wide and high (`downscale`), and how they
    are brought to unit variance about 0 for the network: (latent - `shift`) * `scale`."""

    channels: int
    downscale: int
    scale: float
    shift: float = 0.0

    @staticmethod
    def of(config: Any) -> LatentGeometry:
        """That of an `AutoencoderKL`, by its config."""
        return LatentGeometry(
            int(config.latent_channels),
            2 ** (len(config.block_out_channels) - 1),
            float(config.scaling_factor),
            float(config.shift_factor or 0.0),
        )

    def sampled(self, latent: Tensor) -> Tensor:
        """A VAE's latent as it is sampled."""
        return (latent - self.shift if self.shift else latent) * self.scale

    def encoded(self, latent: Tensor) -> Tensor:
        """A sampled latent as the VAE has it."""
        unscaled = latent / self.scale
        return unscaled + self.shift if self.shift else unscaled
