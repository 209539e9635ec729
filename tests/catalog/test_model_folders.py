"""Adapter files are found by the names that prompts use, whatever the folders look like."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from webui.catalog.library.file_index import found_files
from webui.catalog.model_folders import AdapterFiles, Meant
from webui.errors import RequestError


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("asked", ["sub/deep/A.v1", "a.V1", "SUB/DEEP/a.v1", "A.v1.safetensors"])
def test_a_file_in_a_subfolder_is_found_by_whole_and_bare_names(asked: str, tmp_path: Path) -> None:
    path = put(tmp_path / "Lora" / "sub" / "deep" / "A.v1.safetensors")
    assert AdapterFiles([tmp_path]).lora(asked) == path


def test_accents_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    for name in ("\u00e9t\u00e9", "nfd e\u0301"):
        put(tmp_path / "Lora" / f"{name}.safetensors")
    adapter_files = AdapterFiles([tmp_path])
    for form in ("NFC", "NFD"):
        for name in ("\u00e9t\u00e9", "nfd \u00e9"):
            found = adapter_files.lora(unicodedata.normalize(form, name))
            assert unicodedata.normalize("NFC", found.stem) == name


def test_of_one_name_in_two_folders_each_has_its_own(tmp_path: Path) -> None:
    one, two = (put(tmp_path / "Lora" / top / "twin.safetensors") for top in ("one", "two"))
    adapter_files = AdapterFiles([tmp_path])
    assert [adapter_files.lora(name) for name in ("one/twin", "two/twin", "twin")] == [
        one,
        two,
        one,
    ]


def test_links_in_circles_list_every_file_once_and_as_the_tab_does(tmp_path: Path) -> None:
    """Three of them made 6,561 paths for each file."""
    for name in ("a", "sub/b"):
        put(tmp_path / "Lora" / f"{name}.safetensors")
    for number in range(3):
        (tmp_path / "Lora" / f"loop{number}").symlink_to(tmp_path / "Lora")
    (tmp_path / "Lora" / "sub" / "up").symlink_to(tmp_path / "Lora")
    assert list(AdapterFiles([tmp_path]).loras()) == ["a", "sub/b"]
    assert [found.name for _, found in found_files([tmp_path])] == ["a", "sub/b"]


def test_embeddings_beside_the_models_folder_are_found_as_in_a1111(tmp_path: Path) -> None:
    models = tmp_path / "models"
    path = put(tmp_path / "embeddings" / "style.pt")
    put(models / "embeddings" / "own.pt")
    found = AdapterFiles([models]).embeddings()
    assert set(found) == {"style", "own"} and found["style"].samefile(path)
    assert {one.name for _, one in found_files([models])} == {"style", "own"}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("stile", r"models/Lora; did you mean 'Style'\?$"),
        ("stile:high", r"models/Lora; did you mean 'Style'\?$"),
        ("zzz", r"models/Lora; the nearest is 'Style'$"),
        (
            "x" * 20_000,
            r"<lora:x{80}…>: there is no such file in models/Lora; the nearest is 'Style'$",
        ),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_nearest(
    asked: str, says: str, tmp_path: Path
) -> None:
    put(tmp_path / "Lora" / "Style.safetensors")
    with pytest.raises(RequestError, match=says):
        AdapterFiles([tmp_path]).lora(asked)
    with pytest.raises(RequestError, match="models/hypernetworks; that folder is empty"):
        AdapterFiles([tmp_path]).hypernetwork(asked)


@pytest.mark.parametrize(
    ("file", "asked", "left"),
    [
        ("test2 ", "test2", ""),
        ("test2 ", "test2 ", ""),
        ("sub/one", "sub\\One", ""),
        ("sub /one", "sub/one.safetensors", ""),
        ("v1.5, final", "V1.5, Final", ""),
        ("my: style", "my: style", ""),
        ("style", "style:high:more", "high:more"),
        ("my: style", "my: style:x", "x"),
    ],
)
def test_names_are_found_as_people_write_them(
    file: str, asked: str, left: str, tmp_path: Path
) -> None:
    path = put(tmp_path / "Lora" / f"{file}.safetensors")
    assert AdapterFiles([tmp_path]).meant("lora", asked) == Meant(path, left)


def named(path: Path, output: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {"x": torch.ones(1)}, path, {"ss_tag": '{"ss_output_name": "no"}', "ss_output_name": output}
    )
    return path


def test_the_name_that_a_trainer_wrote_is_a_second_name(tmp_path: Path) -> None:
    style = named(tmp_path / "Lora" / "a.safetensors", "Mein “Stil”")
    twins = [named(tmp_path / "Lora" / f"{name}.safetensors", "twin") for name in ("b", "c")]
    own = named(tmp_path / "Lora" / "d.safetensors", "a")
    put(tmp_path / "Lora" / "cut.safetensors")
    adapter_files = AdapterFiles([tmp_path])
    assert (
        adapter_files.lora("mein “stil”") == style
        and adapter_files.meant("lora", "Mein “Stil”:x").left == "x"
    )
    assert (
        adapter_files.lora("a") == style and adapter_files.lora("d") == own
    )  # a file's own name comes first
    for none in ("no", "", "cutt"):
        with pytest.raises(RequestError, match="no such file"):
            adapter_files.lora(none)
    with pytest.raises(RequestError, match=r"2 files call themselves so \('b', 'c'\); write"):
        adapter_files.lora("Twin")
    named(twins[0], "another")
    assert AdapterFiles([tmp_path]).lora("another") == twins[0]
    assert AdapterFiles([tmp_path]).lora("twin") == twins[1]
