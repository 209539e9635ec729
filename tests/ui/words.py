"""Every string that the page says, gathered from where it is written: what a language has to translate.

Run as `python -m tests.ui.words` it says what each language lacks, and what nobody says any more.
"""

from __future__ import annotations

import ast
import html
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from webui.app import compose
from webui.languages import OWN
from webui.naming import TOKENS
from webui.plugins.register import OPTIONS
from webui.preferences import GROUPS, SETTINGS
from webui.settings import ROOT, Settings
from webui.store.shipped_styles import shipped_styles
from webui.types import FIELDS, Choice
from webui.ui.model_line import STARTER
from webui.ui.page import draw_page
from webui.ui.theme import ASSETS
from webui.ui.translations import english

KEYED = re.compile(r'data-i18n(?:-[a-z-]+)?="([^"]*)"')


def every_string() -> set[str]:
    """All of them, in English."""
    found = {*in_scripts(), *in_schema(), *in_sentences()}
    with tempfile.TemporaryDirectory() as folder:
        found |= drawn(Path(folder))
    return {text for text in map(str.strip, found) if says_something(text)}


def says_something(text: str) -> bool:
    """Whether there are words in a text, besides the {names} of values."""
    return any(letter.isalpha() for letter in re.sub(r"\{\w+\}", "", text))


# --- In JavaScript --------------------------------------------------------------------------------

CALL = re.compile(r"(?<![\w.])t\(\s*")
STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')


def in_scripts() -> Iterator[str]:
    for path in sorted(ASSETS.glob("*.js")):
        if path.name != "i18n.js":
            yield from keys_of(path.read_text(encoding="utf-8"), path.name)


def keys_of(source: str, name: str = "") -> Iterator[str]:
    """The keys of `t("...")`. One that is put together elsewhere is found by nobody, so it is not let pass."""
    for call in CALL.finditer(source):
        found = STRING.match(source, call.end())
        if found is None:
            line = source.count("\n", 0, call.start()) + 1
            raise AssertionError(f'{name}:{line}: write the key where it is said: t("...")')
        yield json.loads(f'"{found[1]}"') if found[1] is not None else found[2]


# --- In Python ------------------------------------------------------------------------------------


def in_schema() -> Iterator[str]:
    known = json.loads((ROOT / "webui/store/downloads/known.json").read_text(encoding="utf-8"))
    yield from (model[said] for model in known for said in ("purpose", "about"))
    yield json.loads((STARTER / "easel.json").read_text(encoding="utf-8"))["description"]
    yield from (words for one in shipped_styles() for words in (one.style.name, one.group))
    yield from (
        control.label for control in FIELDS.values()
    )  # errors name those that are not drawn, too
    yield from (*GROUPS, *GROUPS.values(), *TOKENS.values(), *OPTIONS.values())
    for setting in SETTINGS:
        yield from (setting.control.label, setting.control.info, setting.empty)
        if isinstance(setting.control, Choice):
            yield from (label for label, _ in setting.control.choices)


def in_sentences() -> Iterator[str]:
    """The keys of `Sentence("...")` in Python. One that is put together elsewhere is found by nobody, so it is not
    let pass."""
    for folder in ("webui", "extensions"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Sentence":
                    continue
                said = call.args[0]
                whole = isinstance(said, ast.Constant) and isinstance(said.value, str)
                if whole:
                    yield said.value
                elif path.name != "errors.py":  # which shortens what it was given
                    raise AssertionError(
                        f"{path}:{call.lineno}: write the sentence where it is made"
                    )


def drawn(folder: Path) -> set[str]:
    """What Gradio's components say on the page with our own extensions."""
    made = compose(Settings.at(folder, safe_mode=True))
    try:
        nobody: Any = object()  # a gallery that is never asked
        drawn = draw_page(
            made.engine, made.catalog, made.settings, made.extensions, gallery=nobody, models=True
        )
        components = drawn.blocks.config["components"]
        found = set(english(components)["en"].values()) | set(in_html(components))
        ours = [status for status in made.extensions.statuses() if status.bundled]
        found |= {said for status in ours for said in (status.title, status.about)}
        return found | {task.info for task in made.catalog.tasks.values()}
    finally:
        made.close()


def in_html(components: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The keys that our own HTML carries."""
    for component in components:
        for name in ("html_template", "value"):
            text = component["props"].get(name)
            if component["type"] == "html" and isinstance(text, str):
                yield from (html.unescape(found) for found in KEYED.findall(text))


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
