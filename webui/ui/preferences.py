"""The Settings tab: drawn by assets/preferences.js from what `/api/settings` tells."""

from __future__ import annotations

from typing import Any

import gradio as gr

from webui.ui.translations import key

__all__ = ["draw_preferences"]


def draw_preferences() -> Any:
    """The tab; its event `refresh` says that defaults have changed."""
    with gr.Tab(key("Settings"), id="settings"):
        return gr.HTML(
            "",
            html_template='<section class="easel-preferences"></section>',
            js_on_load="Easel.preferences(element, trigger) // 'refresh'",
            elem_id="settings-root",
            apply_default_css=False,
        )
