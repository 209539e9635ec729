"""What stands on the page in English, with the keys by which the page says it in another language (assets/i18n.js).

A key is the English text itself. Gradio's own components are given keys of theirs (`gr.I18n`), so that Gradio draws and
redraws them; our own HTML carries its keys in an attribute. Nothing finds a key by looking at what the page shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from typing import Any

import gradio as gr

from webui.ui.gradio_adapter import key_in, plain

__all__ = ["MOUNT", "english", "key", "keyed", "keys_in"]

PREFIX = "easel:"  # no prompt that somebody writes is a key by chance
ATTRIBUTE = "data-i18n"
MOUNT = "Easel.keyed(element); "  # what the JavaScript of HTML with keys begins with
SPOKEN = ("aria-label", "title", "placeholder", "alt")
VOID = ("img", "input", "br", "hr", "path", "rect", "circle")
UNSAID = ("script", "style", "pre", "code", "textarea")
_keys = gr.I18n()


# --- For Gradio ----------------------------------------------------------------------------------


def key(text: str | None) -> Any:
    """A label, hint, title, button or a choice's name, for a component of Gradio."""
    if not _words(text) or "}" in str(text):  # Gradio's page reads a key to the first "}"
        return text
    return str(_keys(f"{PREFIX}{text}"))


def english(components: Iterable[Any]) -> dict[str, dict[str, str]]:
    """The keys of all components that were drawn, and what they say in English: what `gr.I18n` is made of."""
    said = {PREFIX + text: text for one in components for text in _in_component(one)}
    return {"en": said}


def _in_component(component: Any) -> Iterator[str]:
    props = component.get("props", {})
    texts = [props.get(name) for name in ("label", "info", "placeholder", "value")]
    texts += [label for label, *_ in props.get("choices") or ()]
    for text in texts:
        found = key_in(text)
        if found is not None:
            yield found.removeprefix(PREFIX)


# --- For our own HTML ----------------------------------------------------------------------------


@cache
def keyed(markup: str) -> str:
    """Our own HTML, as a template for Gradio, with keys: an element says that of its text in `data-i18n`, and that of
    its title in `data-i18n-title`. What stands inside `translate="no"` is nobody's to translate.

    Raises `ValueError` for an element with two texts: one key cannot say both.
    """
    reader = _Markup(markup)
    made, end = [], 0
    for at, keys in sorted(reader.elements):
        made.append(markup[end:at])
        made += [f' {ATTRIBUTE}{"-" * bool(name)}{name}="{plain(keys[name])}"' for name in keys]
        end = at
    return "".join([*made, markup[end:]])


def keys_in(markup: str) -> set[str]:
    """The keys that `keyed` gives some HTML."""
    return {text for _, keys in _Markup(markup).elements for text in keys.values()}


class _Markup(HTMLParser):
    """`elements`: where each tag's attributes end, and what its element says: {"": its text, attribute: words}."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[int, dict[str, str]]] = []
        self._open: list[
            tuple[str, dict[str, str] | None]
        ] = []  # None inside what is somebody's own
        self._lines = [0, *(at.end() for at in re.finditer("\n", markup))]
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given, text = dict(attrs), self.get_starttag_text() or ""
        outer = self._open[-1][1] if self._open else {}
        own = outer is None or given.get("translate") == "no" or tag in UNSAID
        said = (
            None if own else {name: given[name] or "" for name in SPOKEN if _words(given.get(name))}
        )
        line, column = self.getpos()
        ended = text.endswith("/>")
        if said is not None:
            end = self._lines[line - 1] + column + len(text) - (2 if ended else 1)
            self.elements.append((end, said))
        if not ended and tag not in VOID:
            self._open.append((tag, said))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        said = self._open[-1][1] if self._open else None
        if said is None or not _words(data):
            return
        if "" in said:
            raise ValueError(
                f"{data.strip()!r}: its element says {said['']!r} already; give it one of its own"
            )
        said[""] = data.strip()


def _words(text: str | None) -> bool:
    return any(map(str.isalpha, text or ""))
