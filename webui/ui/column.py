"""The settings column of a task: its groups, folded or open, and what helps with single controls.

Everything here follows from the controls; a task of an extension gets the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gradio as gr

from webui.defaults import FIELDS
from webui.types import Control, Group, Mask, Seed, Side, Task
from webui.ui.sizes import draw_shapes, draw_swap
from webui.ui.translations import MOUNT, key, keyed

__all__ = ["draw_column"]

SEED_TOOLS = """<div class="easel-seed-tools">
<button type="button" data-act="dice" aria-label="Random seed" title="Random: a new one each time">
<svg viewBox="0 0 20 20" aria-hidden="true"><rect x="3" y="3" width="14" height="14" rx="3.5"/>
<circle cx="7" cy="7" r="1.3"/><circle cx="13" cy="13" r="1.3"/><circle cx="13" cy="7" r="1.3"/>
<circle cx="7" cy="13" r="1.3"/></svg></button>
<button type="button" data-act="reuse" aria-label="Reuse seed" title="The seed of the picture that is shown">
<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4.5 8.5A6 6 0 0 1 15 6.2L16.5 8M16.5 4v4h-4"/>
<path d="M15.5 11.5A6 6 0 0 1 5 13.8L3.5 12M3.5 16v-4h4"/></svg></button></div>"""
HEADING = '<h2 class="easel-heading">Extensions</h2>'

Put = Callable[[Control], None]
Shapes = Mapping[tuple[str, str], Any]


def draw_column(
    task: Task, items: Sequence[Control | Group], defaults: Mapping[str, Any], put: Put
) -> Shapes:
    """Draws `items` of a task: what every task has comes first, groups of extensions stand folded under a heading.
    `put` draws one control. Gives the buttons of the sizes by the names of their sides."""
    shapes: dict[tuple[str, str], Any] = {}

    def draw_group(group: Group) -> None:
        shapes.update(_draw_group(task, group, defaults, put))

    groups = [item for item in items if isinstance(item, Group)]
    ours = [group for group in groups if group.open or not of_extension(group)]
    for item in items:
        if not isinstance(item, Group):
            put(item)
        elif item in ours:
            draw_group(item)
    others = [group for group in groups if group not in ours and any(map(drawn, group.controls))]
    if others:
        gr.HTML(
            keyed(HEADING),
            js_on_load=MOUNT,
            elem_classes="easel-heading-block",
            apply_default_css=False,
        )
        with gr.Column(elem_classes="easel-others"):
            for group in others:
                draw_group(group)
    return shapes


def of_extension(group: Group) -> bool:
    """Whether a group has no field of a request in it."""
    return all(control.name not in FIELDS for control in group.controls)


def drawn(control: Control) -> bool:
    """Whether a control has a place of its own in a group: a mask lies over its picture, what all tasks share stands
    above them."""
    return not (control.hidden or control.shared or isinstance(control, Mask))


def _draw_group(task: Task, group: Group, defaults: Mapping[str, Any], put: Put) -> Shapes:
    for control in group.controls:
        if control.shared:
            put(control)
    controls = [control for control in group.controls if drawn(control)]
    if not controls:
        return {}
    titles = dict.fromkeys(control.advanced for control in controls if control.advanced)
    shapes: dict[tuple[str, str], Any] = {}
    with folding(group.label, group.open):
        for row in rows(control for control in controls if not control.advanced):
            shapes |= _draw_row(task, row, defaults, put)
        for title in titles:
            with folding(title, False, "easel-inner"):
                for row in rows(control for control in controls if control.advanced == title):
                    shapes |= _draw_row(task, row, defaults, put)
    return shapes


def rows(controls: Iterable[Control]) -> list[list[Control]]:
    """Controls that stand beside each other, the others alone."""
    found: dict[str, list[Control]] = {}  # the row of each
    for control in controls:
        row = found.get(control.beside, [])
        row.append(control)
        found[control.name] = row
    return list({id(row): row for row in found.values()}.values())


def folding(label: str, opened: bool, *classes: str) -> Any:
    """A group with a title to fold it. Folding is the page's own (assets/accordion.js): Gradio draws what stands in a
    closed accordion when it is opened, so the page opens the folded ones for Gradio once it can be used, one after the
    other, and what stands in them exists from then on, and their titles can tell of it."""
    state = ("easel-open",) if opened else ("easel-folded",)
    return gr.Accordion(key(label), open=opened, elem_classes=["easel-group", *state, *classes])


def _draw_row(task: Task, row: Sequence[Control], defaults: Mapping[str, Any], put: Put) -> Shapes:
    match row:
        case [Side() as width, Side() as height]:
            ids = [f"{task.name}-{side.name}" for side in (width, height)]
            with gr.Row(elem_classes="easel-sides"):
                put(width)
                draw_swap(ids)
                put(height)
            size = [int(defaults.get(side.name) or side.minimum) for side in (width, height)]
            return {(width.name, height.name): draw_shapes(ids, *size)}
        case [control]:
            _draw_one(control, put)
        case _:
            with gr.Row(elem_classes="easel-beside"):
                for control in row:
                    _draw_one(control, put)
    return {}


def _draw_one(control: Control, put: Put) -> None:
    if not isinstance(control, Seed):
        put(control)
        return
    with gr.Row(elem_classes="easel-seed"):
        put(control)
        gr.HTML(
            keyed(SEED_TOOLS),
            js_on_load=f"{MOUNT}Easel.seedTools(element, {json.dumps(control.infotext)})",
            elem_classes="easel-seed-block",
            apply_default_css=False,
        )
