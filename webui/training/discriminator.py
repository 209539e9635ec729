"""The autoencoder's adversary: says of each patch of 22x22 pixels whether it is a render or was decoded."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

RECEPTIVE_FIELD = 22


class PatchDiscriminator(nn.Module):
    """Three convolutions of 4x4 and one of 1x1 (Isola et al. 2017), 0.17 million weights at the usual widths.

    Takes [B, 3, H, W] in -1..1 and answers [B, 1, H/4 - 1, W/4 - 1], high for real. Spectral norms (Miyato et al. 2018)
    keep it from growing steep.
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        super().__init__()
        a, b, c = widths
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(3, a, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(b, c, 4, 1, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(c, 1, 1)),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.layers(pictures)
        return answers
