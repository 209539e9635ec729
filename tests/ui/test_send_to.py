"""Values that are sent to a task's form, as its components take them."""

from __future__ import annotations

import gradio as gr

from webui.ui.send_to import shown


def test_only_a_menu_has_lists_and_objects_as_text() -> None:
    """A picture is an object, too, and stays one."""
    picture = {"image": {"path": "", "url": "api/pictures/1/file"}, "mask": ""}
    with gr.Blocks():
        assert shown(gr.HTML(), picture) == picture
        assert shown(gr.Dropdown(), [1, 2]) == "[1, 2]"
        assert shown(gr.Dropdown(), "Euler") == "Euler"
        assert shown(gr.Textbox(), 3) == "3"
