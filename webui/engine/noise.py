"""Random numbers: one generator per picture, on the CPU, so that a picture depends on its seed alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Noise", "between"]


class Noise:
    """The unit Gaussian draws of one seed, in order, fp32, moved to `device`.

    The first draw is `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._device = device

    def __call__(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator).to(self._device)


def between(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Noise [C, h, w] that is `share` of the way from `one` to `other`, on the arc between them, so that its
    variance stays that of noise (Shoemake 1985, slerp). The angle is taken column by column [C, 1, w], as A1111
    does, whose pictures this gives; almost parallel noise is mixed linearly."""
    lengths = one.norm(dim=1, keepdim=True) * other.norm(dim=1, keepdim=True)
    cosine = (one * other).sum(dim=1, keepdim=True) / lengths
    if cosine.mean() > 0.9995:
        return one * (1 - share) + other * share
    angle = cosine.clamp(-1, 1).acos()
    parts = ((1 - share) * angle).sin() * one + (share * angle).sin() * other
    mixed: Tensor = parts / angle.sin()
    return mixed
