"""The Gallery tab: everything under outputs/. All that it does goes through our own HTTP API (assets/gallery.js)."""

from __future__ import annotations

import gradio as gr

__all__ = ["draw_gallery"]


def draw_gallery() -> None:
    with gr.Tab("Gallery", id="gallery"):
        gr.HTML(
            "",
            html_template='<section class="easel-gallery"></section>',
            js_on_load="Easel.gallery && Easel.gallery(element)",
            elem_id="gallery-root",
            apply_default_css=False,
        )
