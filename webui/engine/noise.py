"""Random numbers: one generator per picture, on the CPU, so that a picture depends on its seed alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Noise"]


class Noise:
    """The unit Gaussian draws of one seed, in order, fp32, moved to `device`.

    The first draw is `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._device = device

    def __call__(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator).to(self._device)
