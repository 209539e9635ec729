"""The list of models: every good folder is found, every bad entry says what is wrong with it."""

import json
import shutil
import struct
import sys

import pytest

from tests.networks import tiny_folder
from webui.engine.checkpoints import list_models


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
    assert "diffusers folder" in cards[0].problem
    assert "run code" in cards[1].problem


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
    (change("unet/config.json", addition_embed_type="text_time"), "XL"),
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
