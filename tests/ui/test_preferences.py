"""The Settings tab and the page's foot in a real browser."""

from __future__ import annotations

from typing import Any

import httpx
import pytest


def value(http: httpx.Client, name: str) -> Any:
    told = http.get("/api/settings").json()
    found = [one for group in told["groups"] for one in group["settings"] if one["name"] == name]
    return found[0]["value"]


@pytest.fixture
def prefs(same_tab: Any, http: httpx.Client) -> Any:
    """The tab, with everything at its default."""
    told = http.get("/api/settings").json()
    settings = [one for group in told["groups"] for one in group["settings"]]
    names = [one["name"] for one in settings if not one["fixed"]]
    http.patch("/api/settings", json=dict.fromkeys(names)).raise_for_status()
    for name in ("Text to image", "Settings"):  # what others have changed is seen on coming back
        same_tab.get_by_role("tab", name=name).click()
    same_tab.locator(".prefs-row").first.wait_for()
    same_tab.wait_for_function("!document.querySelector('.prefs-row[data-changed=yes]')")
    return same_tab


def row(tab: Any, name: str) -> Any:
    return tab.locator(f".prefs-row[data-name={name}]")


def test_a_change_is_kept_marked_and_reset(prefs: Any, http: httpx.Client) -> None:
    quality = row(prefs, "quality")
    assert not quality.locator(".prefs-mark").is_visible()
    quality.locator("input").fill("70")
    quality.locator(".prefs-mark").wait_for()
    prefs.locator(".prefs-saved", has_text="Saved").wait_for()
    assert value(http, "quality") == 70
    quality.get_by_role("button", name="Reset").click()
    quality.locator(".prefs-mark").wait_for(state="hidden")
    assert (quality.locator("input").input_value(), value(http, "quality")) == ("90", 90)
    prefs.get_by_role("button", name="Undo").click()
    quality.locator(".prefs-mark").wait_for()
    assert value(http, "quality") == 70


def test_what_is_chosen_last_holds_however_slow_the_server(prefs: Any, http: httpx.Client) -> None:
    """A switch is pressed twice before the first press is answered."""
    asked: list[Any] = []

    def slowly(route: Any) -> None:
        if route.request.method == "PATCH":
            asked.append(route)
        if len(asked) != 1 or route is not asked[0]:
            route.continue_()

    prefs.route("**/api/settings", slowly)
    switch = row(prefs, "previews").get_by_role("switch")
    with prefs.expect_request(lambda request: request.method == "PATCH"):
        switch.click()
    switch.click()
    with prefs.expect_response(lambda answer: answer.request is not asked[0].request):
        prefs.evaluate("new Promise((then) => setTimeout(then))")
        asked[0].continue_()
    prefs.unroute("**/api/settings")
    prefs.locator(".prefs-row[data-changed=yes]").wait_for(state="detached")
    assert (switch.get_attribute("aria-checked"), value(http, "previews")) == ("true", True)


def test_what_is_wrong_is_said_beside_it_and_not_kept(prefs: Any, http: httpx.Client) -> None:
    pattern = row(prefs, "file_pattern")
    prefs.wait_for_function("document.querySelector('.prefs-sample').textContent.endsWith('.png')")
    pattern.locator("input").fill("[sede]")
    pattern.locator(".prefs-error", has_text="[sede] is not known").wait_for()
    assert pattern.locator("input").get_attribute("aria-invalid") == "true"
    assert value(http, "file_pattern") == "[date]/[number]-[seed]"
    pattern.locator("input").fill("[model]/[seed]")
    prefs.wait_for_function(
        "document.querySelector('.prefs-sample').textContent === 'starter/1234567890.png'"
    )
    pattern.locator(".prefs-error").wait_for(state="hidden")
    prefs.locator(".prefs-saved", has_text="Saved").wait_for()
    assert value(http, "file_pattern") == "[model]/[seed]"


def test_the_search_finds_settings_by_their_words(prefs: Any) -> None:
    search = prefs.get_by_role("searchbox", name="Search settings")
    search.fill("jpeg quality")
    visible = prefs.locator(".prefs-row:visible")
    assert [visible.nth(i).get_attribute("data-name") for i in range(visible.count())] == [
        "quality"
    ]
    search.fill("nothing like it")
    prefs.get_by_text("No setting fits.").wait_for()
    search.press("Escape")
    assert prefs.locator(".prefs-row:visible").count() > 15


def test_what_needs_a_restart_is_told_until_then(prefs: Any) -> None:
    prefs.locator(".prefs-restart").wait_for(state="detached")
    row(prefs, "deterministic").get_by_role("switch").click()
    banner = prefs.locator(".prefs-restart", has_text="Restart Easel to apply")
    banner.wait_for()
    assert "Deterministic" in banner.inner_text()
    row(prefs, "deterministic").get_by_role("switch").click()
    banner.wait_for(state="detached")


