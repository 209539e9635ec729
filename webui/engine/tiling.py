"""Large pictures through the VAE in tiles, so that memory stays that of one tile. Knows tensors and the VAE's layers.

A VAE of Stable Diffusion looks at the whole picture in two places: the attention in its middle, and the mean and
variance of every group norm. The middle works at the latent's size and is cheap, so it is run whole. For the rest each
tile is run twice: once to measure the norms' sums over all tiles, once with the norms held at those. Tiles that overlap
then agree up to what a convolution sees beyond their edges, and no seam is left to be seen; what is left is a slight
change of tone, half of what tiles with norms of their own give (measured in tests/engine/test_tiling.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from webui.engine.calls import CallType, register
from webui.types import Call, Model

__all__ = ["Norms", "Sums", "Tile", "Tiled", "VaeTile", "run_tile", "spans", "tiled"]

TILE, OVERLAP = 64, 8  # in cells of the latent

Norms: TypeAlias = Mapping[
    str, tuple[Tensor, Tensor]
]  # by layer: means and variances of its groups, [G] each
Sums: TypeAlias = Mapping[
    str, Tensor
]  # by layer: [3, G], how many values, their sum, the sum of their squares


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A part of the VAE's work on x [1, C, h, w]: `part` is "whole", what sees everything at the latent's size, or
    "tile". With `norms` the group norms are held at them; else the reply says what they saw."""

    way: Literal["encode", "decode"]
    part: Literal["whole", "tile"]
    x: Tensor
    norms: Norms | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VaeTile(Call):
    """A call: makes a tile with a model's VAE, or with the one that is named; the reply is a `Tiled`."""

    model: Model
    vae: str
    tile: Tile


register(VaeTile, CallType(run=lambda runner, call: runner.vae_tile(call)))


@dataclass(frozen=True, slots=True, eq=False)
class Tiled:
    """The reply to a `Tile`: its result in fp32, and the sums of its group norms where they were not held."""

    y: Tensor
    sums: Sums


# --- Putting tiles together -----------------------------------------------------------------------


def tiled(
    way: Literal["encode", "decode"],
    x: Tensor,
    scale: int,
    tile: int = TILE,
    overlap: int = OVERLAP,
) -> Generator[Tile, Tiled, Tensor]:
    """The VAE's encoder on pixels [1, 3, H, W] or its decoder on a latent [1, C, h, w], unscaled, tile by tile: yields
    the tiles and returns the whole in fp32. `scale` pixels are one cell of the latent; `tile` and `overlap` are in
    cells."""
    if way == "decode":
        x = (yield Tile(way, "whole", x)).y
        return (yield from _over_tiles(way, x, 1, scale, tile, overlap))
    x = yield from _over_tiles(way, x, scale, 1, tile, overlap)
    return (yield Tile(way, "whole", x)).y


def _over_tiles(
    way: Literal["encode", "decode"], x: Tensor, given: int, got: int, tile: int, overlap: int
) -> Generator[Tile, Tiled, Tensor]:
    """`given` and `got` are how many pixels of what comes in and goes out one cell is."""
    high, wide = x.shape[-2] // given, x.shape[-1] // given
    boxes = [
        (rows, columns)
        for rows in spans(high, tile, overlap)
        for columns in spans(wide, tile, overlap)
    ]

    def cut(box: tuple[slice, slice]) -> Tensor:
        rows, columns = (slice(s.start * given, s.stop * given) for s in box)
        return x[..., rows, columns]

    seen: list[Sums] = []
    for box in boxes:
        seen.append((yield Tile(way, "tile", cut(box))).sums)
    norms = norms_of(seen)
    whole = weight = torch.zeros(())
    for box in boxes:
        part = (yield Tile(way, "tile", cut(box), norms)).y
        if whole.dim() == 0:
            whole = torch.zeros(*part.shape[:2], high * got, wide * got, device=part.device)
            weight = torch.zeros(high * got, wide * got, device=part.device)
        rows, columns = (slice(s.start * got, s.stop * got) for s in box)
        share = _share(box[0], high, overlap, got)[:, None] * _share(box[1], wide, overlap, got)
        share = share.to(part.device)
        whole[..., rows, columns] += part * share
        weight[rows, columns] += share
    return whole / weight


