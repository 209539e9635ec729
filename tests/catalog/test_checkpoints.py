"""The list of models: every good folder is found, every bad entry says what is wrong with it."""

import json
import os
import shutil
import struct
import sys
import time

import pytest

from tests.catalog.formats.files import checkpoint
from tests.networks import tiny_folder
from webui.catalog.checkpoints import ModelList, list_models
from webui.catalog.formats import header_cache
from webui.catalog.formats.hashing import stamp_of
from webui.catalog.formats.header import read_header
from webui.errors import ModelFileError
from webui.store.models import ModelIndex
from webui.types import ModelNotes


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sound model, written once; tests copy it."""
    return tiny_folder(tmp_path_factory.mktemp("written") / "model")


@pytest.fixture
def models(tmp_path, written):
    """A models folder with one sound model, "good"."""
    shutil.copytree(written, tmp_path / "Stable-diffusion" / "good")
    return tmp_path


def only(models):
    cards = list_models([models])
    assert len(cards) == 1
    return cards[0]


def edit(path, **changes):
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes}), encoding="utf-8")


def test_good_model_has_no_problem(models):
    card = only(models)
    assert (card.name, card.problem) == ("good", None)
    assert (card.latent_channels, card.inpainting) == (4, False)


def test_inpainting_model_is_known_by_its_channels(tmp_path):
    tiny_folder(tmp_path / "Stable-diffusion" / "paint", inpainting=True, channels=6)
    card = only(tmp_path)
    assert (card.latent_channels, card.inpainting, card.problem) == (6, True, None)


def test_starter_is_first_and_folders_may_be_nested(models, written, tmp_path):
    second = tmp_path / "second"
    shutil.copytree(written, second / "starter")
    shutil.copytree(written, models / "Stable-diffusion" / "anime" / "v2")
    names = [card.name for card in list_models([models, second, tmp_path / "nowhere"])]
    assert names == ["starter", "anime/v2", "good"]


def test_second_model_of_a_name_is_listed_with_the_reason(models, written, tmp_path):
    shutil.copytree(written, tmp_path / "second" / "Stable-diffusion" / "good")
    first, second = list_models([models, tmp_path / "second"])
    assert (first.name, first.problem) == ("good", None)
    assert second.name != "good" and "called 'good' already" in second.problem


def test_easel_json_gives_defaults_and_prompts(models):
    beside = {"defaults": {"steps": 12, "width": 128}, "prompts": ["a red cat"], "preview": {}}
    (models / "Stable-diffusion" / "good" / "easel.json").write_text(json.dumps(beside))
    card = only(models)
    assert dict(card.defaults) == {"steps": 12, "width": 128}
    assert card.prompts == ("a red cat",)


def test_single_files_are_listed_with_the_reason(tmp_path):
    folder = tmp_path / "Stable-diffusion"
    folder.mkdir()
    for name in ("a.safetensors", "b.ckpt", "readme.txt", ".hidden.ckpt"):
        (folder / name).write_bytes(struct.pack("<Q", 2) + b"{}")
    cards = list_models([tmp_path])
    assert [card.name for card in cards] == ["a.safetensors", "b.ckpt"]
    assert "no tensors" in cards[0].problem
    assert "run code" in cards[1].problem and "models convert" in cards[1].problem


def remove(name):
    return lambda folder: (folder / name).unlink()


def damage(name):
    return lambda folder: (folder / name).write_text("{ not json", encoding="utf-8")


def change(name, **changes):
    return lambda folder: edit(folder / name, **changes)


def pickled(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"x")


def shard_missing(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part-1.safetensors"}}), encoding="utf-8")


def shard_elsewhere(folder):
    shard_missing(folder)
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "../vae/diffusion_pytorch_model.safetensors"}})
    )


@pytest.mark.parametrize(("fault", "said"), [
    (remove("unet/diffusion_pytorch_model.safetensors"), "unet/diffusion_pytorch_model.safetensors"),
    (remove("text_encoder/model.safetensors"), "text_encoder/model.safetensors"),
    (remove("unet/config.json"), "unet/config.json"),
    (remove("vae/config.json"), "vae/config.json"),
    (remove("scheduler/scheduler_config.json"), "scheduler_config.json"),
    (damage("model_index.json"), "model_index.json"),
    (damage("unet/config.json"), "unet/config.json"),
    (damage("scheduler/scheduler_config.json"), "scheduler_config.json"),
    (change("vae/config.json", latent_channels="four"), "latent_channels is 'four'"),
    (change("unet/config.json", in_channels=8), "8 input channels"),
    (change("unet/config.json", cross_attention_dim=768), "width 768"),
    (change("unet/config.json", addition_embed_type="text_time"), "text_encoder_2/config.json"),
    (change("model_index.json", _class_name="StableDiffusionXLPipeline"), "XL"),
    (change("unet/config.json", _class_name="UNet3DConditionModel"), "UNet3DConditionModel"),
    (lambda folder: (folder / "text_encoder_2").mkdir(), "XL"),
    (lambda folder: (folder / "easel.json").write_text("[1]"), "easel.json"),
    (lambda folder: (folder / "easel.json").write_text('{"prompts": 3}'), "'prompts'"),
    (lambda folder: (folder / "easel.json").write_text('{"defaults": 3}'), "'defaults'"),
    (lambda folder: (folder / "easel.json").write_bytes(b"\xff\xfe\x00"), "easel.json"),
    (pickled, "save_pretrained"),
    (shard_missing, "part-1.safetensors"),
    (shard_elsewhere, "diffusion_pytorch_model.safetensors"),
])  # fmt: skip
def test_fault_becomes_a_sentence_and_the_list_goes_on(models, written, fault, said):
    shutil.copytree(written, models / "Stable-diffusion" / "bad")
    fault(models / "Stable-diffusion" / "bad")
    bad, good = list_models([models])
    assert (bad.name, good.name, good.problem) == ("bad", "good", None)
    assert said in bad.problem.replace("\\", "/")


def test_another_kind_of_pipeline_is_named(tmp_path):
    folder = tmp_path / "Stable-diffusion" / "flux"
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}', encoding="utf-8")
    assert "FluxPipeline" in only(tmp_path).problem


def test_file_in_place_of_the_folder_is_no_model(tmp_path):
    (tmp_path / "Stable-diffusion").write_text("")
    (tmp_path / "starter").write_text("")
    assert list_models([tmp_path]) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
class TestLinks:
    def test_linked_model_is_found_once_under_its_name(self, tmp_path, written):
        (tmp_path / "Stable-diffusion").mkdir()
        (tmp_path / "Stable-diffusion" / "linked").symlink_to(written)
        assert (only(tmp_path).name, only(tmp_path).problem) == ("linked", None)

    def test_loop_of_folders_ends(self, models):
        (models / "Stable-diffusion" / "again").symlink_to(models / "Stable-diffusion")
        assert only(models).name == "good"

    def test_link_to_itself_and_to_nowhere_are_told(self, models):
        (models / "Stable-diffusion" / "itself").symlink_to(models / "Stable-diffusion" / "itself")
        (models / "Stable-diffusion" / "nowhere").symlink_to(models / "gone")
        cards = {card.name: card.problem for card in list_models([models])}
        assert set(cards) == {"good", "itself", "nowhere"}
        assert cards["good"] is None
        assert "leads nowhere" in cards["nowhere"] and cards["itself"]


class TestSingleFiles:
    @pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "refiner"])
    def test_both_layouts_are_listed_with_what_they_are(self, tmp_path, family):
        for layout in ("ldm", "diffusers"):
            checkpoint(
                tmp_path / "Stable-diffusion" / f"{layout}.safetensors", family, layout=layout
            )
        cards = list_models([tmp_path])
        assert [(c.name, c.layout, c.problem) for c in cards] == [
            ("diffusers.safetensors", "diffusers", None),
            ("ldm.safetensors", "ldm", None),
        ]
        assert cards[0].family == cards[1].family and cards[0].kind == cards[1].kind
        assert all(c.weights == c.path and c.size == c.path.stat().st_size for c in cards)

    def test_a_bad_file_among_good_ones_is_told_and_the_list_goes_on(self, tmp_path):
        folder = tmp_path / "Stable-diffusion"
        checkpoint(folder / "deep" / "er" / "good.safetensors")
        checkpoint(folder / "other.safetensors")
        data = (folder / "other.safetensors").read_bytes()
        (folder / "cut.safetensors").write_bytes(data[:-1])
        (folder / "pickle.safetensors").write_bytes(b"\x80\x04}.")
        cards = {card.name: card.problem for card in list_models([tmp_path])}
        assert list(cards) == [
            *("cut.safetensors", "deep/er/good.safetensors"),
            *("other.safetensors", "pickle.safetensors"),
        ]
        assert "cut short" in cards["cut.safetensors"] and "pickle" in cards["pickle.safetensors"]
        assert cards["other.safetensors"] is None is cards["deep/er/good.safetensors"]

    @pytest.mark.skipif(sys.platform == "win32", reason="no pipes and such names there")
    def test_pipes_broken_links_and_odd_names_are_listed_without_harm(self, tmp_path):
        folder = tmp_path / "Stable-diffusion"
        checkpoint(folder / "good.safetensors")
        os.mkfifo(folder / "pipe.safetensors")
        (folder / "lost.safetensors").symlink_to(folder / "gone")
        (folder / "ring.safetensors").symlink_to(folder / "ring.safetensors")
        (folder / "zero.safetensors").symlink_to("/dev/zero")
        with open(os.fsencode(folder) + b"/\xff.safetensors", "wb"):
            pass
        cards = {card.name: card.problem for card in list_models([tmp_path])}
        assert cards.pop("good.safetensors") is None
        assert set(cards) == {
            *("pipe.safetensors", "lost.safetensors", "ring.safetensors", "zero.safetensors"),
            "\ufffd.safetensors",
        }
        assert all(cards.values())
        json.dumps(cards).encode("utf-8")  # every name and sentence can be shown

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    def test_a_link_to_a_file_is_a_model(self, tmp_path):
        checkpoint(tmp_path / "elsewhere.safetensors")
        (tmp_path / "Stable-diffusion").mkdir()
        (tmp_path / "Stable-diffusion" / "link.safetensors").symlink_to(
            tmp_path / "elsewhere.safetensors"
        )
        assert only(tmp_path).problem is None


class TestListing:
    """A `ModelList` reads each version of a file once."""

    @pytest.fixture
    def read(self, monkeypatch):
        """The names of the files whose headers are read."""
        names = []

        def reading(path, known=None):
            names.append(path.name)
            return read_header(path, known)

        monkeypatch.setattr(header_cache, "read_header", reading)
        return names

    @pytest.fixture
    def index(self, tmp_path):
        made = ModelIndex(tmp_path / "index")
        yield made
        made.close()

    def test_a_file_is_read_once_and_again_when_it_changes(self, tmp_path, read):
        path = checkpoint(tmp_path / "Stable-diffusion" / "a.safetensors")
        listed = ModelList([tmp_path])
        assert [listed()[0].family for _ in range(3)] == ["Stable Diffusion 1"] * 3
        checkpoint(path, "sd2")
        assert listed()[0].family == "Stable Diffusion 2"
        path.unlink()
        assert listed() == [] and read == ["a.safetensors"] * 2

    def test_another_start_reads_nothing(self, tmp_path, index, read):
        checkpoint(tmp_path / "Stable-diffusion" / "a.safetensors")
        (tmp_path / "Stable-diffusion" / "b.safetensors").write_bytes(b"bad")
        first = ModelList([tmp_path], index)()
        assert ModelList([tmp_path], index)() == first and len(read) == 2

    def test_what_is_remembered_is_on_the_card(self, tmp_path, index):
        path = checkpoint(tmp_path / "Stable-diffusion" / "a.safetensors", "sd2")
        listed = ModelList([tmp_path], index)
        assert (listed()[0].prediction, listed()[0].hash) == (None, "")
        index.remember_prediction(listed()[0], "v_prediction")
        index.keep_sha256(str(path), stamp_of(path), "ab" * 32)
        assert (listed()[0].prediction, listed()[0].hash) == ("v_prediction", "ababababab")
        index.keep_notes(
            listed()[0].fingerprint, ModelNotes(prediction="epsilon", description="mine")
        )
        assert (listed()[0].prediction, listed()[0].notes.description) == ("epsilon", "mine")
        renamed = path.rename(path.with_name("renamed.safetensors"))
        assert listed()[0].path == renamed and listed()[0].prediction == "epsilon"

    def test_folders_have_hashes_of_their_u_nets(self, tmp_path, written, index):
        shutil.copytree(written, tmp_path / "Stable-diffusion" / "good")
        card = ModelList([tmp_path], index)()[0]
        assert card.weights.parent.name == "unet"
        index.keep_sha256(str(card.weights), stamp_of(card.weights), "cd" * 32)
        assert ModelList([tmp_path], index)()[0].sha256 == "cd" * 32

    def test_a_changed_folder_is_seen(self, models):
        listed = ModelList([models])
        assert listed()[0].prediction == "epsilon"
        config = models / "Stable-diffusion" / "good" / "scheduler" / "scheduler_config.json"
        edit(config, prediction_type="v_prediction")
        assert listed()[0].prediction == "v_prediction"

    def test_what_there_is_no_time_for_is_read_by_and_by(self, tmp_path, read):
        for number in range(4):
            checkpoint(tmp_path / "Stable-diffusion" / f"{number}.safetensors")
        listed = ModelList([tmp_path], patience_s=0)
        cards = listed()
        assert len(cards) == 4 and "still being read" in cards[-1].problem
        for _ in range(500):
            if all(card.problem is None for card in listed()):
                break
            time.sleep(0.02)
        assert [card.problem for card in listed()] == [None] * 4 and len(read) == 4

    def test_a_file_that_could_not_be_opened_is_tried_again(self, tmp_path, monkeypatch):
        checkpoint(tmp_path / "Stable-diffusion" / "a.safetensors")
        listed = ModelList([tmp_path])

        def refuse(path, known=None):
            raise ModelFileError("a: cannot be read") from PermissionError()

        with monkeypatch.context() as context:
            context.setattr(header_cache, "read_header", refuse)
            assert listed()[0].problem == "a: cannot be read"
        assert listed()[0].problem is None
