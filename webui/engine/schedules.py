"""The sampling schedules by name, and which one a sampler runs with. Their mathematics is in `webui.diffusion`."""

from __future__ import annotations

from collections.abc import Mapping

from webui.diffusion.noise_schedules import model_sigmas
from webui.diffusion.sampling_schedules import AUTOMATIC, SCHEDULES
from webui.types import Sampler, Schedule

__all__ = ["AUTOMATIC", "SCHEDULES", "model_sigmas", "resolve"]


def resolve(
    scheduler: str, sampler: Sampler, schedules: Mapping[str, Schedule] = SCHEDULES
) -> Schedule:
    """The schedule that runs: `automatic` is the sampler's usual one. Names are exact."""
    return schedules[sampler.schedule if scheduler == AUTOMATIC else scheduler]
