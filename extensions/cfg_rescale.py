"""Keeps the contrast of pictures natural at high CFG scales.

It gives a guided prediction the contrast of the unguided one: CFG rescale (Lin et al. 2023, section 3.4).

For what the network predicts (noise, velocity or the picture), with one standard deviation over the whole latent:

    rescaled = cfg * std(cond) / std(cfg)                   (equations 14 and 15)
    result = phi * rescaled + (1 - phi) * cfg               (equation 16)
"""

from __future__ import annotations

from dataclasses import replace

from webui.api import Denoise, GenerationRequest, Group, Number, TaskRun, hookimpl, parameterisation

__version__ = "1.0"
TITLE = "CFG rescale"
NEEDS_API = ">=1.0,<2"

PHI = Number(
    name="cfg_rescale",
    label="CFG rescale",
    minimum=0,
    maximum=1,
    step=0.05,
    default=0.0,
    info="0 is off; 0.7 is the authors' choice",
)


@hookimpl
def register_controls() -> list[Group]:
    return [Group("CFG rescale", (PHI,))]


@hookimpl
def wrap_denoise(call: Denoise, request: GenerationRequest) -> TaskRun | None:
    phi = request.extras.get(PHI.name, 0)
    return rescaled(call, phi) if phi else None


def rescaled(call: Denoise, phi: float) -> TaskRun:
    """The reply with its guided prediction rescaled by `phi`."""
    reply = yield call
    if reply.cond is None or reply.uncond is None:  # no guidance, so nothing to mend
        return reply
    network = parameterisation(call.model)
    c_skip, c_out = network.c_skip(call.sigma), network.c_out(call.sigma)
    cfg = (reply.denoised - c_skip * call.x) / c_out
    cond = (reply.cond - c_skip * call.x) / c_out
    factor = phi * cond.std() / cfg.std() + (1 - phi)
    return replace(reply, denoised=c_skip * call.x + c_out * factor * cfg)
