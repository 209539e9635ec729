"""A field is declared once: ten lines in the declaration, and every face has ten fields more."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.grown import LINES, NAMES, VALUES
from webui.settings import ROOT

PICTURES = ["hint", "spot"]


@pytest.fixture(scope="module")
def found() -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.grown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_page_has_a_place_for_each(found: Any) -> None:
    assert len(LINES.splitlines()) == len(NAMES) == 10
    drawn = {f"txt2img-{name}" for name in NAMES if name != "spot"}  # a mask lies over its picture
    assert drawn <= set(found["page"])


def test_every_api_has_them_behind_those_of_before(found: Any) -> None:
    assert found["api"][-len(NAMES) - 1 :] == [*NAMES, "extras"]
    assert list(found["http"]) == NAMES
    assert found["http"]["folds"]["type"] == "integer" and found["http"]["folds"]["maximum"] == 9
    assert found["http"]["paper"]["enum"] == ["rice", "oak"]
    assert found["http"]["hint"]["contentEncoding"] == "base64"


def test_the_command_line_takes_them(found: Any) -> None:
    assert all(f"--{name}" in found["help"] for name in NAMES)
    assert found["typed"] == VALUES and found["typed_hint"] == [32, 16]


def test_what_nobody_says_is_the_declarations(found: Any) -> None:
    drawn = {"grain": 0, "folds": None, "larger": "Lanczos"}
    usual = {"motto": "", "tilt": 0.5, "paper": "oak", "framed": False, "margin": 8}
    assert found["usual"] == {**usual, **drawn}
    assert [name for name, value in found["defaults"].items() if value == "none"] == PICTURES


def test_the_infotext_tells_and_reads_them(found: Any) -> None:
    written = {key: found["written"][key] for key in ("Motto", "Tilt", "Folds", "Paper", "Grain")}
    assert written == dict(Motto=VALUES["motto"], Tilt="0.25", Folds="3", Paper="rice", Grain="7")
    assert found["read"] == VALUES


def test_what_the_infotext_leaves_out_means_the_usual_value(found: Any) -> None:
    assert not any(
        key in found["left_out"] for key in ("Motto", "Tilt", "Folds", "Grain", "Margin")
    )
    usual = {"motto": "", "tilt": 0.5, "paper": "oak", "framed": False, "grain": -1, "margin": 8}
    assert {name: found["read_usual"][name] for name in usual} == usual


def test_the_store_keeps_them(found: Any) -> None:
    assert all(found["kept"]) and found["kept_spot"] == ["L", 32, 16]


def test_one_that_is_read_as_a_prompt_is_one_everywhere(found: Any) -> None:
    assert found["prompts"] == {"prompt": "x", "negative_prompt": "", "motto": VALUES["motto"]}
    assert found["drawn"] == "wet dog"


def test_each_refuses_what_it_does_not_take(found: Any) -> None:
    assert found["refused"][:5] == [
        "tilt: tilt 2: use 0 to 1",
        "folds: folds 1.5: give a whole number from 1 to 9",
        "paper: paper 'silk': use 'rice', 'oak'",
        "larger: larger 'Nearst' is not known; did you mean 'Nearest'?",
        "margin: margin 12: use a multiple of 8 (8 or 16)",
    ]
    assert found["refused"][5].startswith("hint: hint: this is not a whole picture")


def test_the_documents_have_a_row_for_each(found: Any) -> None:
    assert all(f"| `{name}` | all |" in found["docs"] for name in NAMES)
