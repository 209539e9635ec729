"""What would fit where a picture is too large for the memory: found out by trying smaller ones.

A formula would have to know every network, attention and device. What is too large fails at once, when it asks for the
memory, so what this costs is about one call of the size that fits.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import torch

from webui.engine.memory import starved
from webui.errors import CapacityError, Sentence
from webui.types import Call, Decode, Denoise, Encode, EncodeText, Residuals

if TYPE_CHECKING:
    from webui.engine.runner import Runner

__all__ = ["too_large"]

log = logging.getLogger(__name__)
STEP = 64  # pixels: sizes that every model takes
PARTS = tuple(Fraction(*part) for part in ((3, 4), (1, 2), (3, 8), (1, 4), (1, 8), (1, 16)))


def too_large(runner: Runner, call: Call | None) -> CapacityError:
    """What to say of a call for which the memory does not suffice even with all that there is."""
    device = runner.placement.device
    if isinstance(call, EncodeText):
        return CapacityError(
            Sentence(
                "not enough memory on {device} for this text: write a shorter prompt, "
                "or take a smaller model",
                device=device,
            )
        )
    if not isinstance(call, Denoise | Decode | Encode):
        return CapacityError(
            Sentence(
                "not enough memory on {device} for this: make a smaller picture, or "
                "take a smaller model",
                device=device,
            )
        )
    width, height = size_of(call)
    fitting = next(
        (size for size in smaller(width, height) if fits(runner, call, *size)),
        None,
    )
    asked = Sentence(
        "not enough memory on {device} for {width} x {height}",
        device=device,
        width=width,
        height=height,
    )
    if fitting is None:
        return CapacityError(
            Sentence(
                "{asked}, nor for much less: close other programs, or take a smaller model",
                asked=asked,
            )
        )
    return CapacityError(
        Sentence(
            "{asked}; {width} x {height} would fit",
            asked=asked,
            width=fitting[0],
            height=fitting[1],
        )
    )


def size_of(call: Denoise | Decode | Encode) -> tuple[int, int]:
    """The pixels that a call is about."""
    if isinstance(call, Encode):
        return call.pixels.shape[-1], call.pixels.shape[-2]
    latent = call.x if isinstance(call, Denoise) else call.latent
    scale = call.model.downscale
    return latent.shape[-1] * scale, latent.shape[-2] * scale


def smaller(width: int, height: int) -> list[tuple[int, int]]:
    """Sizes of about the same proportions, the largest first."""
    found: list[tuple[int, int]] = []
    for part in PARTS:
        sides = [int(side * part) // STEP * STEP for side in (width, height)]
        size = (max(STEP, sides[0]), max(STEP, sides[1]))
        if size[0] * size[1] < width * height and size not in found:
            found.append(size)
    return found


def fits(runner: Runner, call: Denoise | Decode | Encode, width: int, height: int) -> bool:
    """Whether a call like this one can be made of that size. (The VAE goes on in tiles where it has to.)"""
    try:
        runner.run([like(call, width, height)])
    except Exception as error:  # the boundary: a size that cannot be tried is not recommended
        if not starved(error):
            log.warning("whether %d x %d fits cannot be tried: %s", width, height, error)
        runner.put_away(call.model)
        return False
    return True


def like(call: Denoise | Decode | Encode, width: int, height: int) -> Call:
    """The call of another size, with the networks that add to it: what they see and give is scaled along."""
    if isinstance(call, Encode):
        return replace(call, pixels=empty(call.pixels, width, height))
    w, h = width // call.model.downscale, height // call.model.downscale
    if isinstance(call, Decode):
        return replace(call, latent=empty(call.latent, w, h))
    inputs = {name: empty(given, w, h) for name, given in call.inputs.items()}
    scale = Scale((call.x.shape[-2], h), (call.x.shape[-1], w))
    control = tuple(
        replace(
            one,
            inputs={name: scale.of(given) for name, given in one.inputs.items()},
            residuals=None if one.residuals is None else scaled(one.residuals, scale),
        )
        for one in call.control_networks
    )
    return replace(call, x=empty(call.x, w, h), inputs=inputs, control_networks=control)


class Scale(NamedTuple):
    """From one size of a latent to another: (before, after) for its rows and its columns."""

    rows: tuple[int, int]
    columns: tuple[int, int]

    def of(self, given: torch.Tensor) -> torch.Tensor:
        """A tensor whose last two dimensions lie over the latent (its pixels, or a coarser grid), as empty one; one
        without such dimensions, as it is."""
        if given.dim() < 3:
            return given
        sides = [
            _side(length, *both)
            for length, both in zip(given.shape[-2:], (self.rows, self.columns), strict=True)
        ]
        return torch.zeros(*given.shape[:-2], *sides, dtype=given.dtype, device=given.device)


def _side(length: int, before: int, after: int) -> int:
    """A side of a grid that is finer or coarser than the latent by a whole factor."""
    if length >= before:
        return round(length / before) * after
    coarser = round(before / length)
    return -(-after // coarser)


def scaled(residuals: Residuals, scale: Scale) -> Residuals:
    """What a control network has given, as if for another size."""

    def of(given: torch.Tensor | None) -> torch.Tensor | None:
        return None if given is None else scale.of(given)

    return Residuals(
        tuple(map(of, residuals.skips)), of(residuals.middle), tuple(map(of, residuals.blocks))
    )


def empty(given: torch.Tensor, width: int, height: int) -> torch.Tensor:
    return torch.zeros(given.shape[0], height, width, dtype=given.dtype, device=given.device)
