"""Sizes by a click: shapes of about as many pixels as a model's own size, and the button that swaps the sides."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from webui.types import SIZE_STEP, WIDTH
from webui.ui.translations import MOUNT, keyed

__all__ = ["draw_shapes", "draw_swap", "shapes"]

RATIOS = ((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))
COARSE = 64  # what UNets of models for 512 pixels and more halve without a rest
LARGE = 448 * 448  # pixels from which on sizes keep to it

SWAP = """<button type="button" class="easel-swap" aria-label="Swap width and height"
title="Swap width and height">⇄</button>"""


def shapes(width: int, height: int) -> list[list[Any]]:
    """[label, width, height] for each ratio, as many pixels as `width` x `height` has, near enough: the sides are
    multiples of 64, or of 8 for a model of small pictures. The model's own size is the first of its ratio."""
    pixels = width * height
    step = COARSE if pixels >= LARGE else SIZE_STEP
    found = []
    for wide, high in RATIOS:
        if width * high == height * wide:
            found.append([f"{wide}:{high}", width, height])
            continue
        scale = math.sqrt(pixels / (wide * high))
        found.append([f"{wide}:{high}", _side(wide * scale, step), _side(high * scale, step)])
    return found


def _side(length: float, step: int) -> int:
    return replace(WIDTH, step=step).nearest(length)


def draw_shapes(ids: Sequence[str], width: int, height: int) -> Any:
    """The buttons of the shapes, for the sides of those ids. Their JavaScript (assets/numbers.js) sets the sliders, and
    draws another model's (assets/forms.js)."""
    return gr.HTML(
        {"shapes": shapes(width, height)},
        html_template=keyed('<div class="easel-shapes" role="group" aria-label="Sizes"></div>'),
        js_on_load=f"{MOUNT}Easel.shapes(element, props, {json.dumps(ids)})",
        elem_id=f"{ids[0]}-shapes",
        elem_classes="easel-shapes-block",
        apply_default_css=False,
    )


def draw_swap(ids: Sequence[str]) -> Any:
    return gr.HTML(
        keyed(SWAP),
        js_on_load=f"{MOUNT}Easel.swap(element, {json.dumps(ids)})",
        elem_classes="easel-swap-block",
        apply_default_css=False,
    )
