"""What assets/gradio.js and gradio.css lean on of Gradio's page, and what breaks with it: a test for each name that the
module exports, on a page of Gradio's own in Chromium. `make gradio-next` runs them with the newest release.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
import pytest

from webui.sentences import Sentence
from webui.ui import Page
from webui.ui import gradio_adapter as adapter
from webui.ui.modules import joined
from webui.ui.theme import ASSETS
from webui.ui.translations import english, key

pytestmark = pytest.mark.browser

CODE = joined({one.name: one.read_text("utf-8") for one in ASSETS.glob("*.js")}, "gradio.js")
LOAD = """async (code) => { window.heard = [];
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const { modules } = await import(address);
    window.ours = modules["gradio.js"];
    window.speak = modules["i18n.js"].speak; }"""
NASTY = "`${alert(1)}` {{value}} <b> \\ & \"'"
SHOWN = "[...document.querySelectorAll('#shown, #shown *')].find((one) => one.go)"
UPLOADS = """upload(new File(["x"], "ä.png")).then(({ path, url }) => { element.dataset.path = path;
    element.dataset.url = url; });"""


def stream() -> Iterator[Any]:
    yield {"number": 1}
    yield {"number": 2}
    yield adapter.last_again(1)


def texts() -> Iterator[Any]:
    for number in (1, 2):
        yield gr.HTML(told=adapter.as_text({"number": number}))


def say() -> None:
    adapter.say(Sentence('{number} of <b> & "{name}"', number=2, name="{x}"))


def draw() -> gr.Blocks:
    """A page with a component of each kind that ours has."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        with gr.Column(elem_classes="controls"):
            words = gr.Textbox("", lines=2, elem_id="words")
            slide = gr.Slider(1, 9, 5, step=1, elem_id="slide")
            gr.Number(3, elem_id="count")
            menu = gr.Dropdown([("One", "1"), ("Two", "2")], value="1", elem_id="menu")
            gr.Checkbox(False, label=key("Tick it"), elem_id="tick")
        heard = gr.Textbox("", elem_id="heard")
        js = "(...values) => values.join('/')"
        send = gr.Button("send", elem_id="send")
        send.click(None, [words, slide], heard, js=js, api_visibility="private")
        changed = gr.Button("change", elem_id="change")
        js = "() => [window.ours.updated({ value: 'new' }), window.ours.updated()]"
        changed.click(None, None, [words, menu], js=js, api_visibility="private")
        js = "watch('value', () => window.heard?.push({ ...props.value })); // 'go' 'tell'"
        js += "\nwatch('told', () => window.heard?.push(JSON.parse(props.told)));"
        shown = gr.HTML({}, js_on_load=f"{js}\nelement.go = trigger", elem_id="shown")
        shown.go(stream, None, shown, api_visibility="private")
        shown.tell(texts, None, shown, api_visibility="private")
        for name, act in (("say", say), ("warn", lambda: gr.Warning("Gradio's <b>own</b>"))):
            gr.Button(name, elem_id=name).click(act, None, None, api_visibility="private")
        gr.HTML("", js_on_load=UPLOADS, elem_id="upload")
        gr.HTML("", html_template=f"<p>{adapter.plain(NASTY)}</p>", elem_id="plain")
        with gr.Accordion("More", open=False, elem_id="more"):
            gr.Textbox("first", elem_id="inner")
        with gr.Tabs(elem_classes="bar"):
            with gr.Tab("First", id="one"):
                gr.HTML("<p id='first'>1</p>")
            with gr.Tab(key("Second"), id="two"):
                js = f"element.dataset.told = {adapter.literal([NASTY, '</script>'])}[0]"
                gr.HTML("<p>2</p>", js_on_load=js, elem_id="second")
    return blocks


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    blocks = draw()
    blocks.launch(
        prevent_thread_lock=True,
        quiet=True,
        footer_links=["api"],
        css="#mark { color: rgb(1, 2, 3) }",
        i18n=gr.I18n(**english(adapter.components_of(blocks))),
        **adapter.UNWATCHED,
    )
    yield blocks.local_url
    blocks.close(verbose=False)


