"""One call of a model's network for the rows of several pictures, and guidance after it.

Knows tensors, rows and patches; which calls share a batch is the scheduler's to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from webui.diffusion.parameterisation import parameterisation
from webui.engine.attention import fault_of
from webui.engine.memory import out_of_memory
from webui.engine.sdxl_conditioning import added_conditions
from webui.errors import EaselError
from webui.types import Denoise, Denoised, Patch, Row, SizeConditioning

if TYPE_CHECKING:
    from webui.engine.extension_networks import ExtensionNetworks
    from webui.engine.networks import Networks

__all__ = ["denoised", "guided", "patched"]


def denoised(
    networks: Networks, calls: Sequence[Denoise], extension_networks: ExtensionNetworks
) -> list[Denoised]:
    """The replies to `calls`, of which one call of the U-Net is made for all rows."""
    owner = [i for i, call in enumerate(calls) for _ in call.rows]
    device, dtype = networks.placement.device, networks.placement.dtype
    predicts = parameterisation(networks.model)
    sigmas = [call.sigma for call in calls]
    x = torch.stack([call.x for call in calls])  # [N, C, h, w]
    scale = torch.tensor([predicts.c_in(s) for s in sigmas], device=device)
    seen = scaled = (x * scale.view(-1, 1, 1, 1)).to(dtype)[owner]  # [R, C, h, w]
    if "concat" in calls[0].inputs:
        extra = torch.stack([call.inputs["concat"] for call in calls]).to(dtype)
        seen = torch.cat([seen, extra[owner]], dim=1)
    texts = [row.context for call in calls for row in call.rows]
    context = torch.stack(texts).to(dtype)  # [R, 77 * chunks, D]
    times = [predicts.timestep(s) for s in sigmas]
    steps = torch.tensor(times, device=device, dtype=torch.float32)[owner]

    added = extension_networks.residuals(
        [c.control_networks for c in calls], owner, scaled, steps, context
    )
    down, mid = added or (None, None)
    with (
        patched(networks, calls),
        extension_networks.blamed(calls[0].control_networks, added, networks.unet),
    ):
        output = networks.unet(
            seen,
            steps,
            context,
            added_cond_kwargs=_added(networks, calls),
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
            return_dict=False,
        )[0].float()

    replies, first = [], 0
    for call, latent in zip(calls, x, strict=True):
        last = first + len(call.rows)
        clean = latent * predicts.c_skip(call.sigma) + output[first:last] * predicts.c_out(
            call.sigma
        )
        replies.append(guided(call, clean))
        first = last
    return replies


def _added(networks: Networks, calls: Sequence[Denoise]) -> dict[str, Tensor] | None:
    """What the U-Net is told beside the texts of all rows; a picture is taken as whole where nobody says else."""
    if not networks.model.pooled_dim:
        return None
    rows: list[Row] = []
    size_conditionings: list[SizeConditioning] = []
    for call in calls:
        scale = networks.model.downscale
        size = (call.x.shape[-1] * scale, call.x.shape[-2] * scale)
        rows += call.rows
        size_conditionings += [call.size_conditioning or SizeConditioning(size, size)] * len(
            call.rows
        )
    return added_conditions(networks, rows, size_conditionings)


@contextmanager
def patched(networks: Networks, calls: Sequence[Denoise]) -> Iterator[None]:
    """The UNet as the patches of `calls` want it: those of the calls, which are equal, and those of rows."""
    rows: dict[tuple[Patch, ...], list[int]] = {}
    for number, row in enumerate(row for call in calls for row in call.rows):
        if row.patches:
            rows.setdefault(row.patches, []).append(number)
    whole, patching = calls[0].patches, networks.patching
    with ExitStack() as undo:
        for patch in whole:
            try:
                undo.enter_context(patch.applied(networks.unet))
            except Exception as error:  # the boundary: an extension's fault has its name
                if isinstance(error, EaselError) or out_of_memory(error):
                    raise
                raise fault_of(patch, error) from error
        patching.whole, patching.rows = whole, rows
        try:
            yield
        finally:
            patching.whole, patching.rows = (), {}


def guided(call: Denoise, predictions: Tensor) -> Denoised:
    """The weighted sum of a call's rows [rows, C, h, w], and its conditional and unconditional parts."""
    rows = call.rows
    denoised = predictions[0] * rows[0].weight
    for row, prediction in zip(rows[1:], predictions[1:], strict=True):
        denoised = denoised + prediction * row.weight
    if not call.separate:
        return Denoised(denoised)
    return Denoised(denoised, _mean(rows, predictions, "cond"), _mean(rows, predictions, "uncond"))


def _mean(rows: Sequence[Row], predictions: Tensor, role: str) -> Tensor | None:
    """What the rows of a role predict together: by their weights, where there are several."""
    found = [(row.weight, p) for row, p in zip(rows, predictions, strict=True) if row.role == role]
    if len(found) < 2:
        return found[0][1] if found else None
    total = sum(weight for weight, _ in found)
    shares = [weight / total if total else 1 / len(found) for weight, _ in found]
    parts = [prediction * share for share, (_, prediction) in zip(shares, found, strict=True)]
    return torch.stack(parts).sum(0)
