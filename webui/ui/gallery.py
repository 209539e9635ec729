"""The Gallery tab: everything under outputs/. All that it does goes through our own HTTP API (assets/gallery.js)."""

from __future__ import annotations

from collections.abc import Iterable

import gradio as gr

from webui.types import Picture, Task
from webui.ui.gradio_adapter import literal
from webui.ui.translations import MOUNT, key, keyed

__all__ = ["draw_gallery"]

HTML = """<section class="easel-gallery">
  <div class="gallery-bar" role="search"></div>
  <div class="gallery-status"><p class="gallery-count"></p><div class="gallery-thrown" hidden></div></div>
  <p class="easel-unseen" aria-live="polite"></p>
  <div class="gallery-note" hidden></div>
  <div class="gallery-grid" role="grid" aria-label="Pictures" aria-multiselectable="true"></div>
  <button type="button" class="gallery-fresh" title="Show the new pictures" hidden><span></span></button>
  <div class="gallery-picks" role="toolbar" aria-label="What to do with the selected pictures" hidden></div>
</section>"""


def draw_gallery(tasks: Iterable[Task] = ()) -> None:
    """The tab. `tasks` are those that its pictures may be of, and may be handed to."""
    listed = list(tasks)
    about = {
        "tasks": {task.name: task.label for task in listed},
        "takes": [[task.name, task.label] for task in listed if takes_picture(task)],
    }
    with gr.Tab(key("Gallery"), id="gallery"):
        gr.HTML(
            "",
            html_template=keyed(HTML),
            js_on_load=f"{MOUNT}Easel.gallery(element, {literal(about)})",
            elem_id="gallery-root",
            apply_default_css=False,
        )


def takes_picture(task: Task) -> bool:
    """Whether a task starts from a picture."""
    return any(c.name == "image" and isinstance(c, Picture) for c in task.flat_controls())
