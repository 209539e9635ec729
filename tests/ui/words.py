"""Every string that the page says, gathered from where it is written: what a language has to translate.

Run as `python -m tests.ui.words` it says what each language lacks, and what nobody says any more.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from webui.app import compose
from webui.languages import OWN
from webui.naming import TOKENS
from webui.preferences import GROUPS, SETTINGS
from webui.settings import BUNDLED, ROOT, Settings
from webui.types import Choice
from webui.ui.page import draw_page
from webui.ui.theme import ASSETS

ENGINE = sorted((ROOT / "webui/engine").glob("*.py"))
SPOKEN = ("aria-label", "title", "placeholder", "alt")
# What Python puts together for the page, with {names} where values stand. The walk through the page finds what is
# missing here.
SENTENCES = json.loads((Path(__file__).parent / "sentences.json").read_text(encoding="utf-8"))


def every_string() -> set[str]:
    """All of them, in English."""
    found = {*in_scripts(), *in_schema(), *in_notes(), *SENTENCES}
    with tempfile.TemporaryDirectory() as folder:
        found |= drawn(Path(folder))
    return {text for text in map(str.strip, found) if says_something(text)}


def says_something(text: str) -> bool:
    """Whether there are words in a text, besides the {names} of values."""
    return any(letter.isalpha() for letter in re.sub(r"\{\w+\}", "", text))


# --- In JavaScript --------------------------------------------------------------------------------

CALL = re.compile(r"(?<![\w.])(?:Easel\.)?t\(")
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')


def in_scripts() -> Iterator[str]:
    """The texts of `Easel.t("...")`: every string in its first argument."""
    for path in sorted(ASSETS.glob("*.js")):
        source = path.read_text(encoding="utf-8")
        for call in CALL.finditer(source):
            yield from first_strings(source, call.end())


def first_strings(source: str, at: int) -> Iterator[str]:
    """The strings from `at` to the comma or bracket that ends an argument."""
    depth = 0
    while at < len(source):
        found = STRING.match(source, at)
        if found:
            if depth == 0:
                yield json.loads(f'"{found[1]}"') if found[1] is not None else found[2]
            at = found.end()
            continue
        letter = source[at]
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            if depth == 0:
                return
            depth -= 1
        elif letter == "," and depth == 0:
            return
        at += 1


# --- In Python ------------------------------------------------------------------------------------


def in_schema() -> Iterator[str]:
    known = json.loads((ROOT / "webui/store/downloads/known.json").read_text(encoding="utf-8"))
    yield from (model["about"] for model in known)
    yield from (*GROUPS, *GROUPS.values(), *TOKENS.values())
    for setting in SETTINGS:
        yield from (setting.control.label, setting.control.info, setting.empty)
        if isinstance(setting.control, Choice):
            yield from (label for label, _ in setting.control.choices)


def in_notes() -> Iterator[str]:
    """What the engine says beside a job, with the {names} of its values: as it is written in the call, or under the
    names of constants that the call gives."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in ENGINE]
    constants = {name: value for tree in trees for name, value in constants_of(tree)}
    for call in (node for tree in trees for node in ast.walk(tree)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if call.func.attr not in ("note_all", "note", "remark"):
            continue
        said = call.args[-1]
        if isinstance(said, ast.Constant | ast.JoinedStr):
            yield ast.unparse(said).removeprefix("f")[1:-1]
            continue
        for name in ast.walk(said):
            if isinstance(name, ast.Name):
                yield from constants.get(name.id, ())


def constants_of(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """The strings, and mappings to strings, that a module calls by a name."""
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        values = node.value.values if isinstance(node.value, ast.Dict) else [node.value]
        texts = [one.value for one in values if isinstance(one, ast.Constant)]
        yield node.targets[0].id, [text for text in texts if isinstance(text, str)]


def drawn(folder: Path) -> set[str]:
    """What Gradio's components say on the page with our own extensions."""
    made = compose(Settings.at(folder, safe_mode=True))
    try:
        nobody: Any = object()  # a gallery that is never asked
        drawn = draw_page(
            made.engine, made.catalog, made.settings, made.extensions, gallery=nobody, models=True
        )
        blocks = drawn.blocks
        names = {card.name for card in made.catalog.list_models()}
        found = set(in_components(blocks.config["components"])) - names - set(BUNDLED)
        found |= {status.about for status in made.extensions.statuses() if status.bundled}
        prompts = {prompt for card in made.catalog.list_models() for prompt in card.prompts}
        return found - prompts
    finally:
        made.close()


def in_components(components: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for component in components:
        if component["type"] == "api":  # an endpoint's parameter, which is not on the page
            continue
        props = component["props"]
        own = {"label", "info", "placeholder"} & set(props)
        yield from (props[name] for name in own if isinstance(props[name], str))
        if component["type"] == "button" and isinstance(props.get("value"), str):
            yield props["value"]
        if component["type"] in ("dropdown", "radio", "checkboxgroup"):
            for label, *_ in props.get("choices") or ():
                yield str(label)
        if component["type"] == "html":
            for name in ("html_template", "value"):
                if isinstance(props.get(name), str):
                    yield from in_html(props[name])


class Texts(HTMLParser):
    """Texts and spoken attributes, but for what is somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        own = given.get("translate") == "no" or any(own for _, own in self._open)
        if not own:
            self.found += [text for name in SPOKEN if (text := given.get(name))]
        if tag not in ("img", "input", "br", "hr", "path"):
            self._open.append((tag, own or tag in ("script", "style", "pre", "code")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(own for _, own in self._open):
            self.found.append(data.strip())


def in_html(text: str) -> list[str]:
    if "<" not in text:
        return []
    reader = Texts()
    reader.feed(text)
    return reader.found


# --- Languages ------------------------------------------------------------------------------------


def languages() -> dict[str, dict[str, str]]:
    """The words of every language that is shipped, by its code."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))["words"]
        for path in sorted(OWN.glob("*.json"))
    }


def main() -> int:
    said = every_string()
    told = {
        code: {"missing": sorted(said - set(words)), "stale": sorted(set(words) - said)}
        for code, words in languages().items()
    }
    json.dump(told or {"en": sorted(said)}, sys.stdout, indent=1, ensure_ascii=False)
    print()
    return 1 if any(one["missing"] or one["stale"] for one in told.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
