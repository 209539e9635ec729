"""What the contract checks are made with: an engine's parts, a small request, pictures, values for controls."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from webui.catalog.checkpoints import list_models
from webui.defaults import FIELDS
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.tasks import TASKS
from webui.engine.upscalers import UPSCALERS
from webui.testing.models import tiny_models
from webui.types import (
    NAMED_OPTIONS,
    Choice,
    Control,
    GenerationRequest,
    Mask,
    Number,
    Parts,
    Picture,
    Seed,
    Switch,
    Task,
    Text,
)

if TYPE_CHECKING:
    from webui.engine.runner import Runner

__all__ = [
    "PARTS",
    "example_mask",
    "example_picture",
    "example_request",
    "example_values",
    "tiny_runner",
]

PARTS = Parts(TASKS, SAMPLERS, SCHEDULES, UPSCALERS)  # what is built in
WIDTH, HEIGHT = 96, 64  # not square, so that the two cannot be mistaken


@cache
def tiny_runner() -> Runner:
    """The networks of a tiny random model in float32 on the CPU, made when first asked for, one for the process."""
    from webui.engine.placement import place
    from webui.engine.runner import Runner

    root = Path(tempfile.mkdtemp(prefix="easel-testkit-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    cards = list_models([tiny_models(root)])  # which nobody changes
    return Runner(lambda: cards, place("cpu", "float32", "sdpa"))


def example_picture(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """An RGB picture: colours that change smoothly, with a white square and a black line on them."""
    sideways = Image.linear_gradient("L").rotate(90).resize((width, height))
    down = Image.linear_gradient("L").resize((width, height))
    picture = Image.merge("RGB", (sideways, down, Image.new("L", (width, height), 90)))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((width // 8, height // 8, width // 3, height // 2), fill="white")
    pen.line((0, height, width, 0), fill="black", width=2)
    return picture


def example_mask(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A mask whose right half is to be repainted."""
    mask = Image.new("L", (width, height))
    mask.paste(255, (width // 2, 0, width, height))
    return mask


def example_request(
    task: Task, extras: Mapping[str, Any] | None = None, **values: Any
) -> GenerationRequest:
    """A small request to the tiny model for `task`, with every control of an extension filled in.

    A picture and a mask are given where the task asks for them; extras that are not in `extras` are at their
    controls' defaults; `values` are further fields of the request.
    """
    controls = {control.name: control for control in task.flat_controls()}
    given: dict[str, Any] = {
        "task": task.name, "model": "tiny", "sampler_name": "Euler", "seed": 1, "steps": 3, "cfg_scale": 4.0,
        "width": WIDTH, "height": HEIGHT, "prompt": "a red cat on the grass", "negative_prompt": "dog",
    }  # fmt: skip
    if "image" in controls:
        given["image"] = example_picture(WIDTH, HEIGHT)
    if "mask" in controls:
        given["mask"] = example_mask(WIDTH, HEIGHT)
    defaults = {name: one.default for name, one in controls.items() if name not in FIELDS}
    options = {name: values.pop(name) for name in NAMED_OPTIONS if name in values}
    return GenerationRequest(
        **{**given, **values}, extras={**defaults, **options, **(extras or {})}
    )


def example_values(controls: Iterable[Control]) -> dict[str, Any]:
    """For each control a value that is not its default, where there is one to guess: what is off goes on.

    The middle of a range, the least of a whole number's, the other position of a switch, the last choice,
    two words, a picture. A control that names something of a registry, or is hidden, keeps its default.
    """
    return {control.name: _example_value(control) for control in controls}


def _example_value(control: Control) -> Any:
    if control.hidden:
        return control.default
    match control:
        case Number(whole=True):
            low = int(control.minimum)
            return low if low != control.default else low + int(max(1, control.step))
        case Number():
            middle = (control.minimum + control.maximum) / 2
            value = control.minimum + control.step * round(
                (middle - control.minimum) / control.step
            )
            return float(value if value != control.default else control.maximum)
        case Switch():
            return not control.default
        case Choice(source="", choices=choices) if choices:
            return choices[-1][1] if choices[-1][1] != control.default else choices[0][1]
        case Text():
            return "blue dog"
        case Picture():
            return example_picture()
        case Mask():
            return example_mask()
        case Seed():
            return 7
    return control.default
