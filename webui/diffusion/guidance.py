"""Classifier-free guidance (Ho & Salimans 2022): a prediction with the text, moved away from that without it; of one
text, and of several (Liu et al. 2022, composed diffusion)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["guided", "remainder", "weights"]

ROUNDING = 1e-9  # of weights that sum to 1

L = TypeVar("L")  # a float or a tensor


def guided(uncond: L, cond: L, scale: float) -> L:
    """uncond + scale * (cond - uncond), of predictions of one kind: x0, noise, v and flow are linear in each other at
    one noise level, so guiding one guides all."""
    without: Any = uncond
    moved: L = without + scale * (cond - without)
    return moved


def weights(
    scale: float, conds: Sequence[float], unconds: Sequence[float] = (1.0,)
) -> tuple[list[float], list[float]]:
    """`guided` as the weights of a sum: what each prediction with a text counts, and each without. They sum to 1.

    The texts w_i steer together: uncond + scale * sum of w_i * (cond_i - uncond) (Liu et al. 2022, equation 11). The
    weights of `unconds` are shares of the prediction without a text; `ValueError` where they sum to 0.
    """
    rest, total = remainder(scale, conds), math.fsum(unconds)
    if not total:
        raise ValueError("the weights of the texts with the role 'uncond' sum to 0")
    return [scale * weight for weight in conds], [rest * (weight / total) for weight in unconds]


def remainder(scale: float, conds: Sequence[float]) -> float:
    """What the prediction without a text counts beside texts of these weights; 0 for what is only rounding."""
    rest = 1 - scale * math.fsum(conds)
    return rest if abs(rest) > ROUNDING else 0.0
