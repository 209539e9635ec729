"""Control networks: run for the rows of a UNet call, and what they add to it.

Knows tensors, and the residuals that diffusers' UNet takes; knows no request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from webui.engine.extension_networks import like, named
from webui.errors import ExtensionError, Sentence
from webui.types import ControlNetwork, Network, Residuals

__all__ = ["arguments", "blamed", "residuals"]

Parts = list[Tensor | None]
SHAPES = "must match the size of tensor"  # how torch says it


def residuals(
    pictures: Sequence[Sequence[ControlNetwork]],
    owner: Tensor,
    x: Tensor,
    steps: Tensor,
    conditioning: Mapping[str, Tensor],
    unet: nn.Module,
    module: Callable[[Network], nn.Module],
) -> Residuals | None:
    """What the control networks of a batch add to `unet`, each run once for all rows; None where there are none.

    `pictures` are those of each call, equal networks at equal places; `owner` [R] tells which call a row is of.
    x [R, C, h, w], steps [R], `conditioning` as `ControlNetwork` says. `module(network)` is the network itself.
    `ExtensionError` names the network that fails, or that adds what has no place in the UNet.
    """
    total: Residuals | None = None
    for same in zip(*pictures, strict=True):
        network = same[0].network
        if same[0].residuals is not None:
            given = _of_pictures([one.residuals or Residuals() for one in same], owner)
        else:
            given = _run(module(network), same, owner, x, steps, conditioning)
        _must_fit(network, given, unet)
        weights = torch.tensor([one.weight for one in same], device=x.device, dtype=x.dtype)[owner]
        try:
            added = _each(given, partial(_times, weights=weights, dtype=x.dtype))
            total = added if total is None else _plus(total, added)
        except RuntimeError as error:
            if SHAPES not in str(error):
                raise
            raise _unfit(network) from error
    return total


def _run(
    module: nn.Module,
    same: Sequence[ControlNetwork],
    owner: Tensor,
    x: Tensor,
    steps: Tensor,
    conditioning: Mapping[str, Tensor],
) -> Residuals:
    network = same[0].network
    told = {k: v if k == "sizes" else like(module, v) for k, v in conditioning.items()}
    with named(network):
        inputs = {
            name: torch.stack([like(module, one.inputs[name]) for one in same])[owner]
            for name in same[0].inputs
        }
        given = module(like(module, x), steps, told, **inputs)
        if not isinstance(given, Residuals):
            raise TypeError(f"it gave {type(given).__name__}; give Residuals")
    return given


def _of_pictures(given: Sequence[Residuals], owner: Tensor) -> Residuals:
    """Residuals [1, ...] of each picture as those of all rows."""

    def rows(parts: Sequence[Tensor | None]) -> Tensor | None:
        there = next((part for part in parts if part is not None), None)
        if there is None:
            return None
        whole = [torch.zeros_like(there) if part is None else part for part in parts]
        return torch.cat(whole)[owner]

    def places(lists: list[Sequence[Tensor | None]]) -> Parts:
        return [rows(parts) for parts in zip(*lists, strict=True)]

    return Residuals(
        places([one.skips for one in given]),
        rows([one.middle for one in given]),
        places([one.blocks for one in given]),
    )


def _each(given: Residuals, change: Callable[[Tensor], Tensor]) -> Residuals:
    def changed(part: Tensor | None) -> Tensor | None:
        return None if part is None else change(part)

    return Residuals(
        [changed(part) for part in given.skips],
        changed(given.middle),
        [changed(part) for part in given.blocks],
    )


def _times(part: Tensor, weights: Tensor, dtype: torch.dtype) -> Tensor:
    return part.to(dtype) * weights.view(-1, *[1] * (part.dim() - 1))


def _plus(one: Residuals, other: Residuals) -> Residuals:
    def both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        if a is None or b is None:
            return b if a is None else a
        return a + b

    def places(a: Sequence[Tensor | None], b: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return [both(*parts) for parts in zip(a, b, strict=True)] if a and b else a or b

    return Residuals(
        places(one.skips, other.skips),
        both(one.middle, other.middle),
        places(one.blocks, other.blocks),
    )


# --- The UNet's side ------------------------------------------------------------------------------


def arguments(added: Residuals | None, rows: Tensor | slice) -> dict[str, Any]:
    """What diffusers' `UNet2DConditionModel` is called with, for some of the rows. It takes residuals for all places or
    none, so a 0 stands where nothing is added."""
    if added is None:
        return {}
    some = next((p for p in (*added.skips, added.middle, *added.blocks) if p is not None), None)
    if some is None:
        return {}
    nothing = some.new_zeros(())

    def at(part: Tensor | None) -> Tensor:
        return nothing if part is None else part[rows]

    given: dict[str, Any] = {}
    if added.skips or added.middle is not None:
        skips = added.skips or [None] * SKIPS_MAX
        given["down_block_additional_residuals"] = tuple(map(at, skips))
        given["mid_block_additional_residual"] = at(added.middle)
    if added.blocks:
        given["down_intrablock_additional_residuals"] = list(map(at, added.blocks))
    return given


SKIPS_MAX = 64  # more than any UNet has; diffusers leaves out those beyond its own


def _must_fit(network: Network, given: Residuals, unet: nn.Module) -> None:
    """Raises for residuals that are fewer or more than the UNet's places: diffusers would add those that there are and
    say nothing of the others."""
    blocks = getattr(unet, "down_blocks", None)
    if blocks is None:
        return
    skips = 1 + sum(
        len(block.resnets) + len(getattr(block, "downsamplers", None) or ()) for block in blocks
    )
    if (given.skips and len(given.skips) != skips) or (
        given.blocks and len(given.blocks) != len(blocks)
    ):
        raise _unfit(network)


@contextmanager
def blamed(control_networks: Sequence[ControlNetwork], added: Residuals | None) -> Iterator[None]:
    """Around the UNet call that gets residuals: where they do not fit, it is the fault of the network they are of."""
    if added is None or not control_networks:
        yield
        return
    network = control_networks[0].network
    with named(network):
        try:
            yield
        except RuntimeError as error:
            if SHAPES not in str(error):
                raise
            raise _unfit(network) from error


def _unfit(network: Network) -> ExtensionError:
    what = Sentence(
        "what it adds has another shape than this model takes; use one that "
        "was made for models like this"
    )
    return ExtensionError(network.owner, f"network {os.path.basename(network.key)}", what)
