"""The PNG info tab: what a picture says of how it was made, and the way from there to a task's form.

The picture is read here as it was uploaded; assets/info.js shows what is told of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr
from PIL import Image

from webui.defaults import NO_SETTINGS
from webui.errors import EaselError, RequestError, Sentence
from webui.images import LEFT_OUT, TOO_LONG, texts_in
from webui.metadata import GRAPHS, is_settings, parse, settings_of
from webui.metadata import texts_of as all_texts
from webui.sentences import with_keys
from webui.types import Task
from webui.ui.files import given_file
from webui.ui.gallery import takes_picture
from webui.ui.gradio_adapter import literal
from webui.ui.send_to import said
from webui.ui.tab import PRIVATE
from webui.ui.translations import MOUNT, key, keyed

__all__ = ["draw_png_info", "info_of"]

TEXT_MAX = 400_000  # characters of a text that are shown; a longer one is cut
TEXTS_MAX = 16  # further texts of a file

HTML = """<div class="info-root">
<div class="info-side">
  <label class="info-drop">
    <input type="file" accept="image/*" class="easel-unseen" aria-label="Picture: choose a file">
    <b>Choose a picture</b><span>or drop or paste it here to see its settings</span></label>
  <textarea class="info-settings" rows="3" spellcheck="false"></textarea>
  <figure class="info-shown" hidden><img alt="" translate="no"><figcaption translate="no"></figcaption>
    <div class="info-acts" role="group" aria-label="What to do with the picture"></div></figure>
</div>
<div class="info-told">
  <p class="info-line" role="status"></p>
  <div class="info-found"></div>
  <details id="png_info-text" class="info-raw" hidden><summary>As it stands in the file</summary>
    <textarea readonly rows="6" aria-label="Settings in the picture" translate="no"></textarea></details>
  <div class="info-texts"></div>
</div></div>"""


def draw_png_info(tasks: Iterable[Task] = ()) -> None:
    """The tab that reads a picture's settings. `tasks` are those that settings, and perhaps the picture, can be
    handed to."""
    about = {"tasks": [[task.name, task.label, takes_picture(task)] for task in tasks]}
    with gr.Tab(key("PNG info"), id="png_info"):
        shown = gr.HTML(
            {"number": 0},
            html_template=keyed(HTML),
            js_on_load=f"{MOUNT}Easel.info(element, trigger, props, upload, watch, {literal(about)}) // 'pick'",
            elem_id="png_info-image",
            elem_classes="easel-info",
            apply_default_css=False,
        )

    def show(event: gr.EventData) -> dict[str, Any]:
        number = getattr(event, "number", 0)  # which question this answers
        if text := said(event, "text"):
            return {"number": number, **info_of_text(text)}
        try:
            found = info_of({"path": said(event, "path")})
        except EaselError as error:
            return {"number": number, "problem": str(error).removeprefix("image: ")}
        return {"number": number, **found}

    shown.pick(show, None, shown, trigger_mode="multiple", **PRIVATE)


def info_of(image: object) -> dict[str, Any]:
    """What a picture that a client sent says of itself: `parameters` (the infotext or ""), its `fields`, `texts` (the
    file's other texts by their names), `comfyui` (whether those are a ComfyUI workflow), `format`, `width`, `height`.

    Raises `RequestError` for what is no whole picture.
    """
    given = given_file(image, "image")
    if given is None:
        raise RequestError(Sentence("{field}: give a picture", field="image"), "image")
    opened, (width, height) = texts_in(given, "image")
    text = settings_of(opened) or ""
    left_out = opened.info.get(LEFT_OUT, ())
    if not text and "parameters" in left_out:
        raise RequestError(TOO_LONG, "image")
    texts = {name: TOO_LONG.removeprefix("image: ") for name in left_out if name != "parameters"}
    texts |= texts_of(opened, text)
    kind = opened.format or ""
    return {
        "parameters": text[:TEXT_MAX],
        "fields": parse(text) if text else {},
        "texts": texts,
        "comfyui": any(texts.get(name, "").lstrip().startswith("{") for name in GRAPHS),
        "format": kind,
        "width": width,
        "height": height,
    }


def info_of_text(text: str) -> dict[str, Any]:
    """The same of settings as text, `problem` where there are none; a `format` of "" says that there is no picture."""
    fields = parse(text[:TEXT_MAX])
    if not is_settings(fields):
        return {"problem": with_keys(NO_SETTINGS)}
    told = {"parameters": text[:TEXT_MAX], "fields": fields, "texts": {}, "comfyui": False}
    return {**told, "format": "", "width": 0, "height": 0}


def texts_of(opened: Image.Image, settings: str) -> dict[str, str]:
    """The texts that a file carries beside its `settings`, by their names."""
    texts = [(name, text) for name, text in all_texts(opened).items() if text != settings]
    return {name[:80]: text[:TEXT_MAX] for name, text in texts[:TEXTS_MAX]}
