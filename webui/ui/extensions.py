"""What the page tells of extensions: a tab with all of each, and a line in the head when one has a problem.

Both are drawn by assets/extensions.js, which asks anew every few seconds while they can be seen. Knows
`ExtensionsFace` alone; what an extension wrote is text and never HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import gradio as gr

from webui.errors import EaselError
from webui.sentences import Sentence, with_keys
from webui.settings import Settings
from webui.types import ExtensionsFace, ExtensionStatus
from webui.ui.addresses import loopback
from webui.ui.gradio_adapter import say
from webui.ui.tab import PRIVATE
from webui.ui.translations import MOUNT, key, keyed

__all__ = ["announced", "draw_extensions", "draw_note", "told", "wire_extensions"]

TAB = "extensions"
NOT_HERE = Sentence(
    "Extensions can be switched on and off only while Easel is reached from this machine alone: "
    "start it without --listen or --host"
)
NOTE = """<button type="button" class="easel-note" hidden></button>
<p class="easel-unseen" aria-live="polite"></p>"""
LIST = """<div class="ext-head"><h2>Extensions</h2><p class="ext-sum"></p></div>
<p class="ext-locked" hidden></p><div class="ext-list" role="list"></div>"""
LABELS = {
    "on": Sentence("On"),
    "off": Sentence("Off"),
    "failed": Sentence("Failed"),
    "set aside": Sentence("Set aside"),
}


# --- Drawing -------------------------------------------------------------------------------------


def draw_note(extensions: ExtensionsFace) -> Any:
    """The line in the head; hidden while all is well."""
    return gr.HTML(
        with_keys(announced(extensions.statuses())),
        html_template=keyed(NOTE),
        js_on_load=f"{MOUNT}Easel.note(element, trigger, props, watch) // 'refresh' 'open'",
        elem_classes="easel-noted",
        apply_default_css=False,
    )


def draw_extensions(extensions: ExtensionsFace, settings: Settings) -> Any:
    """The tab; its component's events: refresh, switch."""
    with gr.Tab(key("Extensions"), id=TAB):
        return gr.HTML(
            with_keys(told(extensions.statuses(), settings)),
            html_template=keyed(LIST),
            js_on_load=f"{MOUNT}Easel.extensions(element, trigger, props, watch) // 'refresh' 'switch'",
            elem_id="extensions-list",
            elem_classes="easel-extensions",
            apply_default_css=False,
        )


def wire_extensions(
    note: Any, listed: Any, bar: Any, extensions: ExtensionsFace, settings: Settings
) -> None:
    """Connects line and tab. Nothing is sent to the browser where nothing has changed."""

    def look(shown: Any) -> Any:
        return changed(shown, announced(extensions.statuses()))

    def look_closely(shown_note: Any, shown: Any) -> tuple[Any, Any]:
        statuses = extensions.statuses()
        return (
            changed(shown_note, announced(statuses)),
            changed(shown, told(statuses, settings)),
        )

    def switch(event: gr.EventData) -> tuple[Any, Any]:
        # Every handler is an HTTP endpoint: what the page does not offer is refused here.
        name, on = getattr(event, "name", None), getattr(event, "on", None)
        if not loopback(settings.host):
            say(NOT_HERE)
        elif isinstance(name, str) and isinstance(on, bool):
            try:
                extensions.switch(name, on)
            except EaselError as error:
                say(str(error))
        statuses = extensions.statuses()
        return with_keys(announced(statuses)), with_keys(told(statuses, settings))

    raw = {**PRIVATE, "preprocess": False}
    note.refresh(look, [note], note, **raw)
    note.open(lambda: gr.Tabs(selected=TAB), None, bar, **PRIVATE)
    listed.refresh(look_closely, [note, listed], [note, listed], **raw)
    listed.switch(switch, None, [note, listed], **PRIVATE)


def changed(shown: object, now: Mapping[str, Any]) -> Any:
    new = with_keys(now)
    return gr.skip() if shown == new else new


# --- In words ------------------------------------------------------------------------------------


def announced(statuses: Sequence[ExtensionStatus]) -> dict[str, str]:
    """The head's line: how many extensions have a problem, and which; both empty where none has."""
    names = [status.name for status in statuses if troubled(status)]
    if not names:
        return {"line": "", "which": ""}
    line = Sentence("{number} extensions have a problem", number=len(names))
    if len(names) == 1:
        line = Sentence("1 extension has a problem")
    return {"line": line, "which": ", ".join(names)}


def troubled(status: ExtensionStatus) -> bool:
    if status.hanging or status.state in ("failed", "set aside"):
        return True
    return status.state == "on" and bool(status.problems)


def told(statuses: Sequence[ExtensionStatus], settings: Settings) -> dict[str, Any]:
    """The tab's content, what has a problem first. `locked` is why nothing can be switched from here, "" where it
    can."""
    return {
        "sum": counted(len(statuses), sum(map(troubled, statuses))),
        "locked": "" if loopback(settings.host) else NOT_HERE,
        "extensions": [card(s) for s in sorted(statuses, key=lambda s: not troubled(s))],
    }


def counted(number: int, wrong: int) -> Sentence:
    """How many there are, and how many have a problem."""
    if not number:
        return Sentence("There is none. Put one into the folder extensions/.")
    if number == 1:
        return Sentence("1 extension, 1 with a problem") if wrong else Sentence("1 extension")
    if not wrong:
        return Sentence("{number} extensions", number=number)
    return Sentence("{number} extensions, {wrong} with a problem", number=number, wrong=wrong)


def card(status: ExtensionStatus) -> dict[str, Any]:
    title = status.title or status.name
    facts: list[str] = [Sentence("Bundled") if status.bundled else status.source]
    if status.import_s:
        facts.append(Sentence("imported in {time}", time=span(status.import_s)))
    if status.hooks_s:
        used = span(status.hooks_s)
        facts.append(Sentence("{time} in its hooks", time=used))
    return {
        "name": status.name,
        "title": Sentence.named(title) if status.bundled else title,
        "guide": f"api/extensions/{quote(status.name)}/guide" if status.guide else "",
        "version": status.version,
        "about": status.about,
        # one that was set aside unread has a switch to be tried again
        "on": status.state != "off" and not (status.state == "set aside" and not status.hooks),
        "label": Sentence("Not responding") if status.hanging else LABELS[status.state],
        "troubled": troubled(status),
        "facts": facts,
        "source": status.source,
        "hooks": list(status.hooks),
        "problems": list(status.problems),
        "hanging": Sentence("Does not return: {what}", what=status.hanging)
        if status.hanging
        else "",
        "restart": status.restart,
    }


def span(seconds: float) -> str:
    """A time as people say it: 8 ms, 1.3 s."""
    if seconds < 0.0005:
        return Sentence("under 1 ms")
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
