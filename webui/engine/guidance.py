"""Guidance as weighted rows of one call, and which texts steer which step. How much each weighs is in
`webui.diffusion.guidance`."""

from __future__ import annotations

from collections.abc import Sequence

from webui.diffusion.guidance import remainder, weights
from webui.types import Condition, ControlNetwork, Row, TextCondition
from webui.types.calls import holds

__all__ = ["Plan", "controlling", "rows"]


class Plan:
    """What steers each of a sampling's steps: the first of the conditions that holds there, and the rows of its texts
    that do. `steps` is how many the whole schedule has, `made` are the numbers of those that are made.

    `ValueError` where one of these has nothing to steer it.
    """

    def __init__(
        self, conditions: Sequence[Condition], scale: float, steps: int, made: range
    ) -> None:
        self._conditions = conditions
        self._scale = scale
        self._steps = steps
        self._rows: dict[tuple[int, tuple[int, ...], bool], tuple[Row, ...]] = {}
        for step in made:
            try:
                self.at(step)
            except ValueError as fault:
                raise ValueError(f"step {step + 1} of {steps}: {fault}") from None

    def at(self, step: int, want_uncond: bool = False) -> tuple[Condition, tuple[Row, ...]]:
        """The condition and the rows of a step, from 0."""
        numbers = range(len(self._conditions))
        holding = (i for i in numbers if holds(self._conditions[i].steps, step, self._steps))
        if (number := next(holding, None)) is None:
            raise ValueError("no condition holds")
        cond = self._conditions[number]
        held = [i for i, text in enumerate(cond.texts) if holds(text.steps, step, self._steps)]
        key = number, tuple(held), want_uncond
        if key not in self._rows:
            self._rows[key] = rows([cond.texts[i] for i in held], self._scale, want_uncond)
        return cond, self._rows[key]


def controlling(cond: Condition, step: int, steps: int) -> tuple[ControlNetwork, ...]:
    """The control networks that work at a step of so many: as in diffusers, those whose part holds all of it."""
    return tuple(
        one
        for one in cond.control_networks
        if one.start <= step / steps and (step + 1) / steps <= one.end
    )


def rows(
    texts: Sequence[TextCondition], scale: float, want_uncond: bool = False
) -> tuple[Row, ...]:
    """A row for each text, whose weights sum to 1. The negative texts are left out where they weigh nothing, unless
    somebody wants the unconditional prediction; among them their own weights are shares."""
    conds = [text for text in texts if text.role == "cond"]
    unconds = [text for text in texts if text.role == "uncond"]
    if not conds:
        raise ValueError("no text with the role 'cond' holds at this step; give one that does")
    wanted = [text.weight for text in conds]
    if not (want_uncond or remainder(scale, wanted)):
        return tuple(_row(text, scale * text.weight) for text in conds)
    if not unconds:
        raise ValueError(
            "no text with the role 'uncond' holds at this step, and guidance needs one"
        )
    made = weights(scale, wanted, [text.weight for text in unconds])
    return tuple(map(_row, (*conds, *unconds), (*made[0], *made[1])))


def _row(text: TextCondition, weight: float) -> Row:
    return Row(
        text.context, weight, text.role, text.patches, text.pooled, text.mask, share=text.weight
    )
