"""Makes the structure of pictures clearer, with a third prediction each step.

It guides away from what the model makes without its self-attention: perturbed-attention guidance (Ahn et al. 2024).

A third prediction is made with the prompt, in which every point of the UNet's middle block sees only itself (its
attention map is the identity). With scale s the denoised latent is

    guided = cfg + s * (cond - perturbed),

so s is added to the weight of the prompt's row, and the perturbed row weighs -s. Works without CFG too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webui.api import (
    Denoise,
    GenerationRequest,
    Group,
    Number,
    Patch,
    Row,
    TaskRun,
    hookimpl,
)

if TYPE_CHECKING:
    from torch import Tensor

__version__ = "1.0"
TITLE = "Perturbed-attention guidance"
NEEDS_API = ">=1.0,<2"

SCALE = Number(
    name="pag_scale",
    label="PAG scale",
    minimum=0,
    maximum=10,
    step=0.5,
    default=0.0,
    info="0 is off, 3 is usual; one more prediction a step",
)


@dataclass(frozen=True, slots=True)
class IdentityAttention(Patch):
    """In the middle block, self-attention gives each point its own value."""

    def touches(self, layer: str) -> bool:
        return layer.startswith("mid_block.") and layer.endswith(".attn1")

    def attention(
        self, layer: str, q: Tensor, k: Tensor, v: Tensor, attend: Callable[..., Tensor]
    ) -> Tensor:
        return v


@hookimpl
def register_controls() -> list[Group]:
    return [Group("Perturbed-attention guidance", (SCALE,))]


@hookimpl
def wrap_denoise(call: Denoise, request: GenerationRequest) -> TaskRun | None:
    scale = request.extras.get(SCALE.name, 0)
    return perturbed(call, scale) if scale else None


def perturbed(call: Denoise, scale: float) -> TaskRun:
    """The reply to `call` with one more row for each that has the prompt; several share the scale by their weights."""
    conds = [row for row in call.rows if row.role == "cond"]
    total = sum(row.counts for row in conds)
    rows: list[Row] = []
    for row in call.rows:
        if row.role == "cond":
            share = scale * (row.counts / total if total else 1 / len(conds))
            rows.append(replace(row, weight=row.weight + share))
            patches = (*row.patches, IdentityAttention())
            rows.append(replace(row, weight=-share, role="other", patches=patches))
        else:
            rows.append(row)
    return (yield replace(call, rows=tuple(rows)))