@contextmanager
def opened(window: Any, address: str) -> Iterator[Any]:
    """A browser tab with the page, drawn, and our module in it."""
    tab = window.new_page()
    tab.goto(address)
    for field in ("words textarea", "slide input", "count input", "menu input", "tick input"):
        tab.locator(f"#{field}").first.wait_for()
    tab.evaluate(LOAD, CODE)
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def tab(window: Any, bare: str) -> Iterator[Any]:
    with opened(window, bare) as tab:
        yield tab


# --- Fields ---------------------------------------------------------------------------------------


def test_field_of_is_what_somebody_fills_in(tab: Any) -> None:
    """No value of a form would be read: titles of groups, what a reload keeps, tokens, sizes, seeds."""
    kinds = {"words": "text", "slide": "number", "count": "number", "menu": "menu"}
    values = tab.evaluate(
        "(kinds) => Object.entries(kinds).map(([id, kind]) => ours.fieldOf(id, kind).value)", kinds
    )
    assert values == ["", "5", "3", "One"]
    assert tab.evaluate("ours.fieldOf('tick', 'switch').checked") is False
    assert tab.evaluate("ours.fieldOf('nothing', 'text')") is None
    inside = "ours.fieldOf(document.querySelector('.controls'), 'number').closest('[id]').id"
    assert tab.evaluate(inside)


def test_fill_field_is_heard_as_if_typed(tab: Any) -> None:
    """Sizes, seeds and what is put back would be seen and not sent."""
    fill = "([id, kind, value]) => ours.fillField(ours.fieldOf(id, kind), value)"
    tab.evaluate(fill, ["words", "text", "typed"])
    tab.evaluate(fill, ["slide", "number", 7])
    tab.wait_for_function(
        """() => { document.getElementById("send").click();
        return ours.fieldOf("heard", "text").value === "typed/7"; }"""
    )


# --- Values ---------------------------------------------------------------------------------------


def test_updated_changes_what_it_names_alone(tab: Any) -> None:
    """A model's values would replace what somebody has changed, or nothing."""
    tab.locator("#change").click()
    tab.wait_for_function("() => ours.fieldOf('words', 'text').value === 'new'")
    assert tab.evaluate("ours.fieldOf('menu', 'menu').value") == "One"


def test_held_value_outlasts_a_stream_that_leaves_it_as_it_is(tab: Any) -> None:
    """A stage would be emptied by its own answer."""
    tab.evaluate("() => { heard.length = 0; }")
    tab.evaluate(f"() => {SHOWN}.go('go', {{}})")
    tab.wait_for_function("() => heard.some((one) => one.number === 2)")
    for _ in range(20):
        tab.evaluate("() => new Promise(requestAnimationFrame)")
    held = "heard.reduce((before, one) => ours.heldValue(one, 'number', before), {}).number"
    assert tab.evaluate(held) == 2
    assert tab.evaluate("ours.heldValue({ __type__: 'update' }, 'number', { number: 1 })") == {
        "number": 1
    }


def test_as_text_is_heard_each_time(tab: Any) -> None:
    """The pictures of jobs that the stage does not show would not come."""
    tab.evaluate("() => { heard.length = 0; }")
    tab.evaluate(
        "() => [...document.querySelectorAll('#shown, #shown *')].find((one) => one.go).go('tell', {})"
    )
    tab.wait_for_function("() => heard.some((one) => one.number === 2)")


def test_first_drawn_tells_value_limits_and_choices(tab: Any) -> None:
    """What a reload keeps would be put back unchecked, or not at all."""
    slide, menu = tab.evaluate("['slide', 'menu'].map((id) => ours.firstDrawn().get(id))")
    assert (slide["minimum"], slide["maximum"], slide["value"]) == (1, 9, 5)
    assert (menu["choices"], menu["value"]) == ([["One", "1"], ["Two", "2"]], "1")


