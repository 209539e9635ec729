"""The Models tab: everything in the models folders, and what is downloaded into them. What it shows goes through our
own HTTP API (assets/models.js); the one thing that it does to the page is to choose the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from webui.registry import Catalog
from webui.ui.send_to import said
from webui.ui.tab import IN_TURN, PRIVATE, menu
from webui.ui.translations import MOUNT, key, keyed

__all__ = ["draw_models", "wire_models"]

HTML = """<section class="easel-models">
  <div class="models-head">
    <div class="models-views" role="group" aria-label="Show">
      <button type="button" data-view="files" aria-pressed="true">Files</button>
      <button type="button" data-view="downloads" aria-pressed="false">Downloads</button>
    </div>
    <div class="models-bar" role="search"></div>
  </div>
  <p class="easel-unseen" aria-live="polite"></p>
  <div class="models-files">
    <div class="models-kinds" role="group" aria-label="Kinds"></div>
    <div class="models-note" hidden></div>
    <div class="models-grid" role="list" aria-label="Model files"></div>
  </div>
  <div class="models-downloads" hidden></div>
</section>"""


def draw_models() -> Any:
    """The tab; its component's event: choose, with the `name` of a checkpoint."""
    with gr.Tab(key("Models"), id="models"):
        return gr.HTML(
            "",
            html_template=keyed(HTML),
            js_on_load=f"{MOUNT}Easel.modelsTab(element, trigger) // 'choose'",
            elem_id="models-root",
            apply_default_css=False,
        )


def wire_models(
    shelf: Any,
    model: Any,
    catalog: Catalog,
    update: Callable[..., list[Any]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
) -> None:
    """Lets the tab choose in the page's menu `model`; `update` is what a choice there does to `outputs`, told `inputs`
    after the model."""

    def choose(event: gr.EventData) -> Any:
        name = said(event, "name")
        known = name in catalog.models()
        return gr.Dropdown(choices=menu(catalog, name), value=name) if known else gr.skip()

    chosen = shelf.choose(choose, None, model, **PRIVATE)
    chosen.then(update, [model, *inputs], list(outputs), preprocess=False, **IN_TURN)
