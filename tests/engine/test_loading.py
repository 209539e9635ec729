"""What our loader makes of a folder, against diffusers and transformers on the same files, and every fault."""

import hashlib
import json
import shutil

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.engine.latents import LatentGeometry
from webui.engine.loading import load
from webui.engine.placement import place
from webui.errors import ModelFileError

PLACEMENT = place("cpu", "float32", "sdpa")
UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / "starter", prediction="v_prediction")


@pytest.fixture
def folder(tmp_path, written):
    """A copy that a test may damage."""
    return shutil.copytree(written, tmp_path / "starter")


def loaded(folder, placement=PLACEMENT):
    return load(list_models([folder.parent])[0], placement)


def test_networks_compute_what_diffusers_computes(folder):
    networks = loaded(folder)
    torch.manual_seed(0)
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 700.0]), torch.randn(2, 77, 32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    ours, theirs = (net(x, t, context).sample for net in (networks.unet, unet))
    torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)


def test_model_tells_what_tasks_need(folder):
    networks = loaded(folder)
    model = networks.model
    assert (model.name, model.latent_channels, model.inpainting, model.downscale) == (
        "starter", 4, False, 8)  # fmt: skip
    assert model.hash == hashlib.sha256((folder / UNET).read_bytes()).hexdigest()[:10]
    alphas = DDIMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod.double()
    torch.testing.assert_close(
        torch.tensor(model.sigmas).double(), ((1 - alphas) / alphas).sqrt(), rtol=5e-5, atol=0
    )  # fmt: skip (theirs are float32)
    assert networks.model.prediction == "v_prediction"
    assert networks.latents == LatentGeometry(4, 8, 0.18215)


def test_networks_are_frozen_and_in_eval_mode(folder):
    networks = loaded(folder)
    for network in (networks.unet, networks.vae, networks.text.model):
        assert not network.training
        assert not any(weight.requires_grad for weight in network.parameters())


def test_dtypes_are_the_placements_and_the_process_default_is_never_touched(folder, monkeypatch):
    def refuse(dtype):
        raise AssertionError("tensors that other threads make now would have this dtype")

    monkeypatch.setattr(torch, "set_default_dtype", refuse)
    networks = loaded(folder, place("cpu", "bfloat16", "sdpa"))
    assert networks.unet.dtype == networks.text.model.dtype == torch.bfloat16
    assert networks.vae.dtype == torch.float32


def test_weights_outlive_their_file(folder):
    networks = loaded(folder)
    kept = networks.unet.conv_in.weight.clone()
    (folder / UNET).write_bytes(b"\0" * (folder / UNET).stat().st_size)
    assert torch.equal(networks.unet.conv_in.weight, kept)


def test_preview_colours_are_fitted_once_and_kept(folder):
    first = loaded(folder).preview
    beside = json.loads((folder / "easel.json").read_text(encoding="utf-8"))
    assert len(beside["preview"]["matrix"]) == 4
    beside["preview"]["bias"] = [0.25, 0.5, 0.75]
    (folder / "easel.json").write_text(json.dumps(beside), encoding="utf-8")
    again = loaded(folder).preview
    assert (again.matrix, again.bias) == (first.matrix, (0.25, 0.5, 0.75))


# --- other spellings of the same weights ----------------------------------------------------------


def rename(path, change):
    weights = load_file(path)
    save_file({change(name): value for name, value in weights.items()}, path)


def test_vae_with_old_attention_names(folder):
    expected = loaded(folder).vae.state_dict()
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def change(name):
        for new, before in old.items():
            name = name.replace(f".{new}.", f".{before}.")
        return name

    rename(folder / VAE, change)
    found = loaded(folder).vae.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    theirs = AutoencoderKL.from_pretrained(folder / "vae", low_cpu_mem_usage=False).state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in expected.items())


def test_text_encoder_as_transformers_4_named_it(folder):
    expected = loaded(folder).text.encode("a red cat", "dog").cond
    names = list(load_file(folder / TEXT))
    inside = names[0].startswith("text_model.")
    rename(folder / TEXT, lambda name: name[11:] if inside else f"text_model.{name}")
    assert torch.equal(loaded(folder).text.encode("a red cat", "dog").cond, expected)


def test_fp16_file_is_taken_where_there_is_no_other(folder):
    expected = loaded(folder).unet.conv_in.weight
    halves = {name: value.half() for name, value in load_file(folder / UNET).items()}
    save_file(halves, folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    (folder / UNET).unlink()
    assert torch.equal(loaded(folder).unet.conv_in.weight, expected.half().float())


def test_shards_as_diffusers_writes_them(folder):
    expected = loaded(folder).unet.state_dict()
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    (folder / UNET).unlink()
    unet.save_pretrained(folder / "unet", max_shard_size="500KB")
    assert len(list((folder / "unet").glob("*.safetensors"))) > 1
    found = loaded(folder).unet.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


# --- faults ---------------------------------------------------------------------------------------


def truncate(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-100])


def rubbish(name):
    return lambda folder: (folder / name).write_bytes(b"<html>404 not found</html>")


def without_one(folder):
    weights = load_file(folder / UNET)
    del weights["conv_in.weight"]
    save_file(weights, folder / UNET)


def edit(name, **changes):
    def act(folder):
        config = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps({**config, **changes}), encoding="utf-8")

    return act


def few_rows(folder):
    edit("text_encoder/config.json", vocab_size=50)(folder)
    weights = load_file(folder / TEXT)
    name = next(n for n in weights if n.endswith("token_embedding.weight"))
    save_file({**weights, name: weights[name][:50].clone()}, folder / TEXT)


@pytest.mark.parametrize(("fault", "said"), [
    (truncate(UNET), UNET), (truncate(VAE), VAE), (rubbish(TEXT), TEXT),
    (without_one, "conv_in.weight"),
    (edit("unet/config.json", block_out_channels=[32, 96]), "has shape"),
    (edit("unet/config.json", layers_per_block="two"), "unet/config.json"),
    (edit("unet/config.json", norm_num_groups=7), "unet/config.json"),
    (edit("unet/config.json", down_block_types=["Nothing", "DownBlock2D"]), "unet/config.json"),
    (edit("vae/config.json", block_out_channels=[8, 8]), "vae/config.json"),
    (edit("text_encoder/config.json", num_attention_heads=5), "text_encoder/config.json"),
    (edit("scheduler/scheduler_config.json", prediction_type="flow"), "'flow'"),
    (edit("scheduler/scheduler_config.json", beta_schedule="none"), "scheduler_config.json"),
    (few_rows, "tokens"),
    (lambda folder: shutil.rmtree(folder / "tokenizer"), "49408 tokens"),
])  # fmt: skip
def test_fault_names_the_file(folder, fault, said):
    fault(folder)
    with pytest.raises(ModelFileError) as caught:
        loaded(folder)
    assert said in str(caught.value).replace("\\", "/")


def test_problem_of_a_card_is_what_loading_says(folder):
    (folder / UNET).unlink()
    card = list_models([folder.parent])[0]
    with pytest.raises(ModelFileError) as caught:
        load(card, PLACEMENT)
    assert str(caught.value) == card.problem
