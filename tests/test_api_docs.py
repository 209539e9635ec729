"""The examples in docs/api.md run as they stand, against a live server; its table is the code's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.api_table import table, written
from tests.ui.painter import catalog, serving, shelf
from webui.engine.tasks import TASKS
from webui.types import DEFAULTS, Choice, Group, Number, Picture
from webui.ui import Page
from webui.ui.endpoints import parameters_of

DOCS = Path(__file__).parent.parent / "docs" / "api.md"
TEXT = DOCS.read_text(encoding="utf-8")


# What the page's extras are of: the declarations of bundled extensions, in short.
EXTRAS = Group(
    "Extensions",
    (
        Number(name="film_grain", label="Film grain", minimum=0, maximum=1, default=0.0),
        Number(name="upscale_by", label="Upscale by", minimum=1, maximum=4, default=1.0),
        Choice(name="upscaler", label="Upscaler", source="upscalers", default="Lanczos"),
        Picture(name="controlnet_image", label="Picture"),
    ),
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    usual = catalog().tasks
    tasks = [
        replace(usual[n], controls=(*usual[n].controls, EXTRAS)) for n in ("txt2img", "img2img")
    ]
    with serving(tmp_path_factory.mktemp("api"), *tasks, extensions=shelf()) as (painter, served):
        yield served
        given = [r.extras for r in painter.submitted if r.task == "txt2img"]
        assert any(e["upscaler"] == "Nearest" and e["film_grain"] == 0.2 for e in given)
        assert any(e["controlnet_image"] is not None for e in given)


def blocks(language: str, page: Page) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return [block.replace("http://127.0.0.1:7860", page.url.rstrip("/")) for block in found]


def test_python_examples_run(page: Page, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    examples = blocks("python", page)
    exec(examples[0], space)
    assert space["info"]["seed"] == 5
    said = ""
    for example in examples[1:]:
        exec(example, space)
        said += space["info"]["parameters"]
    assert "Denoising strength" in said and "Mask blur: 2" in said
    assert space["settings"]["fields"]["Seed"] == "1"
    assert len(space["pictures"]) == 3
    assert "did you mean 'Euler'?" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_examples_run(page: Page, tmp_path: Path) -> None:
    outputs = [
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for example in blocks("bash", page)
    ]
    assert "event: complete" in outputs[0] and '"seed": 5' in outputs[0]
    assert outputs[1].count("event_id") == 2
    with Image.open(tmp_path / "mark.png") as picture:
        assert picture.size == (64, 64)
        assert picture.info["parameters"].startswith("a house\n")


def rows() -> dict[str, tuple[str, str, str]]:
    section = TEXT.split("## Parameters")[1].split("##")[0]
    found = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    return {name: (of, span, default) for name, of, span, default in found}


def test_the_table_is_that_of_the_declarations() -> None:
    """`python -m tests.api_table` writes it anew."""
    assert TEXT == written(TEXT, table(list(TASKS.values())))


@pytest.mark.parametrize("task", list(catalog().tasks.values()), ids=lambda task: task.name)
def test_every_parameter_is_documented_with_its_range(task: Any) -> None:
    documented = rows()
    names = [control.name for control in parameters_of(task)]
    of = [
        name for name, (tasks, _, _) in documented.items() if task.name in tasks or tasks == "all"
    ]
    assert sorted(of) == sorted([*names, "extras"])
    for control in parameters_of(task):
        _, span, default = documented[control.name]
        if isinstance(control, Number):
            assert f"{control.minimum:g} to {control.maximum:g}" in span
        known = DEFAULTS.get(control.name)
        if isinstance(known, int | float) and not isinstance(known, bool):
            assert default.split(";")[0].split(":")[0] == f"{known:g}"
