"""LoRAs and inversions on tiny random networks: closed forms, files that the engine reads, errors that fall."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from webui.training import loop
from webui.training.adapters import PLACEHOLDER, AdapterStage, Inversion, Lora
from webui.training.diffusion import (
    DiffusionPreset,
    TextToLatent,
    build_text_encoder,
    build_unet,
)
from webui.training.tokenizer import encode, load_tokenizer, write_tokenizer

NET = DiffusionPreset((16, 32), text_width=32, text_layers=1, latent_channels=4, latent_side=8)
HOW = {"bf16": False, "batch": 2, "rate": 2e-2}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, ["a red apple on a blue background"])
    return load_tokenizer(folder)


def tiny(tokenizer) -> TextToLatent:
    return TextToLatent(build_text_encoder(NET, tokenizer), build_unet(NET)).eval()


def predicted(model: TextToLatent, tokenizer, text: str = "a red apple") -> torch.Tensor:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(x, torch.tensor([500]), encode(tokenizer, [text]))


def test_a_lora_adds_b_a_x():
    network = nn.Sequential()
    network.add_module("to_q", nn.Linear(3, 2, bias=False))
    lora = Lora(network, rank=1)
    down, up = lora.pairs[0].children()
    x = torch.randn(4, 3)
    assert torch.equal(network(x), x @ network.to_q.weight.T)  # B is zero
    with torch.no_grad():
        up.weight.fill_(2.0)
    assert torch.allclose(
        network(x), x @ (network.to_q.weight + up.weight @ down.weight).T, atol=1e-6
    )
    with lora.off():
        assert torch.equal(network(x), x @ network.to_q.weight.T)


def test_a_saved_lora_is_the_weights_it_stands_for(tokenizer, tmp_path):
    """W + B A by the file's names, put into a fresh network, draws what the trained one draws."""
    model = tiny(tokenizer)
    fresh = copy.deepcopy(model)
    lora = Lora(model.unet, rank=2)
    with torch.no_grad():
        for p in lora.parameters():
            p.copy_((0.1 * torch.randn_like(p)).half())
    lora.save(tmp_path / "a.safetensors")
    weights = load_file(tmp_path / "a.safetensors")
    for name in {key.rsplit(".lora_", 1)[0] for key in weights}:
        layer = fresh.get_submodule(name)
        a, b = (weights[f"{name}.lora_{part}.weight"].float() for part in "AB")
        layer.weight.data += (b.flatten(1) @ a.flatten(1)).reshape(layer.weight.shape)
    assert torch.allclose(predicted(model, tokenizer), predicted(fresh, tokenizer), atol=1e-4)
    assert {n.rsplit(".", 3)[0].split(".")[0] for n in weights} == {"unet"}


def test_a_lora_learns_and_leaves_the_model_as_it_was(tokenizer, tmp_path):
    torch.manual_seed(0)
    model = tiny(tokenizer)
    before = copy.deepcopy(model.state_dict())
    lora = Lora(model.unet, rank=4)
    stage = AdapterStage(lora, model, tokenizer, torch.ones(2, 4, 8, 8), ["a", "b"], **HOW)
    loop.run(stage, loop.Schedule(16, 2, 0.5, 0.8), tmp_path, log=lambda line: None)
    assert stage.gain() < 0.9
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_distillation_aims_at_the_guided_prediction(tokenizer):
    model = tiny(tokenizer)
    lora = Lora(model.unet, rank=2)
    with torch.no_grad():
        lora.pairs[0][
            1
        ].weight.normal_()  # whatever it has learnt so far, the teacher is without it
    stage = AdapterStage(
        lora, model, tokenizer, torch.randn(2, 4, 8, 8), ["a red apple", "a"], guided=3.0, **HOW
    )
    assert stage.grid.tolist() == [999, 749, 499, 249]
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([499])
    wanted = stage._guided(x, t, encode(tokenizer, ["a red apple"]))
    lora.scale = 0.0
    with torch.no_grad():
        asked, free = (model(x, t, encode(tokenizer, [text])) for text in ("a red apple", ""))
    assert torch.allclose(wanted, free + 3 * (asked - free), atol=1e-5)


def test_an_inversion_takes_the_placeholders_place_and_nothing_else(tokenizer, tmp_path):
    model = tiny(tokenizer)
    placeholder = int(encode(tokenizer, [PLACEHOLDER])[0, 1])
    table = model.text.get_input_embeddings()
    words = encode(tokenizer, ["red apple"])[0, 1:3]
    plain = predicted(model, tokenizer, "red apple")
    inversion = Inversion(model.text, placeholder, table(words).detach())
    # started from "red apple", two placeholders read as "red apple"; other words are untouched
    assert torch.equal(predicted(model, tokenizer, "* *"), plain)
    assert torch.equal(predicted(model, tokenizer, "red apple"), plain)
    stage = AdapterStage(
        inversion, model, tokenizer, torch.ones(2, 4, 8, 8), ["* * on a", "a * *"], **HOW
    )
    loop.run(stage, loop.Schedule(3, 1, 0.5, 0.5), tmp_path / "w", log=lambda line: None)
    assert not torch.equal(predicted(model, tokenizer, "* *"), plain)
    assert torch.equal(predicted(model, tokenizer, "red apple"), plain)
    inversion.save(tmp_path / "word.safetensors")
    from webui.engine.text.inversions import read

    assert read(tmp_path / "word.safetensors", "word", [32]).count == 2
