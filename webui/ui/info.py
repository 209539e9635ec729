"""The PNG info tab: what a picture says of how it was made."""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.errors import EaselError
from webui.ui.canvas import canvas
from webui.ui.endpoints import settings_in
from webui.ui.tab import PRIVATE

__all__ = ["draw_png_info"]


def draw_png_info() -> None:
    """The tab that reads a picture's settings."""
    with gr.Tab("PNG info", id="png_info"), gr.Row(elem_classes="easel-info"):
        with gr.Column():
            picture = canvas("Picture", "png_info-image", False)
        with gr.Column():
            text = gr.Textbox(
                label="Settings in the picture",
                lines=10,
                max_lines=30,
                interactive=False,
                buttons=[],  # Gradio's copy button takes the field's label for itself
                elem_id="png_info-text",
            )

    def show(given: Any) -> str:
        try:
            found = settings_in(given["image"] if isinstance(given, dict) else None)
        except EaselError as error:
            return str(error)
        return found["parameters"] or "This picture carries no settings."

    picture.pick(show, [picture], text, preprocess=False, **PRIVATE)
