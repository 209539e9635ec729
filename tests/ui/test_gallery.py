"""The Gallery tab in Chromium, over real files and the real index."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.ui.album import DAY_S, put
from tests.ui.conftest import opened
from tests.ui.hands import module
from tests.ui.painter import FlatPainter, serving, until
from webui.ui import Page

pytestmark = pytest.mark.browser
NUMBER = 320

# In the window, the tiles whose thumbnails are there; nothing is still to come.
SETTLED = """() => { const grid = document.querySelector(".gallery-grid");
    const near = (one) => { const box = one.getBoundingClientRect(); return box.bottom > 0 && box.top < innerHeight; };
    const tiles = [...document.querySelectorAll(".gallery-tile")].filter(near);
    return grid && !grid.hasAttribute("aria-busy") && tiles.length && tiles.every((one) => one.image.dataset.there)
        && ![...document.querySelectorAll(".gallery-tail")].some(near); }"""
IDS = "[...document.querySelectorAll('.gallery-tile')].map((one) => one.dataset.id)"
A_FRAME = "new Promise((then) => requestAnimationFrame(() => setTimeout(then)))"
REACH = "(document.documentElement.scrollHeight - innerHeight)"
TOP_TILE = """() => { const tile = [...document.querySelectorAll(".gallery-tile")]
    .find((one) => one.getBoundingClientRect().top > 120);
    return tile && [tile.dataset.id, Math.round(tile.getBoundingClientRect().top)]; }"""


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FlatPainter, Page]]:
    """A page whose gallery has pictures of ten days."""
    folder = tmp_path_factory.mktemp("gallery")
    for number in range(NUMBER):
        put(folder / "outputs" / f"day{number % 10}", number, 60 + number * DAY_S * 10 / NUMBER)
    with serving(folder) as (painter, page), httpx.Client(base_url=page.url, timeout=60) as http:
        until(lambda: http.get("api/pictures").json()["total"] == NUMBER, "the pictures are found")
        yield painter, page


@pytest.fixture(scope="module")
def one_tab(window: Any, hung: tuple[FlatPainter, Page]) -> Iterator[Any]:
    with opened(window, hung[1]) as tab:
        yield tab


@pytest.fixture
def http(hung: tuple[FlatPainter, Page]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hung[1].url, timeout=60) as client:
        yield client


@pytest.fixture
def tab(one_tab: Any) -> Any:
    """The Gallery tab as it is at first: nothing asked for, nothing selected, at its top."""
    one_tab.get_by_role("tab", name="Gallery").click()
    one_tab.locator(".gallery-words input").wait_for()
    one_tab.keyboard.press("Escape")
    clear = one_tab.locator(".gallery-clear")
    if clear.is_visible():
        clear.click()
    one_tab.evaluate("document.activeElement.blur(); scrollTo({ top: 0, behavior: 'instant' })")
    one_tab.wait_for_function(SETTLED)
    return one_tab


def look_for(tab: Any, words: str, count: str) -> None:
    tab.keyboard.press("/")
    tab.keyboard.type(words)
    tab.locator(".gallery-count", has_text=count).wait_for()
    tab.wait_for_function(SETTLED)


def tile(tab: Any, number: int) -> Any:
    return tab.get_by_role("gridcell", name=f" picture{number},")


def asked(http: httpx.Client, number: int) -> dict[str, Any]:
    """What the API says of a picture."""
    found = http.get("api/pictures", params={"words": f"picture{number}"}).json()["pictures"]
    return next(one for one in found if one["seed"] == number)


def test_every_picture_is_reached_and_few_are_elements(tab: Any) -> None:
    tab.locator(".gallery-count", has_text=f"{NUMBER} pictures").wait_for()
    seen: set[str] = set()
    most = 0
    for _ in range(100):
        ids = tab.evaluate(IDS)
        seen |= set(ids)
        most = max(most, len(ids))
        if len(seen) == NUMBER:
            break
        tab.evaluate("scrollBy({ top: innerHeight, behavior: 'instant' })")
        tab.wait_for_function(SETTLED)
    assert len(seen) == NUMBER
    assert most < NUMBER / 2


def test_the_far_end_is_shown_without_all_before_it(tab: Any, hung: Any, window: Any) -> None:
    with opened(window, hung[1]) as fresh:
        drawn: set[str] = set()
        fresh.on("request", lambda r: drawn.add(r.url) if "/thumbnail" in r.url else None)
        fresh.get_by_role("tab", name="Gallery").click()
        fresh.wait_for_function(SETTLED)
        fresh.evaluate("scrollTo({ top: document.documentElement.scrollHeight })")
        tile(fresh, NUMBER - 1).wait_for()
        assert len(drawn) < NUMBER / 2


def test_what_is_far_away_is_forgotten_and_comes_again(hung: Any, window: Any) -> None:
    """Nothing in the window moves when it is."""
    with opened(window, hung[1]) as fresh:
        begun: list[str] = []  # the first pages of stretches, by their days

        def note(request: Any) -> None:
            asked_for = dict(parse_qsl(urlsplit(request.url).query))
            if "/api/pictures?" in request.url and "after" not in asked_for:
                begun.append(f"{asked_for.get('from_day')} to {asked_for.get('to_day')}")

        fresh.on("request", note)
        fresh.evaluate(f"async () => {{ {module('gallery-shelf.js')}.limits.kept = 60; }}")
        fresh.get_by_role("tab", name="Gallery").click()
        fresh.wait_for_function(SETTLED)
        for part in (0.45, 1, 0.45):
            fresh.evaluate(f"scrollTo({{ top: {part} * {REACH}, behavior: 'instant' }})")
            fresh.wait_for_function(SETTLED)
            before = fresh.evaluate(TOP_TILE)
            fresh.evaluate(A_FRAME)
            assert fresh.evaluate(TOP_TILE) == before
        assert max(begun.count(days) for days in begun) > 1, begun


def test_a_stretch_that_is_changing_can_be_drawn(tab: Any) -> None:
    """Between what changed on the server and its answer somebody scrolls, or a thumbnail comes."""
    before = tab.evaluate(TOP_TILE)
    tab.evaluate("document.querySelector('.gallery-tile').one.flow.rows = null")
    tab.evaluate("dispatchEvent(new Event('scroll'))")
    tab.wait_for_function("Boolean(document.querySelector('.gallery-tile').one.flow.rows)")
    assert tab.evaluate(TOP_TILE) == before


def test_words_narrow_and_a_reload_keeps_them(tab: Any) -> None:
    look_for(tab, "castle picture31", "3 pictures")  # 31, 311 and 316
    tab.reload()
    tab.get_by_role("tab", name="Gallery").click()
    tab.locator(".gallery-count", has_text="3 pictures").wait_for()
    assert tab.locator(".gallery-words input").input_value() == "castle picture31"


def test_nothing_found_says_so_and_clears(tab: Any) -> None:
    tab.keyboard.press("/")
    tab.keyboard.type("<b>nowhere")
    tab.get_by_text("Nothing found for “<b>nowhere”.").first.wait_for()
    beside = "getComputedStyle(document.querySelector('.gallery-note'), '::after').content"
    assert tab.evaluate(beside) == "none"  # said once
    tab.locator(".gallery-note").get_by_role("button", name="Clear all").click()
    tab.locator(".gallery-count", has_text=f"{NUMBER} pictures").wait_for()


def test_filters_agree_with_the_pictures(tab: Any) -> None:
    tab.get_by_label("Model", exact=True).locator("visible=true").last.select_option("wide")
    tab.locator(".gallery-count", has_text=f"{len(range(0, NUMBER, 3))} pictures").wait_for()
    tab.get_by_label("Sampler", exact=True).select_option("DDIM")
    tab.locator(".gallery-count", has_text=f"{len(range(0, NUMBER, 6))} pictures").wait_for()
    tab.get_by_label("Date", exact=True).select_option("days")
    tab.get_by_label("To day").fill("2001-01-01")
    tab.get_by_text("Nothing found with these filters.").first.wait_for()


def test_keys_lead_from_picture_to_picture(tab: Any) -> None:
    tab.locator(".gallery-tile").first.focus()
    focused = "document.activeElement.getAttribute('aria-label')"
    tab.keyboard.press("ArrowRight")
    assert "picture1," in tab.evaluate(focused)
    before = tab.evaluate("document.activeElement.getBoundingClientRect().top")
    tab.keyboard.press("ArrowDown")
    tab.wait_for_function(
        "(top) => document.activeElement.getBoundingClientRect().top > top", arg=before
    )
    tab.keyboard.press("ArrowUp")
    tab.wait_for_function(
        "document.activeElement.getAttribute('aria-label').match(/picture[0-2],/)"
    )
    tab.keyboard.press("End")
    tab.wait_for_function(
        f"document.activeElement.getAttribute('aria-label')?.includes('picture{NUMBER - 1},')"
    )
    tab.keyboard.press("Home")
    tab.wait_for_function("document.activeElement.getAttribute('aria-label').includes('picture0,')")


def test_a_picture_opens_and_the_focus_comes_back(tab: Any) -> None:
    tile(tab, 2).click()
    dialog = tab.locator("dialog.viewer")
    dialog.wait_for()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.querySelector('.viewer-picture').alt.includes('picture3')")
    tab.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    tab.wait_for_function(
        "document.activeElement.getAttribute('aria-label')?.includes('picture3,')"
    )


def test_f_marks_a_favourite(tab: Any, http: httpx.Client) -> None:
    tile(tab, 4).focus()
    tab.keyboard.press("f")
    tab.get_by_role("gridcell", name="picture4, 48 × 48, favourite").wait_for()
    assert asked(http, 4)["favourite"]
    tab.get_by_role("button", name="Favourites").click()
    tab.locator(".gallery-count", has_text="1 picture").wait_for()


def compared(tab: Any, left: int, right: int) -> None:
    """Waits for a comparison of these two, and closes it."""
    both = tab.locator("dialog.compare")
    both.wait_for()
    told = [both.locator(f".compare-{side}").get_attribute("alt") for side in ("left", "right")]
    assert [f"picture{left}" in told[0], f"picture{right}" in told[1]] == [True, True]
    tab.keyboard.press("Escape")
    both.wait_for(state="detached")


def test_c_compares_and_the_keys_go_on_after_it(tab: Any, http: httpx.Client) -> None:
    tile(tab, 10).focus()
    tab.keyboard.press("c")  # with the one that was made before
    compared(tab, 11, 10)
    tab.keyboard.press("Enter")
    tab.locator("dialog.viewer").wait_for()
    tab.keyboard.press("c")
    compared(tab, 11, 10)
    tab.keyboard.press("f")
    tab.locator("dialog.viewer [aria-pressed=true]").wait_for()
    tab.keyboard.press("Escape")
    tab.locator("dialog.viewer").wait_for(state="detached")
    tab.keyboard.press("Space")
    tile(tab, 13).click()
    tab.locator(".gallery-picks").get_by_role("button", name="Compare").click()
    compared(tab, 13, 10)
    tab.keyboard.press("f")  # the focus is on the button: it is about both
    tab.get_by_role("gridcell", name="picture13, 72 × 48, favourite").wait_for()
    assert asked(http, 10)["favourite"] and asked(http, 13)["favourite"]
    tab.keyboard.press("f")
    tab.get_by_role("gridcell", name="picture13, 72 × 48", exact=False).wait_for()
    tab.keyboard.press("Delete")
    tab.locator(".gallery-count", has_text=f"{NUMBER - 2} pictures").wait_for()
    tab.get_by_role("button", name="Undo").click()
    tab.locator(".gallery-count", has_text=f"{NUMBER} pictures").wait_for()


def test_a_range_goes_to_the_trash_and_comes_back(
    tab: Any, hung: tuple[FlatPainter, Page], http: httpx.Client
) -> None:
    outputs = hung[0].outputs_dir
    files = [outputs / f"day{n}" / f"{n:05}-{n}.png" for n in (6, 7, 8)]
    tile(tab, 6).focus()
    tab.keyboard.press("Space")
    tile(tab, 8).click(modifiers=["Shift"])
    tab.locator(".gallery-picked", has_text="3 pictures selected").wait_for()
    tab.get_by_role("button", name="Delete").click()
    tab.locator(".gallery-count", has_text=f"{NUMBER - 3} pictures").wait_for()
    assert not any(file.exists() for file in files)
    assert not tile(tab, 7).count()
    tab.get_by_role("button", name="Undo").click()
    tab.locator(".gallery-count", has_text=f"{NUMBER} pictures").wait_for()
    tile(tab, 7).wait_for()
    assert all(file.exists() for file in files)


def test_the_trash_gives_back_and_asks_before_it_is_emptied(
    tab: Any, hung: tuple[FlatPainter, Page], http: httpx.Client
) -> None:
    outputs = hung[0].outputs_dir
    one, other = put(outputs / "more", 9900, 5), put(outputs / "more", 9901, 5)
    known = lambda: http.get("api/pictures?words=picture990").json()["total"]  # noqa: E731
    until(lambda: known() == 2, "the new pictures are found")
    http.post(
        "api/pictures/trash",
        json={"ids": [asked(http, n)["id"] for n in (9900, 9901)]},
    )
    tab.get_by_role("button", name="Trash").click()
    tab.locator(".gallery-count", has_text="2 pictures").wait_for()
    tile(tab, 9900).focus()
    tab.keyboard.press("Space")
    tab.get_by_role("toolbar", name="selected").get_by_role("button", name="Restore").click()
    tab.locator(".gallery-count", has_text="1 picture").wait_for()
    until(one.exists, "the picture is where it was")
    tab.get_by_role("button", name="Empty trash").click()
    asked_first = tab.get_by_role("alertdialog")
    assert asked_first.locator("p").inner_text() == (
        "Delete 1 picture for good? This cannot be undone."
    )
    tab.keyboard.press("Enter")  # what is safe has the focus
    asked_first.wait_for(state="detached")
    assert list((outputs / ".trash").rglob("*.png"))
    tab.get_by_role("button", name="Empty trash").click()
    asked_first.get_by_role("button", name="Delete for good").click()
    tab.get_by_text("The trash is empty.").first.wait_for()
    assert not other.exists() and not list((outputs / ".trash").rglob("*.png"))
    one.unlink()
    until(lambda: known() == 0, "the picture is missed")


def test_new_pictures_move_nothing_below(tab: Any, hung: tuple[FlatPainter, Page]) -> None:
    outputs = hung[0].outputs_dir
    tab.evaluate("scrollTo({ top: 600, behavior: 'instant' })")
    tab.wait_for_function(SETTLED)
    before = tab.evaluate(TOP_TILE)
    file = put(outputs / "more", 950, 1)
    tab.locator(".gallery-fresh", has_text="1 new").wait_for()
    tab.wait_for_function(SETTLED)
    assert tab.evaluate(TOP_TILE) == before
    tab.locator(".gallery-fresh").click()
    tile(tab, 950).wait_for()
    file.unlink()  # somebody else deletes it
    tile(tab, 950).wait_for(state="detached")


def test_two_pictures_come_as_one_archive(tab: Any, tmp_path: Path) -> None:
    for number in (1, 3):
        tile(tab, number).click(modifiers=["Control"])
    tab.get_by_role("button", name="Compare").wait_for()
    with tab.expect_download() as download:
        tab.get_by_role("toolbar", name="selected").get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "some.zip")
    with zipfile.ZipFile(tmp_path / "some.zip") as archive:
        names = sorted(name.split("/")[-1] for name in archive.namelist())
    assert names == ["00001-1.png", "00003-3.png"]


def test_the_place_is_kept_while_another_tab_is_shown(tab: Any) -> None:
    tab.evaluate("scrollTo({ top: 900, behavior: 'instant' })")
    tab.locator(".gallery-bar[data-below=yes]").wait_for()  # the grid has heard of it
    tab.wait_for_function(SETTLED)
    before = tab.evaluate(TOP_TILE)
    tab.get_by_role("tab", name="Queue").dispatch_event("click")  # a real one would scroll there
    tab.locator(".queue-head").wait_for()
    tab.get_by_role("tab", name="Gallery").dispatch_event("click")
    tab.wait_for_function(SETTLED)
    tab.wait_for_function(f"(before) => String(({TOP_TILE})()) === String(before)", arg=before)


def test_the_place_is_kept_when_another_tab_is_left_at_once(tab: Any) -> None:
    """Before a frame is drawn, as on a busy machine; by then the window has been scrolled up."""
    tab.evaluate("scrollTo({ top: 900, behavior: 'instant' })")
    tab.locator(".gallery-bar[data-below=yes]").wait_for()
    tab.wait_for_function(SETTLED)
    before = tab.evaluate(TOP_TILE)
    tab.evaluate(
        """async () => {
            const [gallery, queue] = ["Gallery", "Queue"].map((name) => [...document.querySelectorAll("[role=tab]")]
                .find((one) => one.offsetParent && one.textContent.trim() === name));
            queue.click();
            const grid = document.querySelector(".gallery-grid");
            for (let turns = 0; grid.offsetParent && turns < 10000; turns++) await null;
            if (grid.offsetParent || scrollY) throw new Error("the gallery is still shown");
            gallery.click();
        }"""
    )
    tab.wait_for_function(SETTLED)
    tab.wait_for_function(f"(before) => String(({TOP_TILE})()) === String(before)", arg=before)


def test_a_picture_and_its_settings_go_to_a_form(tab: Any) -> None:
    tile(tab, 5).click(modifiers=["Control"])
    tab.get_by_role("button", name="To image to image").click()
    tab.wait_for_function(
        "document.querySelector('#img2img-prompt textarea')?.value === 'fox picture5'"
    )
    tab.locator("#img2img-image .canvas-remove:visible").wait_for()
