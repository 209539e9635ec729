"""Pictures as people give them: large, turned, transparent, dropped, pasted, broken."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.hands import choose, paint
from tests.ui.painter import FlatPainter, colour
from tests.ui.painting import act, canvas_shown, give, stroke

pytestmark = pytest.mark.browser

DROP = """async ([selector, name, type, bytes, address]) => {
  const transfer = new DataTransfer();
  if (bytes) transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name, { type }));
  if (address) transfer.setData("text/uri-list", address);
  const event = selector === "paste"
    ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
    : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  (selector === "paste" ? document.activeElement : document.querySelector(selector)).dispatchEvent(event);
}"""


def drop(tab: Any, onto: str, file: Path | None = None, address: str = "") -> None:
    """Drops a file or an address on an element, or pastes it."""
    content = base64.b64encode(file.read_bytes()).decode() if file else ""
    name = file.name if file else ""
    tab.evaluate(DROP, [onto, name, "image/png", content, address])


def empty(tab: Any, task: str) -> None:
    choose(tab, task)
    canvas_shown(tab)
    for remove in tab.locator(".easel-task:visible .canvas-remove:visible").all():
        remove.click()


def note(tab: Any, text: str) -> Any:
    line = tab.locator(".canvas-note:visible", has_text=text)
    line.wait_for()
    return line


@pytest.mark.parametrize("task", ["Image to image", "Inpaint"])
def test_a_file_that_is_no_picture_is_refused_at_once(
    same_tab: Any, tmp_path: Path, task: str
) -> None:
    (tmp_path / "fake.png").write_bytes(b"this is text")
    (tmp_path / "notes.txt").write_bytes(b"this is text")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    empty(same_tab, task)
    field = same_tab.locator(".easel-task:visible .easel-source input[type=file]").first
    field.set_input_files(tmp_path / "fake.png")
    note(same_tab, "not a whole picture")
    field.set_input_files(tmp_path / "notes.txt")
    assert note(same_tab, "notes.txt is not a picture").get_attribute("data-wrong") == "yes"
    field.set_input_files(tmp_path / "photo.heic")
    note(same_tab, "cannot read HEIC")
    assert same_tab.locator(".easel-task:visible .canvas-drop").first.is_visible()


def test_a_large_photo_is_scaled_before_it_travels_and_says_so(
    same_tab: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    Image.new("RGB", (6000, 400), (90, 60, 30)).save(tmp_path / "wide.jpg")
    empty(same_tab, "Inpaint")
    same_tab.locator("#inpaint-image input[type=file]").set_input_files(tmp_path / "wide.jpg")
    told = note(same_tab, "6000 × 400 is more than 4096; scaled to 4096 × 273.")
    assert told.get_attribute("data-wrong") is None  # told, not blamed
    stroke(same_tab, (0.5, 0.5))
    request = paint(same_tab, painter)
    assert request.image is not None and request.image.size == (4096, 273)


def test_what_only_the_browser_can_read_is_sent_as_png(
    same_tab: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    """An icon here; on a phone, a HEIC photo."""
    Image.new("RGB", (64, 64), (20, 200, 90)).save(tmp_path / "mark.ico", sizes=[(64, 64)])
    empty(same_tab, "Inpaint")
    same_tab.locator("#inpaint-image input[type=file]").set_input_files(tmp_path / "mark.ico")
    same_tab.locator("#inpaint-image .canvas-size", has_text="64 × 64").wait_for()
    assert not same_tab.locator("#inpaint-image .canvas-note").inner_text()
    act(same_tab, "Mask everything")
    request = paint(same_tab, painter)
    assert request.image is not None and request.image.getpixel((5, 5)) == (20, 200, 90)


def test_a_picture_taken_sideways_is_upright_once(
    same_tab: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    """EXIF orientation 6: the camera was turned. What is seen, painted and sent agree."""
    picture = Image.new("RGB", (192, 128), (200, 40, 40))
    picture.paste((40, 40, 200), (96, 0, 192, 128))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    empty(same_tab, "Inpaint")
    same_tab.locator("#inpaint-image input[type=file]").set_input_files(tmp_path / "turned.jpg")
    same_tab.locator("#inpaint-image .canvas-size", has_text="128 × 192").wait_for()
    stroke(same_tab, (0.5, 0.1))  # near the top: red
    request = paint(same_tab, painter)
    assert request.image is not None and request.mask is not None
    assert request.image.size == request.mask.size == (128, 192)
    assert request.mask.getpixel((64, 19)) == 255
    red, _, blue = request.image.getpixel((64, 19))
    assert red > 150 > blue
    canvas_shown(same_tab)
    same_tab.locator("#inpaint-image [data-show=extend]").click()
    field = same_tab.locator("#inpaint-image [data-side=top]")
    field.fill("64")
    field.press("Tab")
    framed = paint(same_tab, painter).image  # now drawn by the browser
    assert framed is not None and framed.size == (128, 256)
    red, _, blue = framed.getpixel((64, 64 + 19))
    assert red > 150 > blue


def test_the_transparent_part_can_be_the_mask(
    same_tab: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    picture = Image.new("RGBA", (192, 128), (10, 120, 200, 255))
    picture.paste((0, 0, 0, 0), (96, 0, 192, 128))
    picture.save(tmp_path / "cut.png")
    give(same_tab, tmp_path / "cut.png")
    line = note(same_tab, "The transparent part is laid on white.")
    line.get_by_role("button", name="Mask the transparent part").click()
    request = paint(same_tab, painter)
    assert request.image is not None and request.mask is not None
    assert request.image.getpixel((150, 64)) == (255, 255, 255)
    assert (request.mask.getpixel((150, 64)), request.mask.getpixel((40, 64))) == (255, 0)


def test_a_picture_is_dropped_and_pasted(
    same_tab: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    for name, tone in (("first", (10, 20, 30)), ("second", (200, 100, 50))):
        Image.new("RGB", (64 if name == "first" else 96, 64), tone).save(tmp_path / f"{name}.png")
    empty(same_tab, "Inpaint")
    drop(same_tab, "#inpaint-image .canvas-drop", tmp_path / "first.png")
    same_tab.locator("#inpaint-image .canvas-size", has_text="64 × 64").wait_for()
    same_tab.locator("#inpaint-prompt textarea").focus()
    drop(same_tab, "paste", tmp_path / "second.png")
    same_tab.locator("#inpaint-image .canvas-size", has_text="96 × 64").wait_for()
    act(same_tab, "Mask everything")
    image = paint(same_tab, painter).image
    assert image is not None and image.getpixel((5, 5)) == (200, 100, 50)


def test_removing_takes_back_what_is_still_on_its_way(same_tab: Any, tmp_path: Path) -> None:
    for name, width in (("first", 64), ("second", 96)):
        Image.new("RGB", (width, 64), (10, 20, 30)).save(tmp_path / f"{name}.png")
    give(same_tab, tmp_path / "first.png")
    held: list[Any] = []
    same_tab.route("**/gradio_api/upload*", lambda route: held.append(route))
    with same_tab.expect_request("**/gradio_api/upload*"):
        drop(same_tab, "#inpaint-image .canvas-view", tmp_path / "second.png")
    same_tab.locator("#inpaint-image .canvas-remove").click()
    with same_tab.expect_response("**/gradio_api/upload*") as answer:
        held[0].continue_()
    answer.value.finished()
    same_tab.unroute("**/gradio_api/upload*")
    same_tab.evaluate("fetch('api/look').then((answer) => answer.json())")  # as long again
    assert same_tab.locator("#inpaint-image .canvas-drop").is_visible()
    assert not same_tab.locator("#inpaint-image canvas").is_visible()


def test_the_pages_own_picture_is_taken_by_its_address(same_tab: Any, painter: FlatPainter) -> None:
    choose(same_tab, "Text to image")
    same_tab.locator("#txt2img-seed input").fill("81")
    paint(same_tab, painter)
    address = same_tab.locator(".stage-picture:visible").first.evaluate("(image) => image.src")
    empty(same_tab, "Inpaint")
    drop(same_tab, "#inpaint-image .canvas-drop", address=address)
    same_tab.locator("#inpaint-image .canvas-size", has_text="128 × 128").wait_for()
    act(same_tab, "Mask everything")
    image = paint(same_tab, painter).image
    assert image is not None and image.getpixel((5, 5)) == colour(81)


def test_another_hosts_address_is_not_fetched(same_tab: Any) -> None:
    empty(same_tab, "Inpaint")
    drop(same_tab, "#inpaint-image .canvas-drop", address="https://example.org/cat.png")
    note(same_tab, "Addresses are not fetched")  # and `opened` sees that nobody was asked
