"""Easel's own tasks, samplers, schedules and upscalers, registered by the hooks that extensions use."""

from __future__ import annotations

from collections.abc import Sequence

from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.hookspecs import hookimpl
from webui.types import Sampler, Schedule, Task, Upscaler

__all__ = ["register_samplers", "register_schedules", "register_tasks", "register_upscalers"]


@hookimpl
def register_tasks() -> Sequence[Task]:
    return list(TASKS.values())


@hookimpl
def register_samplers() -> Sequence[Sampler]:
    return list(SAMPLERS.values())


@hookimpl
def register_schedules() -> Sequence[Schedule]:
    return list(SCHEDULES.values())


@hookimpl
def register_upscalers() -> Sequence[Upscaler]:
    return list(UPSCALERS.values())