def test_when_settled_nothing_replaces_what_is_typed(tab: Any) -> None:
    """What somebody types into a group that was just drawn would be lost."""
    tab.evaluate("() => ours.openerOf(document.getElementById('more')).click()")
    tab.locator("#inner :is(textarea, input)").wait_for(state="attached")
    kept = tab.evaluate(
        """async () => { await new Promise(ours.whenSettled);
        ours.fillField(ours.fieldOf("inner", "text"), "typed");
        for (let i = 0; i < 20; i++) await new Promise(requestAnimationFrame);
        return ours.fieldOf("inner", "text").value; }"""
    )
    assert kept == "typed"


# --- Places ---------------------------------------------------------------------------------------


def test_opener_of_has_the_title(tab: Any) -> None:
    """Groups could not be folded, and their titles would not tell of what is in them."""
    assert (
        tab.evaluate(
            "ours.openerOf(document.getElementById('more')).querySelector('span').textContent.trim()"
        )
        == "More"
    )


def test_is_drawn_when_an_accordion_is_open(window: Any, bare: str) -> None:
    """Folded groups would be opened again and again, or never."""
    with opened(window, bare) as page:
        drawn = "() => [ours.isDrawn(document.getElementById('more')), Boolean(document.getElementById('inner'))]"
        assert page.evaluate(drawn) == [False, False]
        page.wait_for_function(  # Gradio may not listen yet
            """() => { const more = document.getElementById("more");
            if (!ours.isDrawn(more)) ours.openerOf(more).click();
            return ours.isDrawn(more); }"""
        )
        page.locator("#inner").wait_for(state="attached")


def test_tab_of_finds_tab_and_panel(tab: Any) -> None:
    """What is inserted into a prompt, or looked at in the gallery, would stay out of sight."""
    found = tab.evaluate(
        """() => { const { tab, panel } = ours.tabOf(document.getElementById("first"));
        return [tab.textContent.trim(), panel.contains(document.getElementById("first"))]; }"""
    )
    assert found == ["First", True]


def test_chosen_tab_follows_the_choice_and_literal_what_it_is_told(tab: Any) -> None:
    """On a phone the chosen tab would be out of sight; and in a tab opened later nothing would be told."""
    chosen = "() => ours.chosenTab(document.querySelector('.bar'))?.textContent.trim()"
    assert tab.evaluate(chosen) == "First"
    tab.get_by_role("tab", name="Second").first.click()
    tab.wait_for_function(f"() => ({chosen})() === 'Second'")
    bar = "ours.chosenTab(document.querySelector('.bar')).parentElement"
    assert tab.evaluate(f"getComputedStyle({bar}).display") == "flex"
    told = "() => [...document.querySelectorAll('#second, #second *')].map((one) => one.dataset.told).find(Boolean)"
    tab.wait_for_function(told)
    assert tab.evaluate(told) == NASTY


def test_tabs_of_and_choose_tab_go_by_ids_and_on_tabs_hears_of_it(tab: Any) -> None:
    """No tab would have an address, and Back would change none."""
    ids = tab.evaluate(
        """() => { const bar = document.querySelector(".bar"); window.heard = 0;
        ours.onTabs(bar, () => { heard++; }); ours.chooseTab(bar, "two");
        return ours.tabsOf(bar).map((one) => one.id); }"""
    )
    assert ids == ["one", "two"]
    chosen = "ours.tabsOf(document.querySelector('.bar')).find((one) => one.chosen)"
    tab.wait_for_function(f"() => {chosen}?.id === 'two'")
    tab.evaluate("heard = 0; ours.chooseTab(document.querySelector('.bar'), 'one')")
    tab.wait_for_function(f"() => {chosen}?.id === 'one' && heard > 0")
    tab.evaluate("ours.chooseTab(document.querySelector('.bar'), 'nothing')")
    assert tab.evaluate(f"{chosen}.tab.textContent.trim()") == "First"


