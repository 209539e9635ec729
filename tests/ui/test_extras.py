"""Controls of extensions on the page: in a folded group, a picture among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, line, number, paint, whole
from tests.ui.painter import FlatPainter

pytestmark = pytest.mark.browser


@pytest.fixture
def poster(tab: Any) -> Iterator[Any]:
    """The tab of an extension's task, its group unfolded."""
    choose(tab, "Poster")
    tab.get_by_role("button", name="Print").click()
    tab.locator("#poster-pattern .canvas-drop").wait_for()
    yield tab


def test_extras_of_a_folded_group_arrive(poster: Any, painter: FlatPainter, tmp_path: Path) -> None:
    given = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    given.save(tmp_path / "given.png")
    poster.locator("#poster-pattern input[type=file]").set_input_files(tmp_path / "given.png")
    canvas = poster.locator("#poster-pattern canvas")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    poster.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    poster.mouse.down()
    poster.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2, steps=3)
    poster.mouse.up()
    number(poster, "poster-border", 7)
    poster.locator("#poster-tilt input, #poster-tilt textarea").first.fill("0.25")
    poster.locator("#poster-enlarged_by input").click()
    poster.get_by_role("option", name="Nearest").click()
    poster.locator("#poster-paper input").click()
    poster.get_by_role("option", name="Folded").click()
    poster.get_by_label("Frame", exact=True).check()
    poster.locator("#poster-caption input, #poster-caption textarea").first.fill("Spring")
    # Folded, the group says what is not usual, and its values still arrive.
    poster.get_by_role("button", name="Print").click()
    title = "Border 7, Tilt 0.25, Folded, Nearest, Frame, Caption “Spring”, Pattern"
    poster.locator(".group-values:visible", has_text=title).wait_for()
    extras = dict(paint(poster, painter).extras)
    assert extras["pattern"].tobytes() == given.tobytes()
    assert extras["stencil"].getpixel((48, 32)) == 255 and extras["stencil"].getpixel((48, 2)) == 0
    assert (extras["border"], extras["tilt"], extras["enlarged_by"]) == (7, 0.25, "Nearest")
    assert (extras["frame"], extras["caption"], extras["paper"]) == (
        True,
        "Spring",
        [2, ["a", 0.5]],
    )


def test_what_nobody_touched_is_usual(poster: Any, painter: FlatPainter) -> None:
    """A number that may stay empty is not sent as 0 because its group was opened; what is hidden is not drawn."""
    assert poster.locator("#poster-caption").count() == 1
    assert poster.locator("#poster-secret").count() == poster.get_by_text("Secret").count() == 0
    poster.get_by_role("button", name="Sampling").click()
    poster.locator("#poster-eta").wait_for()
    request = paint(poster, painter)
    assert request.extras["eta"] is None and request.extras["tilt"] is None
    poster.get_by_role("button", name="Sampling").click()
    poster.get_by_role("button", name="Print").click()
    assert "".join(poster.locator(".group-values").all_text_contents()) == ""


def test_a_wrong_extra_is_marked(poster: Any, painter: FlatPainter) -> None:
    field = poster.locator("#poster-tilt input, #poster-tilt textarea").first
    group = poster.get_by_role("button", name="Print")
    whole(poster)
    field.fill("much")
    group.click()  # what is wrong in a folded group opens it
    poster.locator(".easel-generate:visible").click()
    sentence = "Tilt 'much': give a number from -1 to 1"
    poster.locator("#poster-tilt .easel-error:visible", has_text=sentence).wait_for()
    assert "easel-wrong" in poster.locator("#poster-tilt").get_attribute("class")
    field.fill("")
    poster.locator(".easel-error").wait_for(state="detached")
    assert not painter.submitted


def test_an_animation_moves_on_the_stage(poster: Any, painter: FlatPainter) -> None:
    number(poster, "poster-frames", 3)
    number(poster, "poster-seed", 61)
    paint(poster, painter)
    line(poster, "1 picture in").wait_for()
    saved = next(iter(painter.outputs_dir.rglob("*-61.webp")))
    frames = poster.locator(".stage-picture:visible").evaluate(
        """async (image) => {
            const data = await (await fetch(image.src)).arrayBuffer();
            const decoder = new ImageDecoder({ data, type: "image/webp" });
            await decoder.tracks.ready;
            return decoder.tracks.selectedTrack.frameCount; }"""
    )
    assert frames == 3
    poster.get_by_role("button", name="Download").click()
    with poster.expect_download() as download:
        poster.get_by_role("link", name="Original").click()
    assert download.value.suggested_filename == saved.name
    assert Path(download.value.path()).read_bytes() == saved.read_bytes()
