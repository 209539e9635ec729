"""Values that are sent to a task's form, as its components hold them."""

from __future__ import annotations

import gradio as gr

from webui.types import Choice, Number, Picture, Seed, Switch, Text
from webui.ui.forms import raw


def test_a_value_is_as_its_component_holds_it() -> None:
    number = Number(name="share", label="Share", minimum=0, maximum=1)
    choice = Choice(name="way", label="Way", choices=(("Both", [1, 2]), ("Euler", "Euler")))
    with gr.Blocks():
        box, slider = gr.Textbox(), gr.Slider(0, 1)
        assert raw(choice, gr.Dropdown(), [1, 2]) == "[1, 2]"
        assert raw(choice, gr.Dropdown(), "Euler") == "Euler"
        assert raw(number, box, 0.5) == "0.5"
        assert raw(number, box, None) == ""
        assert raw(number, slider, 0.5) == 0.5
        assert raw(Text(name="word", label="Word"), box, None) == ""
        assert raw(Seed(name="seed", label="Seed"), gr.Number(), None) == -1
        assert raw(Switch(name="on", label="On"), gr.Checkbox(), None) is False
        assert raw(Picture(name="face", label="Face"), gr.HTML(), None) == {
            "image": None,
            "mask": "",
            "width": 0,
            "height": 0,
        }
