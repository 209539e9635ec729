"""What the page tells of extensions, and who may switch them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.ui.hands import choose
from tests.ui.painter import Shelf, serving, shelf, until
from webui.settings import Settings
from webui.types import ExtensionStatus
from webui.ui.extensions import announced, told

GRAIN, MINE = shelf().statuses()


@pytest.fixture
def shelved(extensions: Shelf) -> Iterator[Shelf]:
    """The page's extensions; as they were at the end."""
    before = dict(extensions.found)
    yield extensions
    extensions.found = before


def status(name: str = "bad", **values: Any) -> ExtensionStatus:
    return replace(ExtensionStatus(name, "bad.py", False, "on"), **values)


@pytest.mark.parametrize(
    ("values", "announces"),
    [
        ({}, False),
        ({"state": "off"}, False),
        ({"state": "off", "problems": ("it failed once",)}, False),
        ({"problems": ("it failed once",)}, True),
        ({"state": "failed"}, True),
        ({"state": "set aside"}, True),
        ({"state": "off", "hanging": "startup for 9 s"}, True),
    ],
)
def test_the_head_speaks_of_what_needs_somebody(values: Any, announces: bool) -> None:
    found = announced([GRAIN, status(**values), MINE])
    line = {"line": "1 extension has a problem", "which": "bad"}
    assert found == (line if announces else {"line": "", "which": ""})


def test_the_head_counts() -> None:
    both = [status("a", state="failed"), status("b", state="failed")]
    assert announced(both) == {"line": "2 extensions have a problem", "which": "a, b"}


def test_a_card_tells_all() -> None:
    found = told([MINE, status(hanging="wrap_denoise for 7 s")], Settings())
    assert found["sum"] == "2 extensions, 1 with a problem" and found["locked"] == ""
    bad, mine = found["extensions"]  # what has a problem comes first
    assert (mine["title"], bad["guide"]) == ("mine", "")
    assert mine["facts"] == ["/home/me/mine", "imported in 12 ms", "250 ms in its hooks"]
    assert (mine["on"], mine["label"], bad["label"]) == (True, "On", "Not responding")
    assert bad["hanging"] == "Does not return: wrap_denoise for 7 s"
    assert "--listen" in told([], Settings(host="0.0.0.0"))["locked"]


# --- In the browser -------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_problem_is_announced_and_leads_to_its_sentence(tab: Any, shelved: Shelf) -> None:
    note = tab.locator(".easel-note")
    assert not note.is_visible()
    sentence = "wrap_denoise: <img src=x onerror=alert(1)> is no <b>Denoised</b>"
    shelved.found["bad"] = status(state="set aside", problems=(sentence,), restart="Tried again")
    note.wait_for(timeout=60_000)
    assert note.text_content() == "1 extension has a problem"
    note.click()
    card = tab.locator(".ext[data-name=bad]")
    card.wait_for()
    assert card.locator(".ext-wrong").text_content() == sentence  # as text: no markup of its own
    assert card.locator("img, b").count() == 0
    assert card.locator(".ext-restart").text_content() == "Tried again"
    del shelved.found["bad"]
    note.wait_for(state="hidden", timeout=60_000)
    card.wait_for(state="detached")


@pytest.mark.browser
def test_a_switch_switches(tab: Any, shelved: Shelf) -> None:
    tab.get_by_role("tab", name="Extensions").click()
    switch = tab.get_by_role("switch", name="Film grain")
    assert switch.get_attribute("aria-checked") == "true"
    switch.click()
    until(lambda: shelved.found["film_grain"].state == "off", "it is switched off")
    card = tab.locator(".ext[data-name=film_grain]")
    card.locator(".ext-state", has_text="Off").wait_for()
    switch.press("Space")  # the keyboard's focus has stayed
    until(lambda: shelved.found["film_grain"].state == "on", "it is switched on again")
    card.locator(".ext-state", has_text="On").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_the_tab_fits_the_window(same_tab: Any, shelved: Shelf, width: int) -> None:
    shelved.found["long"] = status("long" * 20, problems=("/a" * 200, "word " * 60))
    same_tab.set_viewport_size({"width": 1280, "height": 800})
    same_tab.get_by_role("tab", name="Extensions").click()
    same_tab.locator(f".ext[data-name={'long' * 20}]").wait_for()
    same_tab.locator(".easel-note").wait_for()
    same_tab.set_viewport_size({"width": width, "height": 800})
    same_tab.wait_for_timeout(100)
    assert same_tab.evaluate("document.documentElement.scrollWidth") <= width
    theme = same_tab.locator(
        ".easel-theme"
    ).bounding_box()  # the head's last, beside what is announced
    assert theme["x"] + theme["width"] <= width and theme["y"] < 56
    same_tab.set_viewport_size({"width": 1280, "height": 800})
    choose(same_tab, "Text to image")


# --- By HTTP ----------------------------------------------------------------------------------------


def switched(url: str, name: Any, on: Any) -> str:
    """Posts the event that the page's switch sends; gives what the stream of events says."""
    with httpx.Client(base_url=url, timeout=60) as http:
        functions = http.get("/config").json()["dependencies"]
        (index,) = [
            f["id"] for f in functions if any(event == "switch" for _, event in f["targets"])
        ]
        call = {"data": [], "fn_index": index, "session_hash": "s"}
        http.post("/gradio_api/queue/join", json={**call, "event_data": {"name": name, "on": on}})
        return http.get("/gradio_api/queue/data", params={"session_hash": "s"}).text


def test_nothing_is_switched_where_others_can_reach_the_page(tmp_path: Path) -> None:
    other = shelf()
    with serving(tmp_path, extensions=other, host="0.0.0.0") as (_, page):
        said = switched(page.url.replace("0.0.0.0", "127.0.0.1"), "film_grain", False)
    assert other.found["film_grain"].state == "on"
    assert "only while Easel is reached from this machine alone" in said


@pytest.mark.parametrize(
    ("name", "on", "state"),
    [("film_grain", False, "off"), ("film_grain", "no", "on"), (None, False, "on"), ([], 1, "on")],
)
def test_a_switch_takes_a_name_and_a_yes_or_no(
    page: Any, shelved: Shelf, name: Any, on: Any, state: str
) -> None:
    assert '"success":true' in switched(page.url, name, on)
    assert shelved.found["film_grain"].state == state


def test_an_unknown_extension_is_a_sentence(page: Any, shelved: Shelf) -> None:
    assert "extension 'nobody' is not known" in switched(page.url, "nobody", True)
