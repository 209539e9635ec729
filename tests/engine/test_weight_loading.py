"""Tensors of a file become a network's, in any pair of dtypes; what is no number is told by its name."""

import json
import os
import struct

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from webui.catalog.formats.header import read_header
from webui.engine import async_reader, weight_loading
from webui.engine.weight_loading import Weight, check, fill
from webui.errors import ModelFileError

CPU = torch.device("cpu")
KINDS = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
TARGETS = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(async_reader, "PIECE", 1 << 10)


def network(**shapes):
    """One layer without a bias for each name."""
    with torch.device("meta"):
        return nn.ModuleDict({n: nn.Linear(s[1], s[0], bias=False) for n, s in shapes.items()})


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def written(path, **tensors):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return read_header(path)


def filled(net, header, dtype=torch.float32, **how):
    found = {f"{n}.weight": Weight(header, n, **how) for n in header.tensors}
    check(net, found, header.path.name)
    fill(net, found, CPU, dtype)
    return {name: net.get_submodule(name).weight for name in header.tensors}


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_dtype_becomes_every_other_as_torch_changes_it(tmp_path, kind, target):
    given = {name: numbers(30, 41, seed=n).to(KINDS[kind]) for n, name in enumerate("abc")}
    heard = []
    header = written(tmp_path / "w.safetensors", **given)
    net = network(**{name: (30, 41) for name in given})
    fill(net, {f"{n}.weight": Weight(header, n) for n in given}, CPU, target, heard.append)
    for name, tensor in given.items():
        found = net.get_submodule(name).weight
        assert found.dtype == target and torch.equal(found, tensor.to(target))
    assert sum(heard) == 3 * 30 * 41 * target.itemsize


def test_places_that_fit_no_number_are_read_too(tmp_path):
    """The format lets a tensor begin anywhere."""
    given, path = numbers(5, 7), tmp_path / "odd.safetensors"
    head = {
        "x": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "a": {"dtype": "F32", "shape": [5, 7], "data_offsets": [1, 141]},
    }
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" + given.numpy().tobytes())
    net = network(a=(5, 7))
    fill(net, {"a.weight": Weight(read_header(path), "a")}, CPU, torch.float32)
    assert torch.equal(net["a"].weight, given)


@pytest.mark.parametrize("target", [torch.float32, torch.float16])
def test_thirds_turned_and_flat_are_torchs(tmp_path, target):
    fused, conv = numbers(90, 20).half(), numbers(30, 20, 1, 1).half()
    header = written(tmp_path / "w.safetensors", fused=fused, conv=conv)
    net = network(q=(30, 20), k=(30, 20), v=(30, 20), turned=(20, 90), flat=(30, 20))
    found = {f"{n}.weight": Weight(header, "fused", third=i) for i, n in enumerate("qkv")}
    found["turned.weight"] = Weight(header, "fused", turned=True)
    found["flat.weight"] = Weight(header, "conv", flat=True)
    check(net, found, "w")
    fill(net, found, CPU, target)
    for i, n in enumerate("qkv"):
        assert torch.equal(net[n].weight, fused[30 * i : 30 * (i + 1)].to(target))
    assert torch.equal(net["turned"].weight, fused.t().to(target))
    assert net["turned"].weight.is_contiguous()
    assert torch.equal(net["flat"].weight, conv[:, :, 0, 0].to(target))


def test_rows_that_make_no_three_parts_are_refused(tmp_path):
    header = written(tmp_path / "w.safetensors", fused=numbers(91, 20))
    with pytest.raises(ModelFileError, match=r"w\.safetensors: 'fused' has 91 rows"):
        check(network(q=(30, 20)), {"q.weight": Weight(header, "fused", third=0)}, "w")


# --- Numbers that are none ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_every_pattern_of_16_bits_is_told_as_torch_tells_it(kind):
    patterns = torch.arange(1 << 16, dtype=torch.int32).to(torch.uint16)
    finite = patterns.view(KINDS[kind]).isfinite()
    assert finite.any() and not finite.all()
    said = [
        weight_loading.finite(kind, patterns[n : n + 1].view(torch.uint8)) for n in range(1 << 16)
    ]
    assert said == finite.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf"), None])
def test_one_number_among_many_is_enough(kind, odd):
    some = numbers(1000).to(KINDS[kind])
    if odd is not None:
        some[617] = odd
    finite = bool(some.float().isfinite().all())
    assert weight_loading.finite(kind, some.view(torch.uint8)) == finite


@pytest.mark.parametrize("kind", ["F32", "F64"])
def test_the_largest_numbers_are_numbers(kind):
    dtype = KINDS[kind]
    info = torch.finfo(dtype)
    some = torch.tensor([info.max, info.min, info.tiny, 0.0, -0.0, 5e-324], dtype=dtype)
    assert weight_loading.finite(kind, some.view(torch.uint8))


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("kind", ["F16", "BF16", "F32", "F64"])
@pytest.mark.parametrize("at", [0, 700, 1229])
def test_a_tensor_with_nan_is_named(tmp_path, kind, target, at):
    given = {name: numbers(30, 41).to(KINDS[kind]) for name in "abc"}
    given["b"].view(-1)[at] = float("nan")
    header = written(tmp_path / "w.safetensors", **given)
    net = network(a=(30, 41), b=(30, 41), c=(30, 41))
    with pytest.raises(
        ModelFileError, match=r"w\.safetensors: 'b' has values that are not numbers"
    ):
        filled(net, header, target)


@pytest.mark.parametrize(("value", "kind", "target"), [
    (1e6, "F32", torch.float16), (-1e6, "BF16", torch.float16), (1e300, "F64", torch.float32),
    (3.4e38, "F32", torch.bfloat16),
])  # fmt: skip
def test_numbers_too_large_for_the_dtype_are_told_as_such(tmp_path, value, kind, target):
    given = numbers(30, 41).to(KINDS[kind])
    given[3, 3] = value
    header = written(tmp_path / "w.safetensors", a=given)
    name = str(target).removeprefix("torch.")
    said = rf"w\.safetensors: 'a' has values too large for {name}; start with --dtype float32"
    with pytest.raises(ModelFileError, match=said):
        filled(network(a=(30, 41)), header, target)


def test_weights_are_their_own_memory(tmp_path):
    """Writing over a file that is in use, as trainers do, changes nothing and breaks nothing."""
    given = numbers(30, 41)
    header = written(tmp_path / "w.safetensors", a=given)
    found = filled(network(a=(30, 41)), header)["a"]
    os.truncate(header.path, 0)
    assert torch.equal(found, given)
