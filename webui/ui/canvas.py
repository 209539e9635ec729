"""A picture that a person gives, and the mask painted over it: one component (assets/canvas.js).

Its value is `{"image": {"path", "url"} or None, "mask": PNG data URL or "", "width", "height"}`; the
mask is white where it is painted and of the picture's size (at most 2048 on its longer side). Nothing is
sent to the server while somebody paints: the value travels when an event takes it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import gradio as gr

__all__ = ["NOTHING", "canvas"]

NOTHING: Mapping[str, Any] = {"image": None, "mask": "", "width": 0, "height": 0}

HTML = """<div class="canvas-head"><span class="canvas-label">{label}</span>
  <button type="button" class="canvas-remove" hidden>Remove</button></div>
<label class="canvas-drop"><input type="file" accept="image/*" class="easel-unseen" aria-label="{label}: choose a file">
  <b>Choose a picture</b><span>or drop or paste it here</span></label>
{view}<p class="canvas-note" role="alert"></p>"""

VIEW = """<div class="canvas-view" hidden><img alt="The picture to work on"></div>
"""

PAINT = """<div class="canvas-view" tabindex="0" role="application" aria-label="Paint over what should change" hidden>
  <img alt="The picture to work on"><canvas></canvas><div class="canvas-brush" hidden></div></div>
<div class="canvas-tools" role="toolbar" aria-label="Mask tools" hidden>
  <button type="button" data-tool="brush" aria-pressed="true">Brush</button>
  <button type="button" data-tool="eraser" aria-pressed="false" title="Key E">Eraser</button>
  <label>Size <input type="range" min="1" max="100" value="20" aria-label="Brush size" title="Keys [ and ]"></label>
  <button type="button" data-act="undo" title="Ctrl+Z">Undo</button>
  <button type="button" data-act="invert">Invert</button>
  <button type="button" data-act="clear">Clear</button>
</div>
"""


def canvas(label: str, elem_id: str, masked: bool) -> Any:
    """The component; `masked` adds the mask's tools. Its event `pick` says that the picture changed."""
    return gr.HTML(
        dict(NOTHING),
        html_template=HTML.format(label=_plain(label), view=PAINT if masked else VIEW),
        js_on_load="Easel.canvas(element, trigger, props, upload, watch) // 'pick'",
        elem_id=elem_id,
        elem_classes="easel-canvas",
        apply_default_css=False,
    )


def _plain(text: str) -> str:
    """`text` for a template that Gradio takes for HTML, Handlebars and a JavaScript literal at once."""
    escaped = html.escape(text)
    return "".join(f"&#{ord(c)};" if c in "`${}\\" else c for c in escaped)
