"""The prompt boxes of a task: what stands at them is drawn here, what it does is assets/prompt.js."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from webui.types import Task, Text
from webui.ui.translations import MOUNT, keyed

__all__ = ["PROMPT", "draw_tools"]

PROMPT = "easel-prompt"  # the class of a box whose tokens are counted and whose words are weighed

TOOLS = """<div class="prompt-tools" style="--line: 1" role="group" aria-label="Prompts">
<button type="button" data-act="history" aria-haspopup="dialog">History</button>
<button type="button" data-act="styles" aria-haspopup="dialog">Styles</button>
<button type="button" data-act="paste" aria-haspopup="dialog"
title="From the clipboard, or from the prompt where the text stands there">Paste settings</button></div>"""
TOLD = """<div class="prompt-told" role="status" hidden><div><b>Not everything could be taken over</b><ul></ul></div>
<button type="button">✕</button></div>"""
COUNT = '<span class="prompt-count" style="--line: {line}" data-for="{id}" translate="no"></span>'


def draw_tools(task: Task, words: Sequence[Text]) -> Any:
    """The buttons of history and styles at the first box, and a count of tokens at each. They lie over the grid
    of the boxes (assets/prompt.css): `--line` is the place of their box in it, from 1."""
    ids = [f"{task.name}-{text.name}" for text in words]
    counts = [COUNT.format(line=line, id=name) for line, name in enumerate(ids, 1)]
    pair = [f"{task.name}-{name}" for name in ("prompt", "negative_prompt")]
    boxes = json.dumps([name if name in ids else "" for name in pair])
    return gr.HTML(
        "\n".join([keyed(TOOLS + TOLD) if pair[0] in ids else "", *counts]),
        js_on_load=f"{MOUNT}Easel.prompts(element, {boxes}, upload)",
        elem_classes="easel-tools",
        apply_default_css=False,
    )
