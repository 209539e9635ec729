"""A checkpoint that has no VAE in it: usable with one of another file, and told in one sentence without."""

import json

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from tests.engine.conftest import request
from webui.catalog.checkpoints import list_models
from webui.catalog.model_folders import AdapterFiles
from webui.engine.placement import place
from webui.engine.runner import Runner
from webui.errors import ModelFileError, RequestError
from webui.testing.families import FAMILIES, LAYOUTS, build, write
from webui.types import Decode, EncodeText, LoadModel, LoadVae

VAE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module", params=[layout for layout in LAYOUTS if layout != "folder"])
def models_dir(request, tmp_path_factory):
    """`bare.safetensors`, without its VAE, and models/VAE/soft.safetensors."""
    root = tmp_path_factory.mktemp("models")
    path = root / "Stable-diffusion" / "bare.safetensors"
    path.parent.mkdir()
    whole = write(root / "whole.safetensors", build(FAMILIES["sd1"], seed=5), request.param)
    tensors = load_file(whole)
    start = "first_stage_model." if request.param == "ldm" else "vae."
    save_file({n: t for n, t in tensors.items() if not n.startswith(start)}, path)
    whole.unlink()
    (root / "VAE").mkdir()
    other = write(root / "other", build(FAMILIES["sd1"], seed=9), "folder")
    (other / "vae" / VAE).rename(root / "VAE" / "soft.safetensors")
    return root


@pytest.fixture
def runner(models_dir):
    return Runner(
        lambda: list_models([models_dir]),
        place("cpu", "float32", "sdpa"),
        adapter_files=AdapterFiles([models_dir]),
    )


def test_it_is_listed_as_what_it_is(models_dir):
    (card,) = list_models([models_dir])
    assert (card.problem, card.family, card.latent_channels) == (None, "Stable Diffusion 1 kind", 4)
    assert "vae" not in card.parts


def test_with_a_chosen_vae_it_decodes_as_diffusers_does(models_dir, runner):
    model = runner.load(LoadModel("bare.safetensors"))
    assert runner.load(LoadVae(model, "soft.safetensors")) == "soft.safetensors"
    theirs = AutoencoderKL.from_config(
        json.loads((models_dir / "other/vae/config.json").read_text())
    )
    theirs.load_state_dict(load_file(models_dir / "VAE" / "soft.safetensors"))
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = theirs.decode(latent[None] / 0.18215).sample[0]
        ours = runner.run([Decode(model, latent, "soft.safetensors")])[0]
    levels = ((expected / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0)
    assert (ours.float() - levels).abs().max() <= 1
    matrix = runner.networks(model).preview.matrix
    assert any(any(row) for row in matrix)  # so that there is something to see while it works


@pytest.mark.parametrize("vae", ["automatic", "none"])
def test_without_one_it_says_what_to_do(runner, vae):
    model = runner.load(LoadModel("bare.safetensors"))
    with pytest.raises(RequestError, match=r"no VAE of its own: choose one .* bare\.vae\.safeten"):
        runner.load(LoadVae(model, vae))
    with pytest.raises(RequestError, match="no VAE of its own"):
        runner.run([Decode(model, torch.zeros(4, 8, 8))])


def test_its_text_is_encoded_before_a_vae_is_chosen(runner):
    model = runner.load(LoadModel("bare.safetensors"))
    call = EncodeText(model, "a cat", "")
    assert runner.lacks(call)  # nobody has looked for textual inversions yet
    runner.bring(call)
    assert not runner.lacks(call) and runner.run([call])[0].texts


def test_one_beside_it_is_taken_and_is_no_model_of_its_own(models_dir, runner):
    beside = models_dir / "Stable-diffusion" / "bare.vae.safetensors"
    beside.write_bytes((models_dir / "VAE" / "soft.safetensors").read_bytes())
    try:
        assert [card.name for card in list_models([models_dir])] == ["bare.safetensors"]
        model = runner.load(LoadModel("bare.safetensors"))
        assert runner.load(LoadVae(model, "automatic")) == "bare.vae.safetensors"
    finally:
        beside.unlink()


def test_a_vae_that_does_not_fit_is_named(models_dir, runner):
    odd = models_dir / "VAE" / "odd.safetensors"
    save_file({"decoder.conv_in.weight": torch.ones(3, 3)}, odd)
    model = runner.load(LoadModel("bare.safetensors"))
    with pytest.raises(ModelFileError, match=r"^odd\.safetensors"):
        runner.load(LoadVae(model, "odd.safetensors"))
    odd.unlink()


def test_a_job_ends_with_the_sentence_and_another_with_the_picture(start, models_dir):
    bench = start(adapter_files=AdapterFiles([models_dir]))
    status = bench.end(bench.engine.submit(request(model="bare.safetensors")))
    assert status.state == "failed" and "no VAE of its own" in (status.error or "")
    job = bench.engine.submit(request(model="bare.safetensors", vae="soft.safetensors"))
    assert bench.end(job).state == "done" and len(bench.pictures(job)) == 1
