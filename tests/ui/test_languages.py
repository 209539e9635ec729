"""The page in another language, in a real browser: nothing is without a key, and the way back is whole."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ui.conftest import is_wrong
from tests.ui.hands import module, whole
from tests.ui.test_access import violations
from tests.ui.words import languages
from webui.ui import Page

# What stands on the page and has no key: names of the test's own task and extensions, and Gradio's own foot and clock.
LANGUAGE = module("language.js") + ".language"
OWN = {
    *("Poster", "Print", "Border", "Tilt", "Paper", "Plain", "Rice paper", "Enlarge by", "Frame"),
    *("Caption", "Grain", "Pattern", "Stencil", "Frames", "flat", "/home/me/mine", "English"),
}
LEFT_OVER = """() => {
  const found = new Set(), walker = document.createTreeWalker(document.body, 5);
  const nobodys = "[translate=no], script, style, " +
    "footer:not(.easel-foot), .meta-text, .meta-text-center, .progress-text";
  const check = (text) => {
    const time = /^[\\d/.]+, [\\d:]+( [AP]M)?$/; // as the browser writes it
    const plain = text.trim().replace(/\\s/g, " ");
    const words = /\\p{L}/u.test(plain) && !/^[\\d.,]+ ?(s|ms|px)$/.test(plain) && !time.test(plain);
    if (words && !text.includes("⟦")) found.add(text.trim());
  };
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.nodeType === 3 ? node.parentElement : node;
    if (element.closest(nobodys)) continue;
    if (node.nodeType === 1)
      for (const name of ["aria-label", "title", "placeholder", "alt"]) check(element.getAttribute(name) || "");
    else if (!element.closest("pre, code, textarea")) check(node.data);
  }
  return [...found];
}"""


def speak(tab: Any, code: str) -> None:
    language = module("language.js")
    tab.evaluate(f"async (code) => {language}.chooseLanguage(code)", code)
    tab.wait_for_function(f"async (code) => {language}.language.code === code", arg=code)


def use(tab: Any, code: str, words: dict[str, str]) -> None:
    """A language that no file holds."""
    told = {"code": code, "words": words}
    tab.evaluate(f"async (told) => {module('language.js')}.use(told)", told)


@pytest.fixture
def tab_of(page: Page, window: Any) -> Any:
    opened = window.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if is_wrong(said) else None)
    opened.goto(page.url)
    opened.locator("#txt2img-prompt textarea").wait_for()
    opened.wait_for_function(f"async () => {LANGUAGE}.ready")
    yield opened
    opened.evaluate("localStorage.removeItem('easel-language')")
    opened.close()
    assert not wrong


def test_german_on_the_narrowest_phone_has_no_serious_fault(tab_of: Any) -> None:
    """Its words are the longest: none leaves the window, and whoever cannot see the page can use it."""
    tab = tab_of
    speak(tab, "de")
    tab.set_viewport_size({"width": 320, "height": 640})
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    wrong = {}
    bar = tab.locator(".easel-tabs > .tab-wrapper [role=tab]")
    for number in range(bar.count()):
        tab.evaluate(
            "(n) => document.querySelectorAll('.easel-tabs > .tab-wrapper [role=tab]')[n].click()",
            number,
        )
        tab.wait_for_function(
            "(n) => document.querySelectorAll('.easel-tabs > .tab-wrapper [role=tab]')[n].ariaSelected === 'true'",
            arg=number,
        )
        whole(tab)
        found = [*violations(tab), *(["scrolls sideways"] if tab.evaluate(wide) else [])]
        if found:
            wrong[bar.nth(number).inner_text()] = found
    assert wrong == {}


def test_nothing_on_the_page_is_without_a_key(tab_of: Any) -> None:
    """In a language that puts every sentence into brackets, what has none was put there without a key."""
    tab = tab_of
    use(tab, "eo", {text: f"⟦{text}⟧" for text in languages()["de"]})
    bar = tab.locator(".easel-tabs > .tab-wrapper [role=tab]")
    for number in range(bar.count()):
        bar.nth(number).click()
        tab.wait_for_function(
            "(n) => document.querySelectorAll('.easel-tabs > .tab-wrapper [role=tab]')[n].ariaSelected === 'true'",
            arg=number,
        )
        if number == bar.count() - 1:
            tab.locator(".prefs-row").first.wait_for()
            tab.locator(".defaults-add select").first.wait_for()
        whole(tab)
        left = [text for text in tab.evaluate(LEFT_OVER) if not any(own in text for own in OWN)]
        assert left == [], bar.nth(number).inner_text()


def test_the_page_speaks_german(tab_of: Any) -> None:
    tab = tab_of
    speak(tab, "de")
    assert tab.evaluate("document.documentElement.lang") == "de"
    bar = tab.locator(".easel-tabs > .tab-wrapper [role=tab]")
    tab.wait_for_function(
        "document.querySelector('.easel-generate').textContent.trim() === 'Bild erzeugen'"
    )
    assert bar.first.inner_text() == "Text zu Bild" and "Bild zu Bild" in bar.all_inner_texts()


def test_back_in_english_everything_reads_as_before(tab_of: Any) -> None:
    tab = tab_of
    every = """() => { const found = [], walker = document.createTreeWalker(document.body, 4);
      while (walker.nextNode()) if (!walker.currentNode.parentElement
        .closest('footer, script, .meta-text, .meta-text-center, .progress-text'))
        found.push(walker.currentNode.data.trim()); return found.filter(Boolean).join('|'); }"""
    whole(tab)
    before = tab.evaluate(every)
    speak(tab, "de")
    german = tab.evaluate(every)
    speak(tab, "zh-Hans")
    assert len({before, german, tab.evaluate(every)}) == 3
    speak(tab, "en")
    assert tab.evaluate(every) == before
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_what_is_said_changes_with_the_language_until_something_else_stands_there(
    tab_of: Any,
) -> None:
    tab = tab_of
    tab.evaluate(
        f"""async () => {{ const {{ node, setText }} = {module("dom.js")};
        const {{ t, sentence, joined }} = {module("i18n.js")};
        const make = (name, ...more) => document.body.append(node("p", {{ id: name, title: t("Cancel") }}, ...more));
        make("said", sentence(["Step {{step}} of {{steps}}, {{time}} left", {{ step: 7, steps: 20, time: "3 s" }}]));
        make("facts", joined(" · ", ["512 × 512", "", t("{{number}} steps", {{ number: 20 }})]));
        make("somebodys", sentence("Cancel"));
        make("other", t("Cancel")); setText(document.getElementById("other"), "Save");
        make("written", t("Cancel")); document.getElementById("written").textContent = "Save"; }}"""
    )
    said = {
        name: tab.locator(f"#{name}") for name in ("said", "facts", "somebodys", "other", "written")
    }
    speak(tab, "de")
    assert {name: one.inner_text() for name, one in said.items()} == {
        "said": "Schritt 7 von 20, noch 3 s",
        "facts": "512 × 512 · 20 Schritte",
        "somebodys": "Cancel",
        "other": "Save",
        "written": "Save",
    }
    assert said["other"].get_attribute("title") == "Abbrechen"
    speak(tab, "en")
    assert said["said"].inner_text() == "Step 7 of 20, 3 s left"


@pytest.mark.parametrize(
    ("browser_speaks", "page_speaks"),
    [("de-AT", "de"), ("zh-CN", "zh-Hans"), ("zh-TW", "en"), ("fr", "en"), ("en-GB", "en")],
)
def test_the_browsers_language_is_the_first_guess(
    page: Page, browser: Any, browser_speaks: str, page_speaks: str
) -> None:
    context = browser.new_context(locale=browser_speaks)
    context.set_default_timeout(60_000)
    tab = context.new_page()
    tab.goto(page.url)
    tab.locator("#txt2img-prompt textarea").wait_for()
    tab.wait_for_function(f"async () => {LANGUAGE}.ready")
    assert tab.evaluate(f"async () => {LANGUAGE}.code") == page_speaks
    context.close()


def test_a_form_is_sent_the_same_in_any_language(tab_of: Any, painter: Any) -> None:
    """What somebody wrote is no key, though it reads like one."""
    tab = tab_of
    tab.get_by_role("tab", name="Text to image").click()
    tab.locator("#txt2img-prompt textarea").fill("Cancel")
    speak(tab, "de")
    tab.get_by_role("tab", name="Text zu Bild").wait_for()
    tab.locator(".easel-generate:visible").click()
    tab.wait_for_function("document.querySelector('.stage-picture[src]')")
    sent = painter.submitted[-1]
    assert (sent.prompt, sent.scheduler) == ("Cancel", "automatic")


def test_a_menu_speaks_the_language_and_keeps_its_choice(tab_of: Any, painter: Any) -> None:
    tab = tab_of
    field = tab.locator("#txt2img-scheduler input")
    field.wait_for(state="attached")
    reads = "(text) => document.querySelector('#txt2img-scheduler input').value === text"
    speak(tab, "de")
    tab.wait_for_function(reads, arg="Automatisch")
    titles = tab.locator("#txt2img-settings .group-values, .easel-task:visible .group-values")
    assert "Automatisch" not in "".join(titles.all_inner_texts())  # it is the usual choice
    speak(tab, "en")
    tab.wait_for_function(reads, arg="Automatic")
