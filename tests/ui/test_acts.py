"""What people do with a picture that is made: again, vary, hand on, choose of several, delete."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.ui.hands import choose, line, module, number, paint
from tests.ui.painter import FlatPainter, colour, until
from webui.metadata import read
from webui.ui import Page

pytestmark = pytest.mark.browser
LAST = module("shown-jobs.js") + ".onShow.picture"


def field(tab: Any, name: str) -> str:
    """What stands in the control of that id; a number that may be left out stands in a box of text."""
    box = tab.locator(f"#{name} input[type=number], #{name} textarea, #{name} input").first
    value: str = box.input_value()
    return value


def holds(tab: Any, name: str, value: object) -> None:
    """Waits until a control shows a value."""
    tab.wait_for_function(
        """([name, value]) => { const box = document.querySelector(
            `#${name} input[type=number], #${name} textarea, #${name} input`); return box && box.value === value; }""",
        arg=[name, str(value)],
    )


def settled(tab: Any) -> None:
    """Waits until nothing runs in the task that is shown."""
    tab.wait_for_function(
        "!document.querySelector('.easel-task[data-running]') && document.querySelector('.stage-acts > *')"
    )


def test_again_is_the_same_with_a_new_seed_and_leaves_the_form_alone(
    tab: Any, painter: FlatPainter
) -> None:
    tab.locator("#txt2img-prompt textarea").fill("a lantern")
    number(tab, "txt2img-width", 192)
    number(tab, "txt2img-seed", 77)
    number(tab, "txt2img-batch_size", 2)
    first = paint(tab, painter)
    tab.locator("#txt2img-prompt textarea").fill("something else")
    number(tab, "txt2img-width", 64)
    tab.get_by_role("button", name="Again").click()
    until(lambda: len(painter.submitted) == 2, "more pictures are asked for")
    second = painter.submitted[1]
    assert (second.prompt, second.width, second.batch_size) == ("a lantern", 192, 2)
    assert second.seed != first.seed
    settled(tab)
    assert painter.submitted[1:] == [second]
    assert field(tab, "txt2img-prompt") == "something else" and field(tab, "txt2img-seed") == "77"
    prompts = f"{module('history.js')}.promptHistory.all().slice(0, 2)"
    assert ["something else", ""] not in tab.evaluate(f"async () => {prompts}")  # never generated
    own = paint(tab, painter)
    assert (own.prompt, own.width, own.seed) == ("something else", 64, 77)


def test_vary_keeps_the_seed_and_mixes_in_another_for_that_job_alone(
    tab: Any, painter: FlatPainter
) -> None:
    number(tab, "txt2img-seed", 78)
    number(tab, "txt2img-batch_size", 2)
    paint(tab, painter)
    tab.locator(".stage-grid:visible button").nth(1).click()
    number(tab, "txt2img-seed", -1)
    tab.get_by_role("button", name="Vary").click()
    until(lambda: len(painter.submitted) == 2, "a second picture is asked for")
    second = painter.submitted[1]
    assert (second.seed, second.subseed_strength) == (79, 0.2)
    settled(tab)
    tab.get_by_role("button", name="Again").click()  # does not vary a variation
    until(lambda: len(painter.submitted) == 3, "a third picture is asked for")
    assert painter.submitted[2].subseed_strength == 0
    settled(tab)
    seeds = {paint(tab, painter).seed, paint(tab, painter).seed}
    assert len(seeds - {78, 79}) == 2  # Generate draws anew
    assert painter.submitted[-1].subseed_strength == 0


def test_again_takes_the_text_and_the_forms_picture_where_the_job_has_lost_its_own(
    tab: Any, painter: FlatPainter
) -> None:
    """As the painter's jobs have, once they ended."""
    tab.locator("#txt2img-prompt textarea").fill("a mill")
    number(tab, "txt2img-seed", 31)
    paint(tab, painter)
    tab.get_by_role("button", name="To image to image").click()
    tab.locator("#img2img-image img[src*='api/']:visible").first.wait_for()
    number(tab, "img2img-denoising_strength", 0.5)
    first = paint(tab, painter)
    tab.locator("#img2img-prompt textarea").fill("a mill in the fog")
    tab.get_by_role("button", name="Again").click()
    until(lambda: len(painter.submitted) == 3, "a third picture is asked for")
    again = painter.submitted[2]
    assert (again.prompt, again.denoising_strength) == ("a mill", 0.5)
    assert again.seed != first.seed
    assert again.image is not None and again.image.getpixel((0, 0)) == colour(31)
    settled(tab)
    assert field(tab, "img2img-prompt") == "a mill in the fog"


