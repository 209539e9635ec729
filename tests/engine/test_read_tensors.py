"""The tensors of a file are read as they are there, and are nobody's but ours afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from webui.catalog.formats.header import read_header
from webui.engine.read_tensors import KINDS, read_tensors
from webui.engine.weight_loading import DTYPES
from webui.errors import ModelFileError


def test_every_kind_is_read_as_safetensors_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    bits = torch.arange(64, dtype=torch.uint8)
    given = {name: bits.clone().view(kind) for name, kind in KINDS.items() if name != "BOOL"}
    given |= {
        "BOOL": torch.tensor([True, False]),
        "none": torch.zeros(0, 4),
        "alpha": torch.tensor(4.0),
    }
    save_file(given, path)
    found, expected = read_tensors(read_header(path)), load_file(path)
    assert found.keys() == expected.keys()
    for name, theirs in expected.items():
        assert found[name].dtype == theirs.dtype and found[name].shape == theirs.shape
        assert torch.equal(
            found[name].view(-1).view(torch.uint8), theirs.view(-1).view(torch.uint8)
        )


def test_what_is_written_into_the_file_afterwards_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.safetensors"
    save_file({"x": torch.ones(1 << 20)}, path)
    header = read_header(path)
    found = read_tensors(header)["x"]
    with path.open("r+b") as file:  # the same file, as trainers write over their last one
        file.seek(header.body)
        file.write(bytes(1 << 22))
    assert found.min() == 1
    path.write_bytes(b"")
    assert found.sum() == 1 << 20
    with pytest.raises(ModelFileError, match=r"one\.safetensors: has changed while it was loaded"):
        read_tensors(header)


def test_numbers_of_an_unknown_kind_are_told(tmp_path: Path) -> None:
    head = json.dumps({"x": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(8))
    with pytest.raises(ModelFileError, match=r"odd\.safetensors: 'x' holds C64 numbers"):
        read_tensors(read_header(path))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (kind, value)
        for kind in sorted(DTYPES)
        for value in (float("nan"), float("inf"), -float("inf"))
        if kind != "F8_E4M3" or value != value  # which has no infinity
    ],
)
def test_what_is_no_number_is_told_with_its_name(kind: str, value: float, tmp_path: Path) -> None:
    numbers = torch.ones(4, 8)
    numbers[2, 3] = value
    stored = numbers.to(DTYPES[kind])
    assert not stored.float().isfinite().all()
    path = tmp_path / "bad.safetensors"
    save_file({"good": torch.ones(4), "bad": stored}, path)
    with pytest.raises(ModelFileError, match=r"bad\.safetensors: 'bad' has values that are not"):
        read_tensors(read_header(path))


def test_whole_numbers_are_no_nan(tmp_path: Path) -> None:
    save_file({"x": torch.full((8,), -1, dtype=torch.int16)}, tmp_path / "whole.safetensors")
    assert read_tensors(read_header(tmp_path / "whole.safetensors"))["x"].eq(-1).all()
