"""Classifier-free guidance as weighted rows of one call: the one place that knows it.

Ho & Salimans 2022: denoised = uncond + scale * (cond - uncond) = scale * cond + (1 - scale) * uncond.
"""

from __future__ import annotations

from webui.types import Row, TextCondition

__all__ = ["rows"]


def rows(text: TextCondition, scale: float, want_uncond: bool = False) -> tuple[Row, ...]:
    """Two rows; one when `scale` is 1, unless somebody wants the unconditional prediction."""
    cond = Row(text.cond, scale, "cond", pooled=text.pooled_cond)
    if scale == 1 and not want_uncond:
        return (cond,)
    return (cond, Row(text.uncond, 1 - scale, "uncond", pooled=text.pooled_uncond))