def test_a_picture_is_handed_on_with_its_settings_and_without_its_bytes(
    tab: Any, painter: FlatPainter
) -> None:
    tab.locator("#txt2img-prompt textarea").fill('a <b>fox</b>, "quoted"')
    number(tab, "txt2img-width", 192)
    number(tab, "txt2img-height", 256)
    number(tab, "txt2img-seed", 31)
    paint(tab, painter)
    sent: list[str] = []
    tab.on("request", lambda r: sent.append(r.post_data or "") if r.method == "POST" else None)
    tab.get_by_role("button", name="To image to image").click()
    tab.locator("#img2img-image img[src*='api/']:visible").first.wait_for()
    holds(tab, "img2img-prompt", 'a <b>fox</b>, "quoted"')
    holds(tab, "img2img-height", 256)
    holds(tab, "img2img-width", 192)
    request = paint(tab, painter)
    assert (request.task, request.width, request.height) == ("img2img", 192, 256)
    assert paint(tab, painter).seed != request.seed != 31  # something new with every press
    assert request.image is not None and request.image.size == (192, 256)
    saved = next(iter(painter.outputs_dir.rglob("*-31.png")))
    assert request.image.info["parameters"].startswith('a <b>fox</b>, "quoted"\n')
    assert saved.is_file()
    assert max(map(len, sent)) < 20_000  # addresses travel, no picture


def test_settings_alone_go_to_the_task_that_they_are_of(tab: Any, painter: FlatPainter) -> None:
    """As PNG info and gallery hand them over; what is not here is told."""
    text = (
        "a boat\nNegative prompt: fog\nSteps: 12, Sampler: Heun, CFG scale: 3.5, Seed: 5, "
        "Size: 256x192, Model: elsewhere, Denoising strength: 0.4, Weather: fine"
    )
    sending = f"{module('send-to.js')}.sendTo({{ parameters }})"
    tab.evaluate(f"async (parameters) => {sending}", text)
    holds(tab, "img2img-prompt", "a boat")
    holds(tab, "img2img-negative_prompt", "fog")
    holds(tab, "img2img-seed", 5)
    toast = tab.locator(".prompt-told:visible li")
    toast.filter(has_text="The model “elsewhere” is not here").wait_for()
    toast.filter(has_text="Not known here: Weather.").wait_for()


def test_what_is_told_on_a_picture_stands_under_it_and_goes_with_it(
    tab: Any, painter: FlatPainter
) -> None:
    notes = tab.locator(".stage-notes:visible")
    tab.locator("#txt2img-prompt textarea").fill("please warn")
    paint(tab, painter)
    settled(tab)
    assert notes.locator("li").all_inner_texts() == ["Told: once, and", "no more"]
    tab.locator("#txt2img-prompt textarea").fill("a quiet harbour")
    paint(tab, painter)
    settled(tab)
    assert notes.count() == 0


def test_several_pictures_are_a_grid_to_choose_from(tab: Any, painter: FlatPainter) -> None:
    number(tab, "txt2img-batch_size", 3)
    number(tab, "txt2img-seed", 60)
    paint(tab, painter)
    cells = tab.locator(".stage-grid:visible button")
    assert cells.count() == 3
    assert "seeds 60 to 62" in tab.locator(".stage-facts:visible").text_content()
    cells.nth(1).click()
    tab.locator(".stage-facts:visible", has_text="seed 61").wait_for()
    assert tab.evaluate(f"async () => {LAST}.seed") == 61
    tab.get_by_role("button", name="All 3").click()
    assert cells.count() == 3
    assert tab.locator(".stage-strip:visible button").count() == 3


