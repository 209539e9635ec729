"""Classifier-free guidance (Ho & Salimans 2022): a prediction with the text, moved away from that without it."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["guided"]

L = TypeVar("L")  # a float or a tensor


def guided(uncond: L, cond: L, scale: float) -> L:
    """uncond + scale * (cond - uncond), of predictions of one kind: x0, noise, v and flow are linear in each other at
    one noise level, so guiding one guides all."""
    without: Any = uncond
    moved: L = without + scale * (cond - without)
    return moved
