"""Keeps high CFG scales from burning a picture.

Dynamic thresholding (Saharia et al. 2022, section 2.3).

Imagen clips the prediction of the clean picture x0 to [-s, s], with s a percentile of |x0|, and divides by s, so
that it fills the range [-1, 1] of pixels and no more. A latent has no such range. Its place is taken by that of the
prediction at a lower CFG scale, the mimicked one: with m its largest deviation from the mean,

    s = max(m, percentile of |x0 - mean|),   x0 <- mean + clip(x0 - mean, -s, s) * m / s

for each channel of the latent by itself. With a CFG scale up to the mimicked one nothing is done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from webui.api import Denoise, GenerationRequest, Group, Number, TaskRun, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

__version__ = "1.0"
TITLE = "Dynamic thresholding"
NEEDS_API = ">=1.0,<2"

MIMIC = Number(
    name="mimic_scale",
    label="Mimic scale",
    minimum=0,
    maximum=30,
    step=0.5,
    default=0.0,
    info="The CFG scale whose range of values is kept; 0 is off",
)
PERCENTILE = Number(
    name="threshold_percentile",
    label="Threshold percentile",
    minimum=0.9,
    maximum=1,
    step=0.005,
    default=0.995,
    info="Values beyond it are clipped",
)


@hookimpl
def register_controls() -> list[Group]:
    return [Group("Dynamic thresholding", (MIMIC, PERCENTILE))]


@hookimpl
def wrap_denoise(call: Denoise, request: GenerationRequest) -> TaskRun | None:
    scale = request.extras.get(MIMIC.name, 0)
    if not 0 < scale < call.guidance_scale - 1e-6:
        return None
    return thresholded(call, scale, request.extras[PERCENTILE.name])


def thresholded(call: Denoise, scale: float, percentile: float) -> TaskRun:
    """The reply with its guided prediction in the range of the one at CFG scale `scale`."""
    reply = yield call
    if reply.cond is None or reply.uncond is None:  # no guidance, so nothing is burnt
        return reply
    mimicked = reply.uncond + scale * (reply.cond - reply.uncond)
    return replace(reply, denoised=threshold(reply.denoised, mimicked, percentile))


def threshold(x0: Tensor, mimicked: Tensor, percentile: float) -> Tensor:
    """`x0` [C, h, w] in the range of `mimicked` [C, h, w], each channel by itself."""
    import torch

    mean = x0.mean(dim=(1, 2), keepdim=True)
    from_mean = x0 - mean
    m = (mimicked - mimicked.mean(dim=(1, 2), keepdim=True)).abs().amax(dim=(1, 2), keepdim=True)
    s = torch.quantile(from_mean.abs().flatten(1), percentile, dim=1)[:, None, None]
    s = torch.maximum(s, m).clamp(min=1e-8)
    return mean + from_mean.clamp(-s, s) * (m / s)
