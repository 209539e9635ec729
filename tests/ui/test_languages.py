"""The page in another language, in a real browser: nothing is left over, nothing loops, and the way back is whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ui.conftest import is_wrong
from tests.ui.hands import module, whole
from webui.ui import Page

# What stands on the page and is nobody's to translate here: names of the test's own task and extensions,
# and Gradio's foot, which is not shown.
GRADIOS = "footer:not(.easel-foot), .meta-text, .meta-text-center, .progress-text"  # its clock too
I18N = module("i18n.js") + ".i18n"
OURS = f"(element) => !element.closest('{GRADIOS}')"
OWN = {
    *("Poster", "Print", "Border", "Tilt", "Paper", "Plain", "Rice paper", "Enlarge by", "Frame"),
    *(
        "Caption",
        "Grain",
        "Pattern",
        "Stencil",
        "Frames",
        "Pattern: choose a file",
        "flat",
        "/home/me/mine",
    ),
}


def speak(tab: Any, code: str) -> None:
    tab.evaluate(f"async (code) => {I18N}.choose(code)", code)
    tab.wait_for_function(f"async (code) => {I18N}.language === code", arg=code)


@pytest.fixture
def tab_of(page: Page, window: Any) -> Any:
    opened = window.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if is_wrong(said) else None)
    opened.goto(page.url)
    opened.locator("#txt2img-prompt textarea").wait_for()
    opened.wait_for_function(f"async () => {I18N}.ready")
    yield opened
    opened.evaluate("localStorage.removeItem('easel-language')")
    opened.close()
    assert not wrong


def left_over(tab: Any) -> list[str]:
    found = tab.evaluate(f"async () => {I18N}.missing({OURS})")
    return [text for text in found if text not in OWN and not any(own in text for own in OWN)]


def test_in_german_no_tab_has_an_english_word_left(tab_of: Any) -> None:
    tab = tab_of
    speak(tab, "de")
    assert tab.evaluate("document.documentElement.lang") == "de"
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
        assert left_over(tab) == [], bar.nth(number).inner_text()
    assert bar.first.inner_text() == "Text zu Bild"


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


def test_what_is_drawn_later_is_translated_and_what_is_somebodys_own_is_not(tab_of: Any) -> None:
    tab = tab_of
    speak(tab, "de")
    tab.evaluate(
        """() => { const made = document.createElement('div'); made.id = 'later';
        made.innerHTML = '<p title="Cancel">Step 7 of 20, 3 s left</p><p translate="no">Cancel</p>' +
          '<pre>Cancel</pre><textarea placeholder="Cancel">Cancel</textarea><b> Cancel </b>' +
          '<i>512 × 512 · 20 steps</i><u>Bundled · imported in 3 ms · 8 ms in its hooks</u>';
        document.body.append(made); }"""
    )
    later = tab.locator("#later")
    tab.wait_for_function("document.querySelector('#later b').textContent === ' Abbrechen '")
    assert later.locator("p").first.inner_text() == "Schritt 7 von 20, noch 3 s"
    assert later.locator("p").first.get_attribute("title") == "Abbrechen"
    assert later.locator("i").inner_text() == "512 × 512 · 20 Schritte"
    facts = "Mitgeliefert · importiert in 3 ms · 8 ms in seinen Hooks"
    assert later.locator("u").inner_text() == facts
    assert later.locator("p").nth(1).inner_text() == "Cancel"
    assert later.locator("pre").inner_text() == "Cancel"
    assert later.locator("textarea").input_value() == "Cancel"
    assert later.locator("textarea").get_attribute("placeholder") == "Abbrechen"
    speak(tab, "en")
    assert later.locator("p").first.inner_text() == "Step 7 of 20, 3 s left"


def test_the_page_comes_to_rest(tab_of: Any) -> None:
    """The translator hears its own changes; a loop would change the page for ever."""
    tab = tab_of
    speak(tab, "de")
    changes = tab.evaluate(
        """() => new Promise((done) => { let count = 0;
        const observer = new MutationObserver((records) => { count += records.length; });
        const node = document.querySelector('.easel-name p').firstChild;
        observer.observe(node, { characterData: true });
        node.data = 'Cancel';
        let frames = 0; const next = () => ++frames < 20 ? requestAnimationFrame(next) : done([count, node.data]);
        next(); })"""
    )
    assert changes == [2, "Abbrechen"]  # ours, and the translation


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
    tab.wait_for_function(f"async () => {I18N}.ready")
    assert tab.evaluate(f"async () => {I18N}.language") == page_speaks
    context.close()


def test_a_form_is_sent_the_same_in_any_language(tab_of: Any, painter: Any) -> None:
    tab = tab_of
    speak(tab, "de")
    tab.get_by_role("tab", name="Text zu Bild").click()
    tab.locator("#txt2img-prompt textarea").fill("Cancel")
    tab.locator(".easel-generate:visible").click()
    tab.wait_for_function("document.querySelector('.stage-picture[src]')")
    sent = painter.submitted[-1]
    assert (sent.prompt, sent.scheduler) == ("Cancel", "automatic"), json.dumps(sent.prompt)


def test_a_closed_menu_says_its_choice_in_the_language_and_sends_it_in_english(tab_of: Any) -> None:
    field = tab_of.locator("#txt2img-scheduler input")
    field.wait_for(state="attached")
    speak(tab_of, "de")
    shown = tab_of.locator("#txt2img-scheduler [data-said=Automatisch]")
    shown.wait_for(state="attached")
    assert field.get_attribute("aria-description") == "Automatisch"
    assert field.input_value() == "Automatic"
    speak(tab_of, "en")
    shown.wait_for(state="detached")
    assert field.get_attribute("aria-description") is None