def test_only_what_was_changed_is_shown_and_all_of_it_reset(prefs: Any, http: httpx.Client) -> None:
    row(prefs, "previews").get_by_role("switch").click()
    row(prefs, "picture_format").get_by_role("radio", name="WebP").click()
    prefs.get_by_role("button", name="Changed: 2").click()
    assert prefs.locator(".prefs-row:visible").count() == 2
    prefs.get_by_role("button", name="Reset all").click()
    prefs.wait_for_function("!document.querySelector('.prefs-row[data-changed=yes]')")
    assert (value(http, "previews"), value(http, "picture_format")) == (True, "png")


def test_defaults_that_are_chosen_reach_the_form(prefs: Any, http: httpx.Client) -> None:
    editor = row(prefs, "own_defaults")
    editor.get_by_role("button", name="Add defaults").click()
    editor.get_by_label("Add a value").select_option("clip_skip")
    editor.get_by_label("Clip skip").fill("2")
    editor.get_by_label("Add a value").select_option("eta")  # a sampler's option
    editor.get_by_label("Eta").fill("0.5")
    prefs.wait_for_function(
        """() => fetch('api/settings').then((a) => a.json()).then((told) => told.groups.flatMap((g) => g.settings)
        .find((one) => one.name === 'own_defaults').value[0]?.values)
        .then((now) => now?.clip_skip === 2 && now.eta === 0.5)"""
    )
    prefs.get_by_role("tab", name="Text to image").click()
    prefs.wait_for_function(
        "document.querySelector('#txt2img-clip_skip input[type=number]')?.value === '2'"
        " && document.querySelector('#txt2img-eta :is(input, textarea)').value === '0.5'"
    )


def test_defaults_changed_again_at_once_reach_the_form_too(prefs: Any, http: httpx.Client) -> None:
    """Before the form has heard of those before."""
    held: list[Any] = []

    def hold_one(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    prefs.route("**/gradio_api/queue/data*", hold_one)
    editor = row(prefs, "own_defaults")
    with prefs.expect_request("**/gradio_api/queue/data*"):  # it may come with the first of the two
        editor.get_by_role("button", name="Add defaults").click()
        editor.get_by_label("Add a value").select_option("clip_skip")
    with prefs.expect_response(lambda answer: answer.request.method == "PATCH"):
        editor.get_by_label("Clip skip").fill("3")
    prefs.locator(".prefs-saved", has_text="Saved").wait_for()
    held[0].continue_()
    prefs.get_by_role("tab", name="Text to image").click()
    prefs.wait_for_function(
        "document.querySelector('#txt2img-clip_skip input[type=number]')?.value === '3'"
    )
    prefs.unroute("**/gradio_api/queue/data*")


def test_the_look_is_the_visitors_own_before_the_studios(prefs: Any, http: httpx.Client) -> None:
    dark = "document.body.classList.contains('dark')"
    row(prefs, "look").get_by_role("radio", name="Dark").click()
    prefs.wait_for_function(dark)
    mine = prefs.locator(".prefs-group").first.get_by_role("radiogroup", name="Look")
    mine.get_by_role("radio", name="Light").click()
    prefs.wait_for_function("!" + dark)
    mine.get_by_role("radio", name="As set for everyone").click()
    prefs.wait_for_function(dark)
    row(prefs, "look").get_by_role("radio", name="System").click()
    prefs.wait_for_function("!" + dark)


def test_every_control_has_a_name(prefs: Any) -> None:
    nameless = prefs.evaluate(
        """() => [...document.querySelectorAll('.easel-preferences :is(input, select, button)')]
        .filter((one) => !(one.ariaLabel || one.textContent.trim())).map((one) => one.outerHTML)"""
    )
    assert nameless == []


# --- The foot --------------------------------------------------------------------------------------


def test_the_foot_says_what_runs(same_tab: Any) -> None:
    foot = same_tab.locator(".easel-foot")
    same_tab.wait_for_function("document.querySelector('.foot-model').textContent === 'flat'")
    assert foot.locator(".foot-family").inner_text().startswith("SD 1.x")
    assert foot.locator(".foot-version").inner_text().startswith("Easel ")
    assert same_tab.locator("footer:visible").count() == 1  # Gradio's own is not shown
    foot.get_by_role("button", name="Queue empty").click()
    same_tab.locator("#queue-list").wait_for()


def test_the_foots_links_lead_somewhere(same_tab: Any, http: httpx.Client) -> None:
    link = same_tab.locator(".easel-foot a", has_text="HTTP API")
    assert http.get("/" + link.get_attribute("href")).status_code == 200