def spans(length: int, tile: int, overlap: int) -> list[slice]:
    """Where tiles of equal length lie along a side: as few as overlap by `overlap` at least, evenly spread."""
    if length <= tile:
        return [slice(0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    return [slice(start, start + tile) for start in starts]


def _share(span: slice, length: int, overlap: int, got: int) -> Tensor:
    """How much a tile counts along one side: 1, falling towards its neighbours over the overlap."""
    share = torch.ones((span.stop - span.start) * got)
    ramp = (torch.arange(overlap * got) + 0.5) / (overlap * got)
    if span.start > 0:
        share[: len(ramp)] = ramp
    if span.stop < length:
        share[-len(ramp) :] = ramp.flip(0)
    return share


def norms_of(seen: list[Sums]) -> Norms:
    """Means and variances over all tiles."""
    norms = {}
    for layer in seen[0]:
        count, total, squares = torch.stack([sums[layer] for sums in seen]).sum(0)
        mean = total / count
        norms[layer] = mean.float(), (squares / count - mean.square()).clamp_min(0).float()
    return norms


# --- Running one ----------------------------------------------------------------------------------


def run_tile(vae: Any, call: Tile) -> Tiled:
    """Makes a tile on diffusers' `AutoencoderKL`, in its dtype."""
    part = PARTS[call.way, call.part]
    x = call.x.to(vae.device, vae.dtype)
    if call.norms is not None:
        with _held(vae, call.norms):
            return Tiled(part(vae, x).float(), {})
    with _measured(vae) as sums:
        return Tiled(part(vae, x).float(), sums)


def _decode_whole(vae: Any, x: Tensor) -> Tensor:
    x = x if vae.post_quant_conv is None else vae.post_quant_conv(x)
    result: Tensor = vae.decoder.mid_block(vae.decoder.conv_in(x), None)
    return result


def _decode_tile(vae: Any, x: Tensor) -> Tensor:
    decoder = vae.decoder
    for block in decoder.up_blocks:
        x = block(x, None)
    result: Tensor = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x)))
    return result


def _encode_tile(vae: Any, x: Tensor) -> Tensor:
    x = vae.encoder.conv_in(x)
    for block in vae.encoder.down_blocks:
        x = block(x)
    return x


def _encode_whole(vae: Any, x: Tensor) -> Tensor:
    """The posterior's mean and log variance."""
    encoder = vae.encoder
    x = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(encoder.mid_block(x))))
    result: Tensor = x if vae.quant_conv is None else vae.quant_conv(x)
    return result


PARTS: Mapping[tuple[str, str], Callable[[Any, Tensor], Tensor]] = {
    ("decode", "whole"): _decode_whole,
    ("decode", "tile"): _decode_tile,
    ("encode", "tile"): _encode_tile,
    ("encode", "whole"): _encode_whole,
}


def _group_norms(vae: Any) -> dict[str, nn.GroupNorm]:
    return {name: layer for name, layer in vae.named_modules() if isinstance(layer, nn.GroupNorm)}


@contextmanager
def _measured(vae: Any) -> Iterator[dict[str, Tensor]]:
    """What the group norms see, by layer."""
    sums: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(layer: nn.GroupNorm, inputs: tuple[Tensor], output: Tensor) -> None:
            groups = inputs[0].reshape(layer.num_groups, -1).float()
            count = torch.full_like(groups[:, 0], groups.shape[1])
            sums[name] = torch.stack([count, groups.sum(1), groups.square().sum(1)]).double().cpu()

        return hook

    hooks = [layer.register_forward_hook(note(name)) for name, layer in _group_norms(vae).items()]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _held(vae: Any, norms: Norms) -> Iterator[None]:
    """The group norms with given means and variances."""
    layers = _group_norms(vae)
    held = [layers[name] for name in norms]
    try:
        for layer, (mean, variance) in zip(held, norms.values(), strict=True):
            layer.__dict__["forward"] = _normed(layer, mean, variance)
        yield
    finally:
        for layer in held:
            layer.__dict__.pop("forward", None)  # what the class says holds again


def _normed(layer: nn.GroupNorm, mean: Tensor, variance: Tensor) -> Callable[[Tensor], Tensor]:
    """A group norm as one scale and one shift per channel."""
    each = layer.num_channels // layer.num_groups
    weight, bias = layer.weight.float(), layer.bias.float()
    scale = weight * (variance.to(weight.device) + layer.eps).rsqrt().repeat_interleave(each)
    shift = bias - mean.to(weight.device).repeat_interleave(each) * scale

    def forward(x: Tensor) -> Tensor:
        return x * scale.to(x.dtype).view(-1, 1, 1) + shift.to(x.dtype).view(-1, 1, 1)

    return forward
