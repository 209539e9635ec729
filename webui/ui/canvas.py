"""A picture that a person gives, and the mask painted over it: one component (assets/canvas*.js, canvas.html).

Its value is `{"image": {"path", "url"} or None, "mask": "" or {"path", "url"}, "width", "height"}`. `width` and
`height` are those of what is sent, the extended frame included. Nothing travels while somebody paints: mask and
painted picture are uploaded when a button asks for a job, and the value says where they are. A value from Python
may have a mask as a data URL too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from webui.ui.gradio_adapter import plain
from webui.ui.translations import MOUNT, keyed

__all__ = ["NOTHING", "canvas"]

NOTHING: Mapping[str, Any] = {"image": None, "mask": "", "width": 0, "height": 0}

HEAD = """<div class="canvas-head"><span class="canvas-label">{label}</span>
  <button type="button" class="canvas-remove" hidden>Remove</button></div>
<label class="canvas-drop"><input type="file" accept="image/*" class="easel-unseen" aria-label="{label}: choose a file">
  <b>Choose a picture</b><span>or drop or paste it here</span></label>
"""
IMAGE = '<img alt="The picture to work on">'
VIEW = f"""<div class="canvas-body" hidden><div class="canvas-view">{IMAGE}</div>
<p class="canvas-fate-line" hidden></p></div>
"""
PAINT = (Path(__file__).parent / "assets" / "canvas.html").read_text(encoding="utf-8")
NOTE = '<p class="canvas-note" role="alert"></p>'


def canvas(label: str, elem_id: str, kind: Literal["view", "mask", "sketch"] = "view") -> Any:
    """The component: a picture to look at, to paint a mask over, or to sketch on with colours, which are sent as part
    of the picture. Its event `pick` says that the picture changed, or its frame."""
    body = {"view": VIEW, "mask": PAINT, "sketch": PAINT.replace("<canvas>", f"{IMAGE}<canvas>")}
    return gr.HTML(
        dict(NOTHING),
        html_template=keyed(HEAD.format(label=plain(label)) + body[kind] + NOTE),
        js_on_load=f"{MOUNT}Easel.canvas(element, trigger, props, upload, watch, '{kind}') // 'pick'",
        elem_id=elem_id,
        elem_classes="easel-canvas",
        apply_default_css=False,
    )
