"""One call of a model's network for the rows of several pictures, and guidance after it.

Knows tensors, rows and patches; which calls share a batch is the scheduler's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from webui.diffusion.parameterisation import Parameterisation, parameterisation
from webui.engine.control import arguments, blamed, residuals
from webui.engine.families import family_of
from webui.engine.patching import patched
from webui.engine.row_groups import RowGroup, row_groups
from webui.errors import EaselError, RequestError, Sentence
from webui.types import Denoise, Denoised, Model, Row, SizeConditioning
from webui.types.calls import unread

if TYPE_CHECKING:
    from webui.engine.extension_networks import ExtensionNetworks
    from webui.engine.networks import Networks

__all__ = ["Numbers", "RowLayout", "denoised", "guided", "layout"]


def denoised(
    networks: Networks, calls: Sequence[Denoise], extension_networks: ExtensionNetworks
) -> list[Denoised]:
    """The replies to `calls`, of which one call of the network is made for all rows with the same network patches."""
    _must_be_read(networks.model, calls)
    family, place = family_of(networks.model.kind), networks.placement
    rows = layout(tuple(len(call.rows) for call in calls), place.device)
    numbers = Numbers.of(parameterisation(networks.model), calls, place.device)
    x = torch.stack([call.x for call in calls])  # [N, C, h, w]
    seen = scaled = (x * numbers.c_in).to(place.dtype)[rows.owner]  # [R, C, h, w]
    if "concat" in calls[0].inputs:
        extra = torch.stack([call.inputs["concat"] for call in calls]).to(place.dtype)
        seen = torch.cat([seen, extra[rows.owner]], dim=1)
    steps = numbers.timestep[rows.owner]
    told = family.conditioning(networks.model, place, *_rows(networks, calls))

    control = [call.control_networks for call in calls]
    module = extension_networks.module
    added = residuals(control, rows.owner, scaled, steps, told, networks.unet, module)

    groups, parts = row_groups(calls), []
    for group in groups:
        at = slice(None) if len(groups) == 1 else torch.tensor(group.rows, device=place.device)
        named = {name: tensor[at] for name, tensor in told.items()}
        with patched(networks, group), blamed(control[0], added):
            part = family.predict(networks.unet, seen[at], steps[at], named, arguments(added, at))
        parts.append(part.float())
    output = parts[0] if len(groups) == 1 else _in_order(parts, groups)
    clean = (x * numbers.c_skip)[rows.owner] + output * numbers.c_out[rows.owner]
    return guided(calls, rows, clean, numbers.weights)


def _must_be_read(model: Model, calls: Sequence[Denoise]) -> None:
    """Raises `EaselError` for what the UNet does not read, and where an input that it reads is missing."""
    for call in calls:
        if len(call.x) != model.latent_channels:
            raise EaselError(
                Sentence(
                    "model {model} has latents of {latent_channels} channels, and was "
                    "given one of {number}; make latents by its latent_shape",
                    model=repr(model.name),
                    latent_channels=model.latent_channels,
                    number=len(call.x),
                )
            )
        if sentence := unread(model, call.inputs):
            raise EaselError(sentence)
        if model.inpainting and not call.inputs:
            raise RequestError(
                Sentence(
                    "model {model} is for inpainting, and is given no picture to repaint "
                    "here; use another",
                    model=repr(model.name),
                ),
                "model",
            )


def _in_order(parts: Sequence[Tensor], groups: Sequence[RowGroup]) -> Tensor:
    """The rows [R, C, h, w] that were computed in groups, as they were asked for."""
    output = torch.cat(list(parts))
    numbers = [number for group in groups for number in group.rows]
    return output[torch.tensor(numbers, device=output.device).argsort()]


def _rows(networks: Networks, calls: Sequence[Denoise]) -> tuple[list[Row], list[SizeConditioning]]:
    """All rows, and what is said of the picture of each, which is taken as whole where nobody says else."""
    rows: list[Row] = []
    sizes: list[SizeConditioning] = []
    for call in calls:
        scale = networks.model.downscale
        size = (call.x.shape[-1] * scale, call.x.shape[-2] * scale)
        rows += call.rows
        sizes += [call.size_conditioning or SizeConditioning(size, size)] * len(call.rows)
    return rows, sizes


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """What each of N calls, and each of their R rows, is multiplied by, on the device: sent there at once.

    `c_in`, `c_skip`, `c_out` [N, 1, 1, 1], `timestep` [N], `weights` [R, 1, 1, 1], all fp32.
    """

    c_in: Tensor
    c_skip: Tensor
    c_out: Tensor
    timestep: Tensor
    weights: Tensor

    @staticmethod
    def of(network: Parameterisation, calls: Sequence[Denoise], device: torch.device) -> Numbers:
        functions = (network.c_in, network.c_skip, network.c_out, network.timestep)
        values = [function(call.sigma) for function in functions for call in calls]
        weights = [row.weight for call in calls for row in call.rows]
        sent = torch.tensor([*values, *weights], dtype=torch.float32).to(device)
        c_in, c_skip, c_out, timestep, shares = torch.split(sent, [*[len(calls)] * 4, len(weights)])
        wide = (-1, 1, 1, 1)
        return Numbers(
            c_in.view(wide), c_skip.view(wide), c_out.view(wide), timestep, shares.view(wide)
        )


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """Which rows are whose, where calls have `counts` of them. `owner` [R] is the number of each row's call.

    `places` has, for the first row of calls, the second and so on: the calls that have one, and where it stands among
    all rows.
    """

    counts: tuple[int, ...]
    owner: Tensor
    places: tuple[tuple[Tensor, Tensor], ...]


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def layout(counts: tuple[int, ...], device: torch.device) -> RowLayout:
    """The layout of calls with `counts` rows each; made once, since batches stay alike over many steps."""
    firsts = [0, *accumulate(counts)][:-1]
    places = []
    for place in range(max(counts)):
        having = [number for number, count in enumerate(counts) if count > place]
        where = [firsts[number] + place for number in having]
        places.append((torch.tensor(having, device=device), torch.tensor(where, device=device)))
    owner = [number for number, count in enumerate(counts) for _ in range(count)]
    return RowLayout(counts, torch.tensor(owner, device=device), tuple(places))


def guided(
    calls: Sequence[Denoise], rows: RowLayout, predictions: Tensor, weights: Tensor
) -> list[Denoised]:
    """The weighted sums of the calls' rows [R, C, h, w], each row added in its turn, and their conditional and
    unconditional parts."""
    weighted = predictions * weights
    (_, first), *following = rows.places
    sums = weighted[first]
    for having, where in following:
        sums = sums.index_add(0, having, weighted[where])
    own = torch.split(predictions, list(rows.counts))
    return [
        Denoised(whole, *(_mean(call.rows, parts, role) for role in ("cond", "uncond")))
        if call.separate
        else Denoised(whole)
        for call, whole, parts in zip(calls, sums, own, strict=True)
    ]


def _mean(rows: Sequence[Row], predictions: Tensor, role: str) -> Tensor | None:
    """What the rows of a role predict together: by their shares, where there are several."""
    found = [(row.counts, p) for row, p in zip(rows, predictions, strict=True) if row.role == role]
    if len(found) < 2:
        return found[0][1] if found else None
    total = sum(weight for weight, _ in found)
    shares = [weight / total if total else 1 / len(found) for weight, _ in found]
    parts = [prediction * share for share, (_, prediction) in zip(shares, found, strict=True)]
    return torch.stack(parts).sum(0)
