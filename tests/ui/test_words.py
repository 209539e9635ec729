"""No language lacks a string of the page, none has one that nobody says, and all keep the {names}."""

from __future__ import annotations

import re

import pytest

from tests.ui.words import every_string, keys_of, languages
from webui.ui.theme import ASSETS

NAMES = re.compile(r"\{\w+\}")


@pytest.fixture(scope="module")
def said() -> set[str]:
    return every_string()


@pytest.mark.parametrize("code", ["de", "zh-Hans"])
def test_a_language_has_every_string_and_no_other(code: str, said: set[str]) -> None:
    words = languages()[code]
    assert not said - set(words), "not translated"
    assert not set(words) - said, "said by nobody any more"


@pytest.mark.parametrize("code", ["de", "zh-Hans"])
def test_a_translation_has_the_values_of_its_string(code: str) -> None:
    for english, translated in languages()[code].items():
        given, used = NAMES.findall(english), NAMES.findall(translated)
        # `{cat|dog}` and its like are no names
        assert set(used) == set(given), english
        assert translated.strip() == translated and translated, english


@pytest.mark.parametrize("code", ["de", "zh-Hans"])
def test_tools_of_the_canvas_have_names_of_their_own(code: str) -> None:
    """What is two in English is two."""
    html = (ASSETS / "canvas.html").read_text(encoding="utf-8")
    tools = set(re.findall(r'data-i18n-aria-label="([^"]*)"', html))
    tools |= set(re.findall(r'<button[^>]* aria-label="([^"]*)"', html))
    words = languages()[code]
    assert {"Enlarge", "Zoom in"} <= tools
    assert len({words[tool] for tool in tools}) == len(tools)


def test_what_is_said_is_gathered(said: set[str]) -> None:
    """One string of every place where strings come from."""
    assert {
        "Generate",  # a button
        "Sampling method",  # a label of a control
        "Seed",  # a group
        "Gallery",  # a tab
        "Mask",  # a label that only errors say
        "FreeU",  # an extension's control
        "Pictures of this job",  # an HTML template
        "Queue empty",  # a script
        "File name pattern",  # a setting
        "Step {step} of {steps}",  # a line that Python composes
        "The disk is full: make some space, and this goes on",  # a sentence in a table
    } <= said


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('t("one")', ["one"]),
        ('t(\n  "one", { name: "two" })', ["one"]),
        ('many ? t("{n} of many") : t("one, \\"only\\"", x)', ["{n} of many", 'one, "only"']),
        ('[["any", t("Any date")], ["days", t(\'Choose days\')]]', ["Any date", "Choose days"]),
        ('import("x"); first("no"); a.t("no")', []),
    ],
)
def test_keys_are_found_wherever_they_are_said(source: str, found: list[str]) -> None:
    assert list(keys_of(source)) == found


@pytest.mark.parametrize("source", ["t(label)", "t(`Step ${step}`)", 't(many ? "{n}" : "one")'])
def test_a_key_that_is_not_written_out_is_refused(source: str) -> None:
    with pytest.raises(AssertionError, match=r"a\.js:1: write the key where it is said"):
        list(keys_of(source, "a.js"))
