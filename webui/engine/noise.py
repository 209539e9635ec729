"""Random numbers: generators on the CPU that belong to one picture, so that it depends on its seeds alone."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from webui.types import BrownianNoise, NoiseSource, NormalNoise

__all__ = ["BrownianPath", "Draws", "between", "source"]

LOWEST = -12  # of the octaves [2^k, 2^(k + 1)) that a path is made of; below lies [0, 2^LOWEST)
DEPTH = 14  # bisections of an octave
CACHED = 64  # draws of a path that are kept: those of two neighbouring levels and more

Place = tuple[int, int, int]  # of a draw: the octave, the depth in it, the number at that depth


class Draws:
    """The unit Gaussian draws of one seed, in order, fp32, moved to `device`.

    The first draw is `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._generator = torch.Generator("cpu").manual_seed(seed)
        self._device = device

    def __call__(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator).to(self._device)


class BrownianPath:
    """W(t) for t >= 0 with W(0) = 0, a tensor of independent Brownian motions that the seed alone decides: no value
    depends on which others were asked for, or in which order.

    The increments over octaves of t are independent draws. Inside an octave W is Lévy's sum of hat functions, each
    with its draw, as far as `DEPTH` bisections, and a last bridge to t itself (Lévy 1948; seeds by their place in
    the tree: Gaines & Lyons 1997).
    """

    def __init__(self, seed: int, shape: Sequence[int]) -> None:
        self._seed = seed
        self._shape = tuple(shape)
        self._draws: OrderedDict[Place, Tensor] = OrderedDict()

    def increment(self, start: float, end: float) -> Tensor:
        """W(end) - W(start) for 0 <= start < end, [*shape] fp32 on the CPU."""
        first, last = _octave(start), _octave(end)
        shares: defaultdict[Place, float] = defaultdict(float)
        for place, share in _within(last, end):
            shares[place] += share
        for octave in range(first, last):
            low, high = _bounds(octave)
            shares[octave, 0, 0] += math.sqrt(high - low)
        for place, share in _within(first, start):
            shares[place] -= share
        total = torch.zeros(self._shape)
        for place in sorted(shares):
            if share := shares[place]:
                total.add_(self._draw(place), alpha=share)
        return total

    def _draw(self, place: Place) -> Tensor:
        found = self._draws.get(place)
        if found is None:
            text = " ".join(map(str, (self._seed, *place))).encode()
            seed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1
            generator = torch.Generator("cpu").manual_seed(seed)
            found = self._draws[place] = torch.randn(self._shape, generator=generator)
            while len(self._draws) > CACHED:
                self._draws.popitem(last=False)
        self._draws.move_to_end(place)
        return found


def _within(octave: int, t: float) -> Iterator[tuple[Place, float]]:
    """Of which draws W(t) less its value at the octave's lower end is made, and how much of each."""
    low, high = _bounds(octave)
    yield (octave, 0, 0), (t - low) / math.sqrt(high - low)
    number = 0
    for depth in range(1, DEPTH + 1):
        middle, width = (low + high) / 2, high - low
        yield (octave, depth, number), math.sqrt(width) / 2 * (1 - abs(t - middle) * 2 / width)
        upper = t >= middle
        low, high = (middle, high) if upper else (low, middle)
        number = 2 * number + upper
    yield (octave, DEPTH + 1, number), math.sqrt((t - low) * (high - t) / (high - low))


def _octave(t: float) -> int:
    """The k with 2^k <= t < 2^(k + 1), at least `LOWEST`; one less stands for all below."""
    return LOWEST - 1 if t < 2.0**LOWEST else math.frexp(t)[1] - 1


def _bounds(octave: int) -> tuple[float, float]:
    return (0.0 if octave < LOWEST else 2.0**octave), 2.0 ** (octave + 1)


def source(
    noise: NormalNoise | BrownianNoise, shape: Sequence[int], device: torch.device
) -> NoiseSource:
    """What a sampler draws from, for one sampling of latents of that shape."""
    if isinstance(noise, NormalNoise):
        draws: Draws | None = None

        def drawn(sigma: float, sigma_next: float) -> Tensor:
            nonlocal draws
            if draws is None:  # most samplers draw nothing
                draws = Draws(noise.seed, device)
                for _ in range(noise.skip):
                    draws(shape)
            return draws(shape)

        return drawn
    path = BrownianPath(noise.seed, shape)

    def along(sigma: float, sigma_next: float) -> Tensor:
        low, high = sorted((sigma, sigma_next))
        return (path.increment(low, high) / math.sqrt(high - low)).to(device)

    return along


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
