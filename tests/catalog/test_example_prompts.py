"""Example prompts in a model's easel.json, with their pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from webui.catalog.checkpoints import list_models
from webui.catalog.example_prompts import read_prompts
from webui.errors import ModelFileError
from webui.settings import ROOT
from webui.types import Example


def test_texts_and_pictures_may_be_mixed(tmp_path: Path) -> None:
    found = [
        "a cat",
        {"prompt": "a dog", "picture": "examples/dog.webp", "seed": 4},
        {"prompt": "x"},
    ]
    texts, pictures = read_prompts(tmp_path, found, "easel.json")
    assert texts == ("a cat", "a dog", "x")
    assert pictures == {"a dog": Example(tmp_path / "examples" / "dog.webp", 4)}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ("a cat", "not a list of texts"),
        ([5], "not a list of texts"),
        ([{"picture": "a.webp"}], "not a list of texts"),
        ([{"prompt": "a", "picture": "../other/a.webp"}], "not in the model's folder"),
        ([{"prompt": "a", "picture": "/etc/a.webp"}], "not in the model's folder"),
        ([{"prompt": "a", "picture": "weights.safetensors"}], "is none of"),
        ([{"prompt": "a", "picture": "a.webp", "seed": "one"}], "no whole number"),
        ([{"prompt": "a", "picture": "a.webp", "seed": -1}], "no whole number"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, found: object, why: str) -> None:
    with pytest.raises(ModelFileError, match=why):
        read_prompts(tmp_path, found, "easel.json")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "model" / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ModelFileError, match="not in the model's folder"):
        read_prompts(tmp_path / "model", [{"prompt": "a", "picture": "a.png"}], "easel.json")


def test_the_starter_brings_six_small_pictures() -> None:
    card = list_models([ROOT / "models"])[0]
    assert len(card.prompts) == len(card.examples) == 6
    for prompt in card.prompts:
        example = card.examples[prompt]
        assert example.seed is not None and example.picture.stat().st_size < 12_000
        with Image.open(example.picture) as picture:
            assert (picture.format, picture.size) == ("WEBP", (128, 128))
