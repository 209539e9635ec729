"""The Models tab in Chromium, over real files, the real library and a hub on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save, save_file

from tests.store.hub import FakeHub, fake_hub
from tests.ui.conftest import opened
from tests.ui.painter import FlatPainter, catalog, until
from tests.ui.test_access import violations
from webui import images
from webui.catalog.checkpoints import ModelList
from webui.catalog.library import Library
from webui.defaults import complete
from webui.http import Gate, Metrics, face
from webui.settings import STORE, Settings
from webui.store.downloads import Downloads
from webui.store.downloads.hub import Hub
from webui.store.gallery import Gallery
from webui.store.models import ModelIndex
from webui.store.thumbnails import Thumbnails
from webui.types import ModelCard
from webui.ui import Page, launch_page

pytestmark = pytest.mark.browser
DOWN = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
MANY = 400


class Cards(ModelList):
    """The painter's own models, which no file stands for, among the files."""

    def __call__(self) -> list[ModelCard]:
        return [*catalog().list_models(), *super().__call__()]


@dataclass
class Shop:
    painter: FlatPainter
    page: Page
    models: Path
    hub: FakeHub
    settings: Settings


def lora(path: Path, width: int = 768, **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({DOWN: np.zeros((4, width), np.float32)}, path, metadata=metadata)
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("models")
    models = folder / "models"
    tags = json.dumps({"10_ink": {"ink drawing": 9, "paper": 3}})
    ink = lora(models / "Lora" / "styles" / "ink.safetensors", ss_tag_frequency=tags)
    Image.new("RGB", (600, 800), "#c2410c").save(ink.with_name("ink.preview.png"))
    for number in range(MANY):
        lora(models / "Lora" / "many" / f"one{number:03}.safetensors")
    (models / "Stable-diffusion").mkdir()
    (models / "Stable-diffusion" / "old.ckpt").write_bytes(b"PK\x03\x04" + bytes(100))
    settings = Settings.at(folder, port=0, models_dirs=(models,))
    painter, listed = FlatPainter(settings.outputs_dir), catalog()
    index = ModelIndex(folder / STORE)
    library = Library((models,), Cards((models,), index), index)
    previews = Thumbnails(folder / "previews", images.thumbnail)
    gallery = Gallery(folder / STORE, settings.outputs_dir, images.thumbnail)
    painter.gallery = gallery
    with fake_hub() as hub:
        hub.files = {"soft.safetensors": save({DOWN: np.zeros((4, 768), np.float32)})}
        downloads = Downloads(models, folder / STORE, hub=Hub(hub.url), arrived=library.rescan)
        app = face(
            painter,
            listed,
            settings,
            Metrics(),
            gallery,
            library=library,
            previews=previews.of,
            downloads=downloads,
        )
        gate = partial(Gate, face=app, logins=(), key=b"k" * 32)
        page = launch_page(
            painter, listed, settings, gallery=gallery, models=True, quiet=True, gate=gate
        )
        try:
            yield Shop(painter, page, models, hub, settings)
        finally:
            page.close()
            downloads.close()
            gallery.close()
            previews.close()
            index.close()


@pytest.fixture(scope="module")
def one_tab(window: Any, shop: Shop) -> Iterator[Any]:
    with opened(window, shop.page) as tab:
        yield tab


@pytest.fixture
def tab(one_tab: Any) -> Any:
    one_tab.get_by_role("tab", name="Models").click()
    one_tab.get_by_role("button", name="Files", exact=True).click()
    one_tab.get_by_role("searchbox", name="Search models").fill("")
    one_tab.get_by_role("button", name=re.compile(r"^All")).click()
    one_tab.locator(".model-card", has_text="broken").wait_for()
    return one_tab


def look_for(tab: Any, words: str) -> Any:
    """The one card that is found."""
    tab.get_by_role("searchbox", name="Search models").fill(words)
    tab.wait_for_function("document.querySelectorAll('.model-card').length === 1")
    return tab.locator(".model-card")


def prompt(tab: Any) -> Any:
    return tab.get_by_role("textbox", name="Prompt", exact=True).first


def test_however_many_files_few_are_in_the_page(tab: Any, shop: Shop) -> None:
    tab.get_by_role("button", name=re.compile(r"^LoRA")).click()
    tab.locator(".model-card", has_text="many/one000").wait_for()
    assert tab.locator(".model-card").count() < 60
    tab.keyboard.press("End")
    tab.locator(".model-card", has_text="styles/ink").wait_for()
    assert tab.locator(".model-card").count() < 60


def test_a_lora_goes_into_the_prompt_and_comes_out_with_undo(tab: Any, shop: Shop) -> None:
    tab.get_by_role("tab", name="Text to image").click()
    prompt(tab).fill("a cat")
    tab.get_by_role("tab", name="Models").click()
    look_for(tab, "styles/ink").get_by_role("button", name="Add to prompt").click()
    tab.wait_for_function("document.activeElement.value === 'a cat, <lora:styles/ink:1>'")
    tab.keyboard.press("Control+z")
    assert prompt(tab).input_value() == "a cat"


def test_words_and_weight_are_kept_and_used(tab: Any, shop: Shop) -> None:
    look_for(tab, "styles/ink").get_by_role("button", name="styles/ink", exact=True).click()
    sheet = tab.get_by_role("dialog", name="styles/ink")
    sheet.get_by_role("button", name="ink drawing").click()
    sheet.get_by_text("Saved").wait_for()
    sheet.get_by_label("Preferred weight").fill("0.7")
    sheet.get_by_label("Notes", exact=True).fill("blue ink only")
    with tab.expect_response(
        lambda r: r.request.method == "PATCH" and "blue" in (r.request.post_data or "")
    ):
        sheet.get_by_label("Description").focus()
    tab.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    tab.get_by_role("searchbox", name="Search models").fill("blue ink")
    tab.wait_for_function("document.querySelectorAll('.model-card').length === 1")
    tab.get_by_role("tab", name="Text to image").click()
    prompt(tab).fill("")
    tab.get_by_role("tab", name="Models").click()
    tab.get_by_role("button", name="Add to prompt: styles/ink").click()
    tab.wait_for_function("document.activeElement.value === '<lora:styles/ink:0.7> ink drawing'")


def test_what_was_just_written_is_what_goes_into_the_prompt(tab: Any, shop: Shop) -> None:
    """However long the server takes to keep it; and of two fields left one after the other both."""
    tab.get_by_role("tab", name="Text to image").click()
    prompt(tab).fill("")
    tab.get_by_role("tab", name="Models").click()
    card = look_for(tab, "many/one007")
    card.get_by_role("button", name="many/one007", exact=True).click()
    sheet = tab.get_by_role("dialog", name="many/one007")
    sheet.get_by_label("Activation words").wait_for()
    held: list[Any] = []
    tab.route(
        "**/api/models/files/*",
        lambda route: held.append(route) if route.request.method == "PATCH" else route.continue_(),
    )
    sheet.get_by_label("Activation words").fill("seven")
    sheet.get_by_label("Preferred weight").fill("0.3")
    tab.keyboard.press("Escape")
    sheet.wait_for(state="detached")
    card.get_by_role("button", name="Add to prompt").click()
    for count in (1, 2):
        while len(held) < count:
            tab.wait_for_timeout(20)  # which lets the routes be heard
        held[-1].continue_()
    tab.unroute("**/api/models/files/*")
    tab.wait_for_function("document.activeElement.value === '<lora:many/one007:0.3> seven'")


def test_a_checkpoint_is_chosen_with_its_defaults(tab: Any, shop: Shop) -> None:
    look_for(tab, "wide").get_by_role("button", name="Use: wide").click()
    tab.locator(".model-card[data-chosen=yes]", has_text="wide").wait_for()
    assert tab.locator("#easel-model input").input_value() == "wide"
    tab.get_by_role("tab", name="Text to image").click()
    tab.wait_for_function(
        "document.querySelector('#txt2img-steps input[type=number]')?.value === '6'"
    )


def test_a_pickle_says_what_to_do(tab: Any, shop: Shop) -> None:
    card = look_for(tab, "old.ckpt")
    assert card.get_by_role("button", name="Use").count() == 0
    card.get_by_role("button", name="old.ckpt").click()
    command = tab.locator(".sheet-command code")
    command.wait_for()
    assert command.text_content().startswith("python launch.py models convert")
    tab.keyboard.press("Escape")


def test_a_file_that_comes_is_seen_and_a_picture_becomes_its_preview(tab: Any, shop: Shop) -> None:
    lora(shop.models / "Lora" / "newcomer.safetensors", 2048)
    tab.get_by_role("button", name="Rescan").click()
    look_for(tab, "newcomer").get_by_role("button", name="newcomer", exact=True).click()
    request = complete(
        "txt2img", {"prompt": "a dot", "seed": 5, "steps": 1}, catalog(), shop.settings
    )
    job = shop.painter.submit(request)
    until(lambda: shop.painter.status(job).state == "done", "a picture")
    tab.get_by_role("button", name="Set preview…").click()
    tab.locator(".sheet-choice").first.click()
    tab.locator(".sheet-picture img").wait_for()
    with Image.open(shop.models / "Lora" / "newcomer.preview.png") as picture:
        assert "Seed: 5" in picture.info["parameters"]
    tab.keyboard.press("Escape")


def test_a_download_arrives_among_the_files(tab: Any, shop: Shop) -> None:
    tab.get_by_role("button", name=re.compile("^Downloads")).click()
    shop.hub.hold.clear()
    tab.get_by_role("textbox", name="Repository, as owner/name").fill("owner/name")
    tab.get_by_role("button", name="Look").click()
    tab.locator(".fetch-file select").select_option("lora")
    tab.get_by_role("button", name="Download soft.safetensors").click()
    row = tab.locator(".fetch-row", has_text="Lora/soft.safetensors")
    row.get_by_role("button", name="Pause Lora/soft.safetensors").click()
    row.get_by_text("Paused").wait_for()
    shop.hub.hold.set()
    row.get_by_role("button", name="Resume Lora/soft.safetensors").click()
    row.get_by_text("Done").wait_for()
    tab.get_by_role("button", name="Files", exact=True).click()
    look_for(tab, "soft")


def test_the_first_page_says_what_the_model_draws_and_leads_to_better_ones(
    tab: Any, shop: Shop
) -> None:
    tab.get_by_role("tab", name="Text to image").click()
    line = tab.locator(".easel-task:visible .stage-model")
    said = "Paints whatever you describe, best at about 512 × 512 pixels. More models"
    assert line.inner_text().partition(": ")[2] == said
    line.get_by_role("button", name="More models").click()
    groups = tab.locator(".fetch-purpose h4")
    groups.first.wait_for()
    assert groups.first.inner_text() == "To begin with, on most machines"
    first = tab.locator(".fetch-card").first
    assert first.locator(".fetch-needs p").all_inner_texts() == [
        "about 2.1 GB",
        "GPU with 4 GB, or 6 GB of memory",
    ]
    tab.get_by_role("button", name="Files", exact=True).click()


def test_a_phone_has_no_sideways_scroll(tab: Any, shop: Shop) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    wide = "document.documentElement.scrollWidth <= 390"
    tab.wait_for_function(wide)
    tab.get_by_role("button", name=re.compile("^Downloads")).click()
    tab.wait_for_function(wide)
    tab.set_viewport_size({"width": 1280, "height": 800})


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_cards_sheet_and_downloads_have_no_serious_fault(tab: Any, dark: bool) -> None:
    tab.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
    assert violations(tab, ".easel-models") == []
    look_for(tab, "styles/ink").get_by_role("button", name="styles/ink", exact=True).click()
    tab.locator(".sheet-notes").wait_for()
    assert violations(tab, ".model-sheet") == []
    tab.keyboard.press("Escape")
    look_for(tab, "old.ckpt").get_by_role("button", name="old.ckpt").click()
    tab.locator(".sheet-command").wait_for()
    assert violations(tab, ".model-sheet") == []
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name=re.compile("^Downloads")).click()
    tab.locator(".fetch-card").first.wait_for()
    assert violations(tab, ".easel-models") == []
    tab.evaluate("document.body.classList.remove('dark')")
