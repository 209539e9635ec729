"""The whole of it, in real Chromium: the page, the real engine, and the model that is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.ui.conftest import opened
from tests.ui.hands import choose, generate, line, number
from webui.app import compose
from webui.http import Gate, Metrics, face
from webui.images import thumbnail
from webui.metadata import parse
from webui.settings import ROOT, STORE, Settings
from webui.store.gallery import Gallery
from webui.ui import launch_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (ROOT / "models/starter/model_index.json").is_file(), reason="no starter model here"
    ),
]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    settings = Settings.at(tmp_path_factory.mktemp("studio"), port=0, device="cpu", dtype="float32")
    gallery = Gallery(settings.data_dir / STORE, settings.outputs_dir, thumbnail)
    composition = compose(settings, gallery=gallery)
    engine, catalog = composition.engine, composition.catalog
    app = face(engine, catalog, settings, Metrics(), gallery)
    gate = partial(Gate, face=app, logins=(), key=b"k" * 32)
    page = launch_page(engine, catalog, settings, quiet=True, gallery=gallery, gate=gate)
    composition.engine.start()
    try:
        yield composition, page
    finally:
        composition.engine.stop()
        page.close()
        gallery.close()


def test_generate_then_repaint_a_part(window: Any, studio: tuple[Any, Any]) -> None:
    composition, page = studio
    outputs = composition.settings.outputs_dir
    with opened(window, page) as tab:
        tab.set_default_timeout(120_000)  # torch is being loaded meanwhile
        tab.get_by_role("button", name="Sampling").click()
        tab.locator("#txt2img-prompt textarea").fill("a red circle")
        number(tab, "txt2img-steps", 4)
        number(tab, "txt2img-seed", 5)
        generate(tab)
        line(tab, "1 picture in").wait_for()
        first = next(iter(outputs.rglob("*-5.png")))
        with Image.open(first) as picture:
            before = np.asarray(picture.convert("RGB")).astype(int)
            found = parse(picture.info["parameters"])
        assert before.std() > 1  # a picture, not a flat colour
        assert (found["Prompt"], found["Steps"], found["Seed"]) == ("a red circle", "4", "5")
        tab.wait_for_function(
            "(width) => [...document.querySelectorAll('.stage-picture')]"
            ".some((one) => one.offsetParent && one.complete && one.naturalWidth === width)",
            arg=before.shape[1],
        )

        tab.get_by_role("button", name="To inpaint").click()
        choose(tab, "Inpaint")
        canvas = tab.locator("#inpaint-image canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        tab.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.2)
        tab.mouse.down()
        tab.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.2, steps=5)
        tab.mouse.up()
        number(tab, "inpaint-seed", 6)
        generate(tab)
        line(tab, "1 picture in").wait_for()
        with Image.open(next(iter(outputs.rglob("*-6.png")))) as picture:
            after = np.asarray(picture.convert("RGB")).astype(int)
    assert after.shape == before.shape
    height = before.shape[0]
    changed = np.abs(after - before).max(axis=-1)
    assert changed[height // 2 :].max() == 0  # far outside the mask: the same to the bit
    assert changed[: height // 3].max() > 0
