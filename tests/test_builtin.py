"""What we register ourselves comes in by the hooks that extensions use, unchanged and first."""

from __future__ import annotations

from pathlib import Path

from webui import builtin, plugins
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.types import Places


def test_our_own_parts_arrive_as_they_are_and_are_no_extension():
    places = Places(Path("data"), (), Path("outputs"))
    made = plugins.load(builtin, (), places, api_version="1.0", entries=())
    assert made.statuses() == []
    parts = made.parts
    assert list(parts.samplers.items()) == list(SAMPLERS.items())
    assert list(parts.schedules.items()) == list(SCHEDULES.items())
    assert list(parts.upscalers.items()) == list(UPSCALERS.items())
    assert list(parts.tasks.items()) == list(TASKS.items())
    assert all(parts.samplers[name] is SAMPLERS[name] for name in SAMPLERS)  # no guard, no cost
    assert (parts.conditioners, parts.postprocessors, parts.wrappers) == ((), (), ())
