"""The built-in samplers by the names that users see. docs/samplers.md tells how to write another.

A sampler knows one latent and its noise levels; it knows no model, batch, device or random state.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webui.engine.samplers.ancestral import ddim, ddpm, euler_ancestral
from webui.engine.samplers.dpmpp_2m import dpmpp_2m
from webui.engine.samplers.euler import euler
from webui.engine.samplers.heun import heun
from webui.engine.samplers.lms import lms
from webui.engine.samplers.plms import plms
from webui.types import ETA, Sampler

__all__ = ["SAMPLERS"]

_ALL = (
    Sampler("DPM++ 2M", dpmpp_2m, schedule="karras", aliases=("k_dpmpp_2m", "dpmpp_2m")),
    Sampler(
        "Euler a",
        euler_ancestral,
        aliases=("k_euler_a", "k_euler_ancestral", "euler_ancestral"),
        options=(ETA,),
    ),
    Sampler("Euler", euler, aliases=("k_euler",)),
    Sampler("LMS", lms, aliases=("k_lms",)),
    Sampler("Heun", heun, aliases=("k_heun",)),
    Sampler("DDIM", ddim, options=(ETA,)),
    Sampler("DDPM", ddpm),
    Sampler("PLMS", plms),
)
SAMPLERS: Mapping[str, Sampler] = MappingProxyType({sampler.name: sampler for sampler in _ALL})
