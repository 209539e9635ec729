"""What is drawn carries keys: labels those of Gradio, our own HTML its own, and what somebody wrote none."""

from __future__ import annotations

import gradio as gr
import pytest

from webui.ui.translations import english, key, keyed, keys_in


def drawn() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as blocks:
        with gr.Tab(key("Gallery")):
            gr.Textbox(
                "Cancel",
                label=key('A "quoted" \\ label'),
                info=key("Größe"),
                placeholder=key("Say it"),
            )
            gr.Dropdown([(key("Automatic"), "auto"), ("mine", 2)], value="auto", label=key("VAE"))
        with gr.Accordion(key("Sampling")):
            gr.Button(key("Generate"))
    return blocks


def test_every_key_of_what_is_drawn_is_known_in_english() -> None:
    known = english(drawn().config["components"])["en"]
    said = {
        'A "quoted" \\ label',
        "Größe",
        "Say it",
        "Automatic",
        "VAE",
        "Gallery",
        "Sampling",
        "Generate",
    }
    assert set(known.values()) == said
    assert all(name != text for name, text in known.items())  # what somebody writes is no key


@pytest.mark.parametrize("text", ["", None, "16:9", "{name} in braces"])
def test_what_has_no_key_stays_as_it_is(text: str | None) -> None:
    assert key(text) == text


def test_html_carries_the_keys_of_its_texts_and_attributes() -> None:
    made = keyed('<h2 title="T &amp; u">Queue</h2>\n<img alt="x"/><i hidden></i><br><p>ü "q"</p>')
    assert made == (
        '<h2 title="T &amp; u" data-i18n-title="T &amp; u" data-i18n="Queue">Queue</h2>\n'
        '<img alt="x" data-i18n-alt="x"/><i hidden></i><br><p data-i18n="ü &quot;q&quot;">ü "q"</p>'
    )


def test_somebodys_own_words_in_html_have_no_key() -> None:
    markup = '<p title="Say"><b>Hi</b> <b translate="no" title="x">Ann <i>B</i></b><b>there</b></p><pre>code</pre>'
    assert keys_in(markup) == {"Say", "Hi", "there"}


def test_a_key_in_a_template_is_no_code() -> None:
    assert "&#36;&#123;x&#125;" in keyed('<p title="&#36;&#123;x}">a</p>')


def test_an_element_with_two_texts_is_refused() -> None:
    with pytest.raises(ValueError, match="'b': its element says 'a' already"):
        keyed("<p>a <i>x</i> b</p>")
