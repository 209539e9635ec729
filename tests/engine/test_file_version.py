"""A model whose file was replaced is read anew, and pictures that are being made with the old one end with it."""

import os
import shutil

import pytest
import torch

from webui.catalog.checkpoints import ModelList
from webui.catalog.formats.hashing import sha256_of
from webui.engine.file_version import Version, is_as_listed
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ModelFileError, RequestError
from webui.store.models import ModelIndex
from webui.testing.families import FAMILIES, build, write
from webui.testing.models import tiny_folder
from webui.types import LoadModel

PLACEMENT = place("cpu", "float32", "sdpa")
ROOM = 1 << 30


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two models of one size, of other weights."""
    folder = tmp_path_factory.mktemp("written")
    return [
        write(folder / f"{seed}.safetensors", build(FAMILIES["sd1"], seed=seed), "ldm")
        for seed in (1, 2)
    ]


@pytest.fixture
def path(tmp_path, written):
    path = tmp_path / "Stable-diffusion" / "m.safetensors"
    path.parent.mkdir()
    shutil.copy(written[0], path)
    return path


@pytest.fixture
def listed(path):
    return ModelList([path.parent.parent], patience_s=1.0)


@pytest.fixture
def runner(listed):
    return Runner(listed, PLACEMENT, ROOM)


def replace(path, by):
    """As most programs do it: written beside, then renamed."""
    shutil.copy(by, path.with_name(".part"))
    os.replace(path.with_name(".part"), path)


def first_weight(runner, model):
    return runner.networks(model).unet.conv_in.weight


def test_the_next_request_gets_the_new_file(runner, path, written):
    old = runner.load(LoadModel("m.safetensors"))
    assert runner.resident(LoadModel("m.safetensors")) is old
    replace(path, written[1])
    assert runner.resident(LoadModel("m.safetensors")) is old  # which asks no disk
    runner.look()  # as when a request is accepted
    assert runner.resident(LoadModel("m.safetensors")) is None
    new = runner.load(LoadModel("m.safetensors"))
    assert runner.resident(LoadModel("m.safetensors")) is new
    assert (old.hash, new.hash) == tuple(sha256_of(one)[:10] for one in written)


def test_a_file_that_is_written_over_in_its_place_is_noticed(runner, path, written):
    runner.load(LoadModel("m.safetensors"))
    path.write_bytes(written[1].read_bytes())
    os.utime(path, ns=(10**18, 10**18))
    assert runner.load(LoadModel("m.safetensors")).hash == sha256_of(written[1])[:10]


def test_a_list_that_was_made_before_does_not_decide_what_is_read(path, written, tmp_path):
    """The new file is of another family: its card would not fit it."""
    runner = Runner(listed := ModelList([tmp_path], patience_s=1.0), PLACEMENT, ROOM)
    listed()
    listed._took, listed._rest_until = 9.0, float("inf")  # as with ten thousand files
    write(tmp_path / "xl.safetensors", build(FAMILIES["sdxl"], seed=3), "ldm")
    os.replace(tmp_path / "xl.safetensors", path)
    assert listed()[0].kind == "sd1"
    assert runner.load(LoadModel("m.safetensors")).kind == "sdxl"


def test_a_picture_that_is_being_made_goes_on_with_what_it_was_begun_with(runner, path, written):
    old = runner.load(LoadModel("m.safetensors"))
    before = first_weight(runner, old).clone()
    replace(path, written[1])
    new = runner.load(LoadModel("m.safetensors"))
    assert torch.equal(first_weight(runner, old), before)
    assert not torch.equal(first_weight(runner, new), before)


def test_the_replaced_one_is_the_first_to_go_and_then_says_so(runner, path, written):
    old = runner.load(LoadModel("m.safetensors"))
    replace(path, written[1])
    new = runner.load(LoadModel("m.safetensors"))
    one = runner.networks(new).bytes
    assert runner.model_cache.bytes == 2 * one
    runner.parts.make_room(one, limit=2 * one)
    assert runner.model_cache.bytes == one and runner.networks(new)
    with pytest.raises(RequestError, match=r"'m\.safetensors' was replaced while a picture"):
        runner.networks(old)


def test_a_replaced_one_stays_as_long_as_a_picture_needs_it(listed, path, written):
    runner = Runner(listed, PLACEMENT, 0)  # room for nothing
    old = runner.load(LoadModel("m.safetensors"))
    assert runner.hold("picture", old)
    before = first_weight(runner, old).clone()
    replace(path, written[1])
    new = runner.load(LoadModel("m.safetensors"))
    assert new != old and torch.equal(first_weight(runner, old), before)
    runner.put_away(new)  # not even for want of memory: it could not be read again
    assert torch.equal(first_weight(runner, old), before)
    runner.release("picture")
    assert runner.present(old) is None and runner.present(new) is not None


def test_a_bad_new_file_says_so_and_others_stay(runner, path, written):
    shutil.copy(written[1], path.with_name("other.safetensors"))
    other = runner.load(LoadModel("other.safetensors"))
    runner.load(LoadModel("m.safetensors"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelFileError, match=r"m\.safetensors: is cut short"):
        runner.load(LoadModel("m.safetensors"))
    assert runner.present(other) is not None


def test_what_is_in_memory_stays_of_use_when_the_file_is_gone(runner, path):
    model = runner.load(LoadModel("m.safetensors"))
    path.unlink()
    assert runner.resident(LoadModel("m.safetensors")) is model


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.safetensors", "vae/config.json"])
def test_a_folder_changes_with_the_files_that_make_its_networks(tmp_path, name):
    folder = tiny_folder(tmp_path / "Stable-diffusion" / "f")
    card = ModelList([tmp_path])()[0]
    version = Version.of(card)
    (folder / "easel.json").write_text("{}")  # which the loader itself may write
    (folder / "preview.png").write_bytes(b"")
    assert version.holds() and is_as_listed(card)
    os.utime(folder / name, ns=(10**18, 10**18))
    assert not version.holds()


def test_what_a_load_finds_out_is_remembered(path, tmp_path):
    index = ModelIndex(tmp_path / "state")
    runner = Runner(ModelList([tmp_path], index), PLACEMENT, ROOM, facts=index)
    card = ModelList([tmp_path], index)()[0]
    assert (card.sha256, index.last_used(card.fingerprint)) == ("", 0)
    runner.load(LoadModel("m.safetensors"))
    card = ModelList([tmp_path], index)()[0]
    assert card.sha256 == sha256_of(path)
    assert index.last_used(card.fingerprint) > 1.7e9
    index.close()
