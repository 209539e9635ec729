"""What a U-Net predicts, found out by one call of it: noise, or v.

Given pure noise at the last timestep, a network that predicts the noise gives back what it sees: nearly all of it
is noise, and saying so costs it least. One that predicts v = alpha * noise - sigma * clean gives minus the clean
picture it expects there and only alpha (0.068) of the noise. So the share of the input in the output tells them
apart, whatever the pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["likely_prediction", "share"]

HALF = 0.5  # between the share of a network that predicts noise (near 1) and v (near 0.07)
SEED = 0


def likely_prediction(call: Callable[[Tensor], Tensor], shape: tuple[int, int, int]) -> str:
    """ "epsilon" or "v_prediction": `call` makes latents [1, C, h, w] what the network says at its last timestep.

    The latent seen has `shape`. What predicts the clean picture itself cannot be told from v in this way.
    """
    noise = torch.randn((1, *shape), generator=torch.Generator("cpu").manual_seed(SEED))
    return "epsilon" if share(noise, call(noise)) > HALF else "v_prediction"


def share(noise: Tensor, said: Tensor) -> float:
    """How much of `noise` is in `said`: the factor of the best linear fit, each channel about its mean."""
    seen, given = (
        (t.float().cpu() - t.float().cpu().mean(dim=(2, 3), keepdim=True)).flatten()
        for t in (noise, said)
    )
    return float(seen @ given / (seen @ seen))
