"""The Settings tab."""

from __future__ import annotations

import gradio as gr

__all__ = ["draw_preferences"]


def draw_preferences() -> None:
    with gr.Tab("Settings", id="settings"):
        gr.HTML(
            "",
            html_template='<section class="easel-preferences"></section>',
            js_on_load="Easel.preferences && Easel.preferences(element)",
            elem_id="settings-root",
            apply_default_css=False,
        )