def test_nothing_moves_from_start_to_end(tab: Any, painter: FlatPainter) -> None:
    """Layout shifts that no hand has caused, as Chromium counts them; the form beside the stage does not count."""
    number(tab, "txt2img-width", 192)
    tab.evaluate(
        """() => { window.shifts = []; new PerformanceObserver((list) => {
            for (const one of list.getEntries()) for (const { node } of one.sources)
                if (node?.nodeType === 1 && node.closest(".stage-frame, .stage-under"))
                    window.shifts.push(node.className);
        }).observe({ type: "layout-shift" }); }"""
    )
    frame = tab.locator(".stage-frame:visible")
    before = frame.evaluate("(one) => one.clientHeight")
    painter.hold.clear()
    tab.locator(".easel-generate:visible").click()
    line(tab, "Step 1 of 4").wait_for()
    place = tab.locator(".stage-full:visible").bounding_box()
    tab.locator(".stage-picture[src^='data:image/jpeg']").wait_for()
    assert tab.title().endswith("% · Easel")
    painter.hold.set()
    line(tab, "1 picture in").wait_for()
    settled(tab)
    after = tab.locator(".stage-full:visible").bounding_box()
    assert (place["width"], place["height"]) == (after["width"], after["height"])
    assert frame.evaluate("(one) => one.clientHeight") == before
    assert tab.evaluate("window.shifts") == []
    assert tab.title() == "Easel"


def test_the_strip_is_there_again_after_a_reload(
    window: Any, page: Page, painter: FlatPainter
) -> None:
    tab = window.new_page()  # its console says that a picture is not found
    tab.set_default_timeout(60_000)
    tab.goto(page.url)
    tab.locator(".easel-task:visible .easel-generate").wait_for()
    number(tab, "txt2img-seed", 88)
    paint(tab, painter)
    tab.evaluate(  # one whose file somebody has deleted
        """() => { const kept = JSON.parse(sessionStorage["easel-strip-txt2img"]);
            const url = "api/jobs/none/images/0", gone = { ...kept[0], key: "gone", url, thumbnail: url };
            sessionStorage["easel-strip-txt2img"] = JSON.stringify([...kept, gone]); }"""
    )
    tab.reload()
    strip = tab.locator(".stage-strip:visible > *")
    strip.first.wait_for()
    tab.wait_for_function("document.querySelectorAll('.stage-strip > *').length === 1")
    assert strip.first.locator("img").evaluate("(one) => one.decode().then(() => one.naturalWidth)")
    kept = json.loads(tab.evaluate("sessionStorage['easel-strip-txt2img']"))
    assert [one["facts"]["seed"] for one in kept] == ["88"]
    tab.close()


def test_every_picture_of_the_page_comes_by_our_own_routes(tab: Any, painter: FlatPainter) -> None:
    """What lies in Gradio's folder can be read by every visitor."""
    asked: list[str] = []
    tab.on("request", lambda r: asked.append(r.url) if r.resource_type == "image" else None)
    number(tab, "txt2img-batch_size", 2)
    paint(tab, painter)
    tab.get_by_role("tab", name="Queue").click()
    tab.locator(".job img").first.wait_for()
    choose(tab, "Text to image")
    assert any("/api/" in url for url in asked)
    assert not [url for url in asked if "gradio_api/file=" in url]


@pytest.fixture
def kept(tab: Any, painter: FlatPainter) -> Any:
    """A tab that shows a picture which the gallery knows."""
    number(tab, "txt2img-seed", 95)
    paint(tab, painter)
    tab.get_by_role("button", name="Favourite").wait_for()
    return tab


def test_a_picture_goes_to_the_trash_and_comes_back(kept: Any, painter: FlatPainter) -> None:
    tab = kept
    url = tab.evaluate(f"async () => {LAST}.url")
    before = sorted(painter.outputs_dir.glob("*/*-95.png"))
    tab.get_by_role("button", name="Delete").click()
    tab.locator(".easel-toast", has_text="Moved to the trash.").wait_for()
    assert len(sorted(painter.outputs_dir.glob("2*/*-95.png"))) == len(before) - 1
    assert not tab.locator(".stage-strip > *").count()
    tab.locator(".stage-hint:visible").wait_for()  # there is no other to show
    tab.get_by_role("button", name="Undo").click()
    tab.locator(".stage-strip:visible > *").wait_for()
    assert tab.evaluate(f"async () => {LAST}.url").split("?")[0] == url.split("?")[0]
    assert sorted(painter.outputs_dir.glob("*/*-95.png")) == before