def test_bar_of_tabs_holds_the_tabs(tab: Any) -> None:
    """What is said over the page would lie on them."""
    bar = "ours.barOfTabs(document.querySelector('.bar'))"
    assert tab.evaluate(f"[...{bar}.querySelectorAll('[role=tab]')].length") >= 2
    assert tab.evaluate("ours.barOfTabs(null)") is None


def test_take_messages_and_say_keep_keys_and_values(tab: Any) -> None:
    """What is said over the page would be English in every language, in a box over tabs and prompt."""
    tab.evaluate(
        "() => { window.said = []; ours.takeMessages((told, ours) => said.push([told, ours])); }"
    )
    tab.locator("#say").click()
    tab.wait_for_function("() => said.length === 1")
    tab.locator("#warn").click()
    tab.wait_for_function("() => said.length === 2")
    assert tab.evaluate("said") == [
        [['{number} of <b> & "{name}"', {"number": 2, "name": "{x}"}], True],
        ["Gradio's own", False],
    ]


def test_panel_of_is_what_the_tab_shows_and_beside_tabs_is_in_the_row(tab: Any) -> None:
    """Nobody could skip the bar, and tabs without room could not be chosen."""
    bar = "document.querySelector('.bar')"
    tab.evaluate(f"ours.chooseTab({bar}, 'one')")
    tab.wait_for_function(
        f"ours.panelOf({bar})?.contains(document.getElementById('first')) ?? false"
    )
    beside = tab.evaluate(
        f"""() => {{ const added = document.createElement("button"); ours.besideTabs({bar}, added);
        const [one] = ours.tabsOf({bar}).map(({{ tab }}) => tab.parentElement);
        const found = [added.previousElementSibling === one, one.contains(added)]; added.remove(); return found; }}"""
    )
    assert beside == [True, False]


def test_hush_sign_and_name_numbers_leave_labels_alone_to_be_read(tab: Any) -> None:
    """Every group would be read out with a triangle, every number with what it is."""
    tab.evaluate("ours.hushSign(document.getElementById('more')); ours.nameNumbers()")
    sign = "ours.openerOf(document.getElementById('more')).lastElementChild"
    assert tab.evaluate(f"[{sign}.textContent.trim(), {sign}.ariaHidden]") == ["▼", "true"]
    names = tab.evaluate(
        "[...document.querySelectorAll('#slide input')].map((one) => [one.ariaLabel, one.type])"
    )
    label = tab.locator("#slide [data-testid=block-info]").inner_text().strip()
    assert sorted(names) == [[label, "number"], [label, "range"]]


def test_plain_is_shown_as_it_is(tab: Any) -> None:
    """A control's label could be run."""
    assert tab.locator("#plain p").text_content() == NASTY


def test_root_of_styles_is_where_our_rules_hold(tab: Any) -> None:
    """Menus, toasts and dialogs would be drawn without our styles."""
    colour = tab.evaluate(
        """() => { const mark = document.createElement("p"); mark.id = "mark";
        ours.rootOfStyles().append(mark); return getComputedStyle(mark).color; }"""
    )
    assert colour == "rgb(1, 2, 3)"


# --- Words ----------------------------------------------------------------------------------------


def test_gradio_text_is_what_is_drawn_for_a_key(tab: Any) -> None:
    """A menu's choice would be found by no value, so that it is not kept, and not put back."""
    label = "ours.gradioText(ours.firstDrawn().get('tick').label)"
    assert tab.evaluate(label) == tab.locator("#tick label").text_content().strip() == "Tick it"
    assert tab.evaluate("ours.gradioText('Plain')") == "Plain"


