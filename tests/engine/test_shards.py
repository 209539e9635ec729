"""Diffusers folders whose weights lie in several files, as diffusers and transformers write them."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.engine.families import CASES, pipeline
from webui.catalog.checkpoints import list_models
from webui.engine.loading import load
from webui.engine.placement import place
from webui.errors import ModelFileError
from webui.testing.families import FAMILIES, build

PLACEMENT = place("cpu", "float32", "sdpa")
INDEX = "diffusion_pytorch_model.safetensors.index.json"


EVERY = pytest.mark.parametrize("family", ["sd1", "sdxl"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def family(request):
    """One is enough for faults."""
    return getattr(request, "param", "sd1")


@pytest.fixture(scope="module")
def networks(family):
    return build(FAMILIES[family])


def written(folder, family, networks, **how):
    pipeline(CASES[family], networks).save_pretrained(folder, **how)
    return folder


@pytest.fixture(scope="module")
def known(family, networks, tmp_path_factory):
    """What a folder with one file for each part becomes."""
    top = tmp_path_factory.mktemp("whole")
    written(top / "Stable-diffusion" / "mine", family, networks)
    return card_of(top), states(load(card_of(top), PLACEMENT))


def card_of(top):
    return next(card for card in list_models([top]) if card.name == "mine")


def states(loaded):
    towers = [tower.model.state_dict() for tower in loaded.text.towers]
    return [loaded.unet.state_dict(), loaded.vae.state_dict(), *towers]


@EVERY
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_are_the_model_that_one_file_is(tmp_path, family, networks, known, variant):
    folder = tmp_path / "Stable-diffusion" / "mine"
    written(folder, family, networks, max_shard_size="200KB", variant=variant)
    parts = [part for part in ("unet", "vae", "text_encoder", "text_encoder_2") if part in networks]
    for part in parts:
        assert len(list((folder / part).glob("*.safetensors"))) > 1
    card, whole = card_of(tmp_path), known[0]
    assert card.problem is None
    assert (card.family, card.kind, card.parts) == (whole.family, whole.kind, whole.parts)
    assert card.size == sum(p.stat().st_size for p in folder.rglob("*.safetensors"))
    for ours, theirs in zip(states(load(card, PLACEMENT)), known[1], strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@EVERY
def test_an_index_by_its_older_name_is_found(tmp_path, family, networks):
    folder = tmp_path / "Stable-diffusion" / "mine"
    written(folder, family, networks, max_shard_size="200KB", variant="fp16")
    for index in folder.rglob("*.index.fp16.json"):
        base = index.name.partition(".")[0]
        index.rename(index.with_name(f"{base}.fp16.safetensors.index.json"))
    assert card_of(tmp_path).problem is None
    load(card_of(tmp_path), PLACEMENT)


@pytest.fixture
def folder(tmp_path, networks, family):
    return written(
        tmp_path / "Stable-diffusion" / "mine", family, networks, max_shard_size="200KB"
    )  # fmt: skip


def shards(folder):
    return sorted((folder / "unet").glob("*.safetensors"))


def problem(folder):
    """What the list says, or loading does where the list sees no fault."""
    card = card_of(folder.parent.parent)
    if card.problem is not None:
        return card.problem
    with pytest.raises(ModelFileError) as caught:
        load(card, PLACEMENT)
    return str(caught.value)


def test_missing_shards_are_named(folder):
    gone = shards(folder)
    for path in gone[1:3]:
        path.unlink()
    told = problem(folder)
    assert INDEX in told and f"2 of its {len(gone)} files are missing" in told
    assert gone[1].name in told and gone[2].name in told


def test_many_missing_shards_are_counted(folder):
    gone = shards(folder)
    for path in gone:
        path.unlink()
    more = len(gone) - 3
    assert f"{gone[0].name}, {gone[1].name}, {gone[2].name} and {more} more" in problem(folder)


def test_a_broken_shard_is_named(folder):
    path = shards(folder)[4]
    os.truncate(path, path.stat().st_size - 4)
    told = problem(folder)
    assert f"unet/{path.name}" in told and "cut short" in told


def test_a_shard_that_lost_a_tensor_is_told(folder):
    path = next(p for p in shards(folder) if "conv_in.weight" in load_file(p))
    kept = {name: value for name, value in load_file(path).items() if name != "conv_in.weight"}
    save_file(kept or {"conv_in.bias": torch.ones(64)}, path)
    told = problem(folder)
    assert "'conv_in.weight'" in told and "unet" in told


def test_nan_in_a_shard_is_told_with_its_file(folder):
    path = shards(folder)[5]
    weights = load_file(path)
    name = next(iter(weights))
    weights[name].view(-1)[0] = float("nan")
    save_file(weights, path)
    told = problem(folder)
    assert path.name in told and repr(name) in told and "NaN" in told


@pytest.mark.parametrize("file", ["../../elsewhere.safetensors", "/elsewhere.safetensors", ".."])
def test_an_index_reaches_no_other_folder(folder, file):
    (folder.parent.parent / "elsewhere.safetensors").write_bytes(b"")
    index = folder / "unet" / INDEX
    told = json.loads(index.read_text(encoding="utf-8"))
    told["weight_map"]["conv_in.weight"] = file
    index.write_text(json.dumps(told), encoding="utf-8")
    assert f"are missing: {file}" in problem(folder)


@pytest.mark.parametrize("content", ["", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[1]"])
def test_an_index_of_nothing_is_named(folder, content):
    (folder / "unet" / INDEX).write_text(content, encoding="utf-8")
    assert INDEX in problem(folder)
