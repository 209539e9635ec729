"""The page's foot: one quiet line of what runs here. What it says comes from `/api/state` (assets/footer.js)."""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.ui.queue import TAB as QUEUE
from webui.ui.tab import PRIVATE
from webui.ui.translations import MOUNT, keyed

__all__ = ["draw_footer", "wire_footer"]

FOOT = """<footer class="easel-foot">
<p class="foot-line"><span class="foot-engine" role="status" hidden></span>
<span class="foot-model" translate="no" hidden></span><span class="foot-family" translate="no" hidden></span>
<span class="foot-device" translate="no" hidden></span><span class="foot-dtype" translate="no" hidden></span>
<span class="foot-attention" translate="no" hidden></span></p>
<p class="foot-line"><button type="button" class="foot-queue" title="Open the queue" hidden></button>
<span class="foot-version" translate="no" hidden></span><a href="docs" target="_blank" rel="noopener">HTTP API</a>
<a href="?view=api" class="foot-api">Gradio API</a></p>
</footer>"""


def draw_footer() -> Any:
    """The line; its event `queue` asks for the queue's tab."""
    return gr.HTML(
        "",
        html_template=keyed(FOOT),
        js_on_load=f"{MOUNT}Easel.footer(element, trigger) // 'queue'",
        elem_id="easel-foot",
        apply_default_css=False,
    )


def wire_footer(foot: Any, bar: Any) -> None:
    foot.queue(lambda: gr.Tabs(selected=QUEUE), None, bar, **PRIVATE)
