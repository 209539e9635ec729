"""A sampling as a value: all that `Studio.sample` needs to know beside the latent that it starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from webui.types.calls import Condition

__all__ = ["BrownianNoise", "NormalNoise", "Sampling"]


@dataclass(frozen=True, slots=True)
class NormalNoise:
    """Independent unit draws of one generator on the CPU, in the order in which the sampler asks for them.

    `skip` draws of the latent's shape are left out first: the picture's own first noise is one draw of its seed.
    """

    seed: int
    skip: int = 1


@dataclass(frozen=True, slots=True)
class BrownianNoise:
    """The increments of one Brownian path over sigma, brought to unit variance.

    The path belongs to the seed alone, so a sampling with twice the steps walks along the same one: pictures settle
    as steps are added.
    """

    seed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sampling:
    """Which way a latent is denoised. `Studio.sampling` builds the one that a request means; `dataclasses.replace`
    makes others of it.

    `sampler` is a registered name; its `options` are read by its controls, those that are left out are the sampler's
    own. `sigmas` are the noise levels of the whole schedule, descending, the last one usually 0.0. Of its steps
    those from `start` up to `end` are made (None: to the last), so that x is at level `sigmas[start]` and the result
    at `sigmas[end]`.

    `conditions`: at each step the first one that holds steers it, each with its own model; the latents of all must be
    of one kind. `guidance_scale` is that of classifier-free guidance, 1 is without.

    `done` of `total` steps of the picture were made before, for progress only; 0 is that this sampling is all.
    """

    sampler: str
    sigmas: Sequence[float]
    conditions: tuple[Condition, ...]
    guidance_scale: float = 1.0
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    noise: NormalNoise | BrownianNoise = NormalNoise(0)
    start: int = 0
    end: int | None = None
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", tuple(float(sigma) for sigma in self.sigmas))
        if sentence := self._wrong():
            raise ValueError(f"Sampling: {sentence}")

    @property
    def steps(self) -> int:
        """The steps of the whole schedule."""
        return len(self.sigmas) - 1

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels of the steps that are made."""
        end = self.steps if self.end is None else self.end
        return tuple(self.sigmas[self.start : end + 1])

    def _wrong(self) -> str:
        sigmas, conditions = self.sigmas, self.conditions
        ends = self.steps if self.end is None else self.end
        if len(sigmas) < 2 or not all(math.isfinite(sigma) and sigma >= 0 for sigma in sigmas):
            return "sigmas: give two finite noise levels at least"
        if any(a <= b for a, b in pairwise(sigmas)):
            return "sigmas: they do not descend"
        if not 0 <= self.start < ends <= self.steps:
            return f"start {self.start}, end {self.end}: use steps from 0 to {self.steps}, the end behind the start"
        if not isinstance(conditions, tuple) or not conditions:
            return "conditions: give a tuple with one Condition at least"
        if not all(isinstance(one, Condition) for one in conditions):
            return "conditions: hold something that is no Condition"
        latents = {(one.model.latent_channels, one.model.downscale) for one in conditions}
        if len(latents) > 1:
            names = " and ".join(dict.fromkeys(repr(one.model.name) for one in conditions))
            return f"conditions: the models {names} have latents of different kinds"
        if not math.isfinite(self.guidance_scale):
            return f"guidance_scale {self.guidance_scale!r}: give a number"
        return ""