def test_draw_gradio_in_waits_for_gradio_is_drawn_and_translates_all(
    window: Any, bare: str
) -> None:
    """Labels and Gradio's own words would stay in English, or half of them."""
    with opened(window, bare) as page:
        page.evaluate(
            """(address) => { document.head.append(Object.assign(document.createElement("meta"),
            { name: "easel-gradio", content: address }));
            window.drawn = false;
            const words = { "Tick it": "Ankreuzen", "Second": "Zweiter" };
            speak(words);
            ours.drawGradioIn("de", words).then(() => { window.drawn = true; }); }""",
            adapter.language_module(),
        )
        assert page.evaluate("drawn") is False
        page.evaluate("() => ours.gradioIsDrawn()")
        page.wait_for_function("() => drawn")
        page.locator("#tick", has_text="Ankreuzen").wait_for()
        page.get_by_role("tab", name="Zweiter").first.wait_for()


# --- Addresses ------------------------------------------------------------------------------------


def test_upload_at_is_the_path_of_an_upload(tab: Any) -> None:
    """A picture that was uploaded could not be handed on from one form to another."""
    place = "[...document.querySelectorAll('#upload, #upload *')].find((one) => one.dataset.url)"
    tab.wait_for_function(f"() => {place}")
    path, url = tab.evaluate(f"() => [{place}.dataset.path, {place}.dataset.url]")
    address = tab.evaluate("(url) => new URL(url, document.baseURI).pathname.slice(1)", url)
    assert tab.evaluate("(address) => ours.uploadAt(address)", address) == path
    assert tab.evaluate("ours.uploadAt('api/pictures/1/file')") is None


def test_asks_for_theme_where_gradio_answers(window: Any, bare: str) -> None:
    """Our choice of light or dark would stand against the address."""
    with opened(window, f"{bare}?__theme=dark") as page:
        page.wait_for_function("() => document.body.classList.contains('dark')")
        assert page.evaluate("ours.asksForTheme()") is True


def test_take_api_view_and_open_api_view_show_what_programmers_need(window: Any, bare: str) -> None:
    """The link to the Gradio API would lead to a page without it."""
    with opened(window, bare) as page:
        page.evaluate("() => history.replaceState(null, '', '?view=api')")
        assert page.evaluate("[ours.takeApiView(), ours.takeApiView(), location.search]") == [
            True,
            False,
            "",
        ]
        page.evaluate("() => ours.openApiView()")
        page.locator(".api-docs").wait_for()


# --- Styles ---------------------------------------------------------------------------------------

STATES = re.compile(r"::?(focus-visible|after|before|-webkit-[\w-]+)")
NOT_NOW = (
    ".loading",
    ".easel-wrong",
    "[data-drawn=",
    "not([data-fold])",
    ".easel-note",
    ".toast-wrap",
    "[data-after=",
    "[data-before=",
)  # what comes and goes


def test_every_rule_of_gradio_css_is_about_something(tab: Any, window: Any, page: Page) -> None:
    """The page would look as Gradio draws it, where it names something by another name now."""
    text = re.sub(r"/\*.*?\*/", "", (ASSETS / "gradio.css").read_text(encoding="utf-8"), flags=re.S)
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", re.sub(r"@media[^{]*\{", "", text))
    selectors = {
        STATES.sub("", one.strip()) for rule in rules for one in re.split(r",(?![^(]*\))", rule)
    }
    ours = window.new_page()
    ours.goto(page.url)
    ours.locator(".easel-task:visible .easel-generate").wait_for()
    for name in ("Inpaint", "Poster", "Text to image"):
        ours.get_by_role("tab", name=name).first.click()
        ours.wait_for_function(
            """() => [...document.querySelectorAll(".easel-task")].filter((task) => task.offsetParent)
            .every((task) => !task.querySelector(".easel-group > button:not(.open)"))"""
        )
    ours.evaluate("() => document.body.classList.add('dark')")
    lost = ours.evaluate(
        "(all) => all.filter((one) => !document.querySelector(one))", sorted(selectors)
    )
    ours.close()
    assert [one for one in lost if not any(word in one for word in NOT_NOW)] == []
    assert len(selectors) > 60
