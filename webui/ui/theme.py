"""Colours, type and spacing, light and dark; our CSS, put together from its files; and our JavaScript."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import gradio as gr

from webui.ui.modules import joined

__all__ = ["MARK", "css", "icon", "scripts", "theme"]

ASSETS = Path(__file__).parent / "assets"
MARK = ASSETS / "mark.svg"
STYLES = (
    *("page.css", "stage.css", "viewer.css", "canvas.css", "prompt.css", "form.css"),
    *(
        "extensions.css",
        "queue.css",
        "gallery.css",
        "info.css",
        "preferences.css",
        "footer.css",
        "models.css",
        "gradio.css",
    ),
)

SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
SYSTEM_MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Consolas", "monospace")

# One accent: vermilion. White on 700 is 5.2:1, 400 on the dark page 7.0:1 (WCAG relative luminance).
VERMILION = gr.themes.Color(
    "#fff4ed", "#ffe6d5", "#fecbaa", "#fda674", "#fb7c3c", "#f25c16",
    "#d9480f", "#c2410c", "#9a3412", "#7c2d12", "#431407",
)  # fmt: skip


def theme() -> Any:
    """Our own theme: quiet greys, so that the picture has the colour; system fonts, nothing fetched."""
    return gr.themes.Base(
        primary_hue=VERMILION,
        secondary_hue=VERMILION,
        neutral_hue=gr.themes.colors.stone,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.Font(name) for name in SYSTEM],
        font_mono=[gr.themes.Font(name) for name in SYSTEM_MONO],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="#161412",
        background_fill_primary="white",
        background_fill_primary_dark="#1f1c1a",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="#262220",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="500",
        block_title_text_size="13px",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_info_text_size="12px",
        body_text_color="*neutral_900",
        body_text_color_dark="#f1eeea",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        border_color_primary="*neutral_300",
        border_color_primary_dark="#3d3733",
        input_background_fill="white",
        input_background_fill_dark="#262220",
        input_border_color="*neutral_300",
        input_border_color_dark="#4a433e",
        input_border_width="1px",
        input_border_color_focus="*primary_600",
        input_border_color_focus_dark="*primary_400",
        input_shadow="none",
        input_shadow_focus="0 0 0 2px *primary_200",
        input_shadow_focus_dark="0 0 0 2px *primary_800",
        input_padding="8px 10px",
        input_text_size="14px",
        color_accent="*primary_700",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color_selected="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="#1f1109",
        button_secondary_background_fill="*neutral_200",
        button_secondary_background_fill_hover="*neutral_300",
        button_secondary_background_fill_dark="#3a3430",
        button_secondary_background_fill_hover_dark="#4a433e",
        button_transition="background-color 0.12s",
        button_large_radius="*radius_md",
        layout_gap="16px",
        form_gap_width="16px",
        panel_border_width="0px",
    )


def icon() -> str:
    """The mark as the page's icon, for <head>."""
    mark = base64.b64encode(MARK.read_bytes()).decode("ascii")
    return f'<link rel="icon" type="image/svg+xml" href="data:image/svg+xml;base64,{mark}">'


def scripts() -> str:
    """Our JavaScript, as one module. It runs before Gradio draws anything."""
    return joined({path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.js")})


def css() -> str:
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in STYLES)
