"""Once more what a picture was made with, from the page: again, or varied. The form has no part in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from webui.defaults import complete, drawn_seed, from_infotext
from webui.errors import EaselError
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import DEFAULTS, FIELDS, EngineFace, Mask, Picture, Seed, Task
from webui.ui.controls import request_values
from webui.ui.send_to import FORGET, said
from webui.ui.visitors import Visitors

__all__ = ["VARIED", "submit_again"]

VARIED = 0.2  # how much of a new noise "Vary" mixes in


def submit_again(
    event: gr.EventData,
    request: gr.Request,
    form: Callable[[], Mapping[str, Any]],
    task: Task,
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    visitors: Visitors,
) -> str:
    """The job that asks once more for what the page's event names: the request of the job that made the picture
    (`job`), with a new seed, or with `vary` the picture's own `seed` and some of another's noise.

    Of a job that is not known any more it is what the picture's text (`parameters`) says, with the pictures of `form`,
    the form's values as `complete` takes them. Raises `EaselError`. Not for an event loop's own thread.
    """
    vary, seed = getattr(event, "vary", False) is True, getattr(event, "seed", None)
    owner = visitors.of(request).owner
    try:
        job = visitors.status(engine, getattr(event, "job", None), request)
        if job.request.task == task.name:
            return engine.repeat(job.id, owner, changed(vary, seed, job.request.seed))
    except EaselError:
        pass  # it ended long ago, or the pictures that it was given are gone
    values = dict(from_infotext(said(event, "parameters"), task, catalog).values)
    if "<" not in str(values.get("prompt", "")):
        values.pop("missing", None)  # there is no tag that it would be about
    values |= {"subseed": -1, "subseed_strength": VARIED} if vary else FORGET
    controls = task.flat_controls()
    names = {control.name for control in controls}
    found = request_values(controls, {name: values[name] for name in values if name in names})
    now = form()
    for control in controls:
        if isinstance(control, Picture | Mask) and control.name in FIELDS:
            found[control.name] = now.get(control.name)
        elif isinstance(control, Picture | Mask) and control.name in now.get("extras", {}):
            found.setdefault("extras", {})[control.name] = now["extras"][control.name]
    return engine.submit(complete(task.name, found, catalog, settings), owner)


def changed(vary: bool, seed: object, first: int) -> dict[str, Any]:
    """Of a request's fields those that are others when it is asked for once more. `seed` is the picture's own, `first`
    that of the first picture of its job."""
    if vary:
        own = seed if isinstance(seed, int) and not isinstance(seed, bool) else first
        return {"seed": own, "subseed": drawn_seed(), "subseed_strength": VARIED}
    changes: dict[str, Any] = {}
    for name, control in FIELDS.items():
        if isinstance(control, Seed):
            changes[name] = 0 if control.when else drawn_seed()
            changes |= {control.when: DEFAULTS[control.when]} if control.when else {}
    return changes