def test_a_favourite_is_one_in_the_gallery(kept: Any, http: httpx.Client) -> None:
    tab = kept
    picture = tab.evaluate(f"async () => {LAST}.id")
    star = tab.get_by_role("button", name="Favourite")
    for pressed, favourite in (("true", True), ("false", False)):
        star.click()
        tab.locator(f".stage-favourite[aria-pressed={pressed}]").wait_for()
        assert http.get(f"api/pictures/{picture}").json()["favourite"] is favourite


@pytest.mark.parametrize(("label", "format"), [("PNG", "PNG"), ("JPEG", "JPEG"), ("WebP", "WEBP")])
def test_a_download_keeps_the_settings(kept: Any, label: str, format: str) -> None:
    tab = kept
    tab.get_by_role("button", name="Download").click()
    name = "Original (PNG)" if label == "PNG" else label
    with tab.expect_download() as download:
        tab.get_by_role("link", name=name, exact=True).click()
    with Image.open(download.value.path()) as picture:
        assert picture.format == format
        assert "Seed: 95" in (read(picture) or "")


def test_delete_in_full_screen_shows_the_next_and_can_be_undone(
    kept: Any, painter: FlatPainter
) -> None:
    tab = kept
    number(tab, "txt2img-seed", 96)
    paint(tab, painter)
    tab.wait_for_function(f"async () => {LAST}.id && {LAST}.seed === 96")
    tab.locator(".stage-full:visible").click()
    tab.locator(".viewer-count", has_text="1 / 2").wait_for()
    tab.keyboard.press("Delete")
    tab.locator(".viewer-count", has_text="1 / 1").wait_for()
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Undo").click()  # what was said outlives the dialog
    tab.wait_for_function("document.querySelectorAll('.stage-strip > *').length === 2")


def test_a_repainted_picture_is_compared_with_the_one_that_it_was_made_of(
    tab: Any, painter: FlatPainter
) -> None:
    number(tab, "txt2img-seed", 11)
    paint(tab, painter)
    tab.get_by_role("button", name="To inpaint").click()
    tab.locator("#inpaint-image canvas:visible").wait_for()
    tab.locator("#inpaint-image:not([data-busy])").first.wait_for()
    tab.locator("#inpaint-image").get_by_role("button", name="Mask everything").click()
    first = paint(tab, painter)
    assert first.image is not None and first.image.getpixel((0, 0)) == colour(11)
    second = paint(tab, painter)  # the mask is still there, and it is another picture
    assert second.mask is not None and second.mask.getextrema() == (255, 255)
    assert second.seed != first.seed
    tab.get_by_role("button", name="Compare").click()
    source = tab.get_by_role("button", name="Compare with the picture it was made of")
    assert source.count() == 1
    source.click()
    tab.locator("dialog.compare .compare-left").wait_for()
    sides = [tab.locator(f"dialog.compare .compare-{side}") for side in ("left", "right")]
    assert [seen(side) for side in sides] == [colour(11), colour(second.seed)]


def seen(image: Any) -> tuple[int, ...]:
    """The colour of an <img>'s middle, once it is loaded."""
    code = """async (image) => {
      await image.decode();
      const pen = new OffscreenCanvas(1, 1).getContext("2d");
      pen.drawImage(image, -image.naturalWidth / 2, -image.naturalHeight / 2);
      return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    return tuple(image.evaluate(code))


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (390, 844)])
def test_picture_actions_and_settings_are_seen_together(
    tab: Any, painter: FlatPainter, width: int, height: int
) -> None:
    """No scrolling on a desktop; on a phone the picture is whole. As many actions have words as fit."""
    tab.set_viewport_size({"width": width, "height": height})
    paint(tab, painter)
    picture = tab.locator(".stage-full:visible").bounding_box()
    assert picture["width"] >= 320 and picture["y"] + picture["height"] <= height
    bar = tab.locator(".stage-acts:visible")
    if width > 760:
        facts = tab.locator(".stage-facts:visible").bounding_box()
        assert facts["y"] + facts["height"] <= height
        assert bar.evaluate("(bar) => bar.scrollWidth <= bar.clientWidth")
    worded = bar.locator(".easel-act:not(.stage-short) > span").all_inner_texts()
    assert worded[:2] == ["Again", "Vary"]
    if width > 760:
        assert worded[2] == "To image to image"  # words beside words, icons beside icons
        short = bar.locator(".easel-act").evaluate_all(
            "(acts) => acts.map((one) => !one.querySelector('span') || one.matches('.stage-short'))"
        )
        assert short == sorted(short)
