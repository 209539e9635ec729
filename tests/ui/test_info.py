"""PNG info: what pictures of several programs say of themselves, and the way to a task's form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.ui.hands import paint
from tests.ui.painter import FlatPainter
from webui.errors import RequestError
from webui.ui.gradio_adapter import upload_folder
from webui.ui.info import TEXT_MAX, TEXTS_MAX, info_of

A1111 = (
    "a castle, (dramatic light:1.2)\nNegative prompt: lowres\n"
    "Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 998877, Size: 96x64, "
    'Model: dreamlike, Lora hashes: "detail: 0f1e2d", Version: v1.9.4'
)
GRAPH = {"3": {"class_type": "KSampler", "inputs": {"seed": 5}}}


def png(file: Path, **texts: str) -> Path:
    chunks = PngInfo()
    for name, text in texts.items():
        chunks.add_text(name, text, zip=len(text) > 1000)
    Image.new("RGB", (96, 64), "teal").save(file, pnginfo=chunks)
    return file


@pytest.fixture
def folder() -> Path:
    """Where uploads lie."""
    folder = upload_folder() / "info"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def told(file: Path) -> dict[str, Any]:
    return info_of({"path": str(file)})


def test_the_settings_of_a1111_are_read(folder: Path) -> None:
    found = told(png(folder / "a.png", parameters=A1111))
    assert found["parameters"] == A1111
    assert found["fields"]["Prompt"] == "a castle, (dramatic light:1.2)"
    assert found["fields"]["Lora hashes"] == "detail: 0f1e2d"
    assert (found["width"], found["height"], found["format"]) == (96, 64, "PNG")
    assert found["texts"] == {} and not found["comfyui"]


def test_a_comfyui_workflow_is_told_from_settings(folder: Path) -> None:
    found = told(png(folder / "c.png", prompt=json.dumps(GRAPH), workflow='{"nodes": []}'))
    assert found["comfyui"] and found["parameters"] == "" and found["fields"] == {}
    assert json.loads(found["texts"]["prompt"]) == GRAPH


def test_a_comfyui_workflow_in_exif_is_found(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps(GRAPH)
    exif[0x010F] = 'workflow:{"nodes": []}'
    Image.new("RGB", (32, 32)).save(folder / "c.webp", exif=exif)
    found = told(folder / "c.webp")
    assert found["comfyui"] and json.loads(found["texts"]["prompt"]) == GRAPH


def test_a_cameras_name_is_no_workflow(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "prompt: EOS 5"
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (48, 32)).save(folder / "camera.jpg", exif=exif)
    found = told(folder / "camera.jpg")
    assert not found["comfyui"] and found["texts"] == {} and found["parameters"] == ""
    assert (found["width"], found["height"]) == (32, 48)


FOOOCUS = '{"prompt": "a cat", "negative_prompt": "bad", "seed": 5, "steps": 30, "styles": "x"}'
CAMERA = "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90"


def test_json_and_comments_are_shown_and_no_prompt(folder: Path) -> None:
    for text in (json.dumps(GRAPH), '{"prompt": "a cat", "cut": "o'):
        found = told(png(folder / "j.png", parameters=text))
        assert (found["parameters"], found["fields"]) == ("", {})
        assert found["texts"] == {"parameters": text}
    Image.new("RGB", (32, 32)).save(folder / "c.jpg", comment=CAMERA.encode())
    Image.new("RGB", (32, 32)).save(folder / "c.gif", comment=CAMERA.encode())
    for file in ("c.jpg", "c.gif"):
        found = told(folder / file)
        assert (found["parameters"], found["fields"]) == ("", {})
        assert found["texts"] == {"comment": CAMERA}


def test_the_json_of_fooocus_is_settings(folder: Path) -> None:
    found = told(png(folder / "f.png", parameters=FOOOCUS))
    assert found["parameters"] == FOOOCUS and found["texts"] == {}
    assert (found["fields"]["Prompt"], found["fields"]["Steps"]) == ("a cat", "30")
    assert found["fields"]["styles"] == "x"


def test_long_and_many_texts_are_cut(folder: Path) -> None:
    many = {f"note{i}": "x" * (TEXT_MAX + 5 if i == 0 else 3) for i in range(TEXTS_MAX + 4)}
    found = told(png(folder / "m.png", **many))
    assert len(found["texts"]) == TEXTS_MAX
    assert max(map(len, found["texts"].values())) == TEXT_MAX


def test_what_is_no_whole_picture_is_one_sentence(folder: Path) -> None:
    whole = png(folder / "w.png", parameters=A1111).read_bytes()
    (folder / "half.png").write_bytes(whole[:120])
    for file in (folder / "half.png", folder / "missing.png"):
        with pytest.raises(RequestError, match=r"^image: "):
            told(file)


# --- In Chromium ---------------------------------------------------------------------------------


@pytest.fixture
def info(same_tab: Any) -> Any:
    same_tab.get_by_role("tab", name="PNG info").click()
    same_tab.locator(".info-drop").wait_for()
    return same_tab


def give(tab: Any, file: Path) -> None:
    tab.locator("#png_info-image input[type=file]").set_input_files(file)


@pytest.mark.browser
def test_settings_stand_in_a_table(info: Any, tmp_path: Path) -> None:
    give(info, png(tmp_path / "a.png", parameters=A1111 + ", Note: <b>bold</b>"))
    info.locator(".info-words", has_text="a castle, (dramatic light:1.2)").wait_for()
    row = info.locator(".info-table > div", has_text="Seed")
    assert row.locator("dd").inner_text() == "998877"
    assert info.locator(".info-table dd", has_text="<b>bold</b>").count() == 1
    assert info.locator("#png_info-text textarea").input_value().startswith(A1111)


@pytest.mark.browser
def test_other_pictures_say_what_they_are(info: Any, tmp_path: Path) -> None:
    give(info, png(tmp_path / "c.png", prompt=json.dumps(GRAPH)))
    info.locator(".info-line", has_text="carries a ComfyUI workflow").wait_for()
    shown = info.locator(".info-texts textarea").first
    assert json.loads(shown.input_value()) == GRAPH
    give(info, png(tmp_path / "p.png"))
    info.get_by_text("This picture carries no settings.").wait_for()
    assert not info.locator(".info-texts textarea").count()
    (tmp_path / "half.png").write_bytes((tmp_path / "p.png").read_bytes()[:70])
    give(info, tmp_path / "half.png")
    info.get_by_text("This is not a whole picture; use PNG, JPEG or WebP.").wait_for()
    (tmp_path / "x.txt").write_text("x")
    give(info, tmp_path / "x.txt")
    info.get_by_text("x.txt is not a picture; use PNG, JPEG or WebP.").wait_for()


@pytest.mark.browser
def test_picture_and_settings_go_to_image_to_image(
    info: Any, painter: FlatPainter, tmp_path: Path
) -> None:
    give(info, png(tmp_path / "a.png", parameters=A1111))
    info.locator(".info-words", has_text="a castle").wait_for()
    info.get_by_role("button", name="Send to image to image").click()
    info.wait_for_function(
        "document.querySelector('#img2img-prompt textarea')?.value.startsWith('a castle')"
    )
    info.locator("#img2img-image .canvas-remove:visible").wait_for()
    request = paint(info, painter)
    assert request.image is not None and request.image.size == (96, 64)
    assert (request.cfg_scale, request.negative_prompt) == (6.5, "lowres")
    assert request.seed != 998877  # a picture made of another is a new one
