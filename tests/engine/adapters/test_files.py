"""Adapter files of every layout change a model as diffusers with peft changes it, and leave no trace."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import (
    LoraConfig,
    OFTConfig,
    PeftConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from webui.engine.adapters.applying import applied
from webui.engine.adapters.deltas import change_of
from webui.engine.adapters.files import LoadedAdapter, read
from webui.engine.adapters.merged_weights import MergedWeightCache
from webui.engine.adapters.names import Names
from webui.engine.part_cache import PartCache
from webui.errors import ModelFileError

CPU = torch.device("cpu")


def merged_weights(limit: int = 1 << 30) -> MergedWeightCache:
    return MergedWeightCache(PartCache(limit))


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=32,
        norm_num_groups=8,
    )
    text = CLIPTextConfig(
        vocab_size=99,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
    )
    return {
        "unet": unet.requires_grad_(False).eval(),
        "text_encoder": CLIPTextModel(text).requires_grad_(False).eval(),
    }


def low_rank(module: nn.Module, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Random down and up of a layer, small enough for the result to stay a picture."""
    generator = torch.Generator().manual_seed(seed)
    weight = module.weight
    assert isinstance(weight, Tensor)
    down = torch.randn(rank, *weight.shape[1:], generator=generator) * 0.1
    up = torch.randn(weight.shape[0], rank, *[1] * (weight.dim() - 2), generator=generator) * 0.1
    return down, up


def layers(network: nn.Module) -> dict[str, nn.Module]:
    """The layers that trainers adapt."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and any(part in name for part in ("attn", "attentions", "resnets.0.conv1"))
    }


def kohya(networks: Mapping[str, nn.Module], alpha: float) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for prefix, name in (("lora_unet_", "unet"), ("lora_te_text_model_", "text_encoder")):
        for number, (path, module) in enumerate(layers(networks[name]).items()):
            key = prefix + path.replace(".", "_")
            down, up = low_rank(module, 4, number)
            found |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
            found[f"{key}.alpha"] = torch.tensor(alpha)
    return found


def diffusers_layout(networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name in ("unet", "text_encoder"):
        for number, (path, module) in enumerate(layers(networks[name]).items()):
            down, up = low_rank(module, 4, number)
            found |= {f"{name}.{path}.lora_A.weight": down, f"{name}.{path}.lora_B.weight": up}
    return found


def loaded(
    state: Mapping[str, Tensor], networks: Mapping[str, nn.Module], tmp_path: Path
) -> LoadedAdapter:
    path = tmp_path / "mine.safetensors"
    save_file(dict(state), path)
    return read(path, "mine", ("tiny", 1), networks, Names(networks), CPU)


def predicted(unet: Any) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    x, text = (
        torch.randn(2, 4, 8, 8, generator=generator),
        torch.randn(2, 5, 32, generator=generator),
    )
    with torch.inference_mode():
        return unet(x, torch.tensor([500.0, 3.0]), text, return_dict=False)[0]


def encoded(text: Any) -> Tensor:
    with torch.inference_mode():
        return text(torch.arange(20)[None]).last_hidden_state


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("layout", ["kohya", "diffusers"])
def test_networks_with_an_adapter_are_diffusers_with_peft(
    layout: str, strength: float, networks: dict[str, Any], tmp_path: Path
) -> None:
    state = diffusers_layout(networks) if layout == "diffusers" else kohya(networks, alpha=2.0)
    adapter = loaded(state, networks, tmp_path)
    assert not adapter.note and len(adapter.changes) == sum(
        len(layers(n)) for n in networks.values()
    )

    theirs = copy.deepcopy(networks["unet"])
    alphas = {f"unet.{path}.alpha": 2.0 for path in layers(theirs)} if layout == "kohya" else None
    theirs.load_lora_adapter(diffusers_layout(networks), prefix="unet", network_alphas=alphas)
    theirs.set_adapters(list(theirs.peft_config), [strength])
    kept = merged_weights()
    with applied("unet", networks["unet"], ((adapter, strength),), kept), torch.inference_mode():
        ours = predicted(networks["unet"])
        again = predicted(networks["unet"])
    torch.testing.assert_close(ours, predicted(theirs), rtol=1e-4, atol=1e-4)
    assert torch.equal(ours, again)  # kept weights are the same weights


def drawn(model: nn.Module, part: str, scale: float) -> None:
    """Gives the tensors of an adapter, whose names have `part` in them, random values."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in model.named_parameters():
        if part in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * scale


ALPHA: dict[str, dict[str, Any]] = {
    "alpha": {"lora_alpha": 12},
    "by the root of the rank": {"lora_alpha": 6, "use_rslora": True},
    "by pattern": {"lora_alpha": 2, "alpha_pattern": {"to_q": 16, "attn2.to_k": 9}},
}


@pytest.mark.parametrize("options", ALPHA)
def test_diffusers_files_are_as_strong_as_their_metadata_say(
    options: str, networks: dict[str, Any], tmp_path: Path
) -> None:
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    config = LoraConfig(r=4, target_modules=targets, init_lora_weights=False, **ALPHA[options])
    theirs = copy.deepcopy(networks["unet"])
    theirs.add_adapter(config)
    drawn(theirs, "lora_", 0.1)
    StableDiffusionPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers=get_peft_model_state_dict(theirs),
        unet_lora_adapter_metadata=theirs.peft_config["default"].to_dict(),
    )
    file = tmp_path / "pytorch_lora_weights.safetensors"
    again = copy.deepcopy(networks["unet"])
    state, metadata = StableDiffusionPipeline.lora_state_dict(file, return_lora_metadata=True)[::2]
    again.load_lora_adapter(state, prefix="unet", metadata=metadata)  # as diffusers reads it
    adapter = read(file, "mine", ("tiny", 1), networks, Names(networks), CPU)
    with applied("unet", networks["unet"], ((adapter, 1.0),), merged_weights()):
        ours = predicted(networks["unet"])
    torch.testing.assert_close(ours, predicted(theirs), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours, predicted(again), rtol=1e-4, atol=1e-4)


PEFTS: dict[str, PeftConfig] = {
    "lora": LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "conv1"], use_rslora=True),
    "dora": LoraConfig(r=4, lora_alpha=8, target_modules=["to_q", "to_k"], use_dora=True),
    "oft": OFTConfig(oft_block_size=8, target_modules=["to_q", "to_k", "ff.net.2"]),
    "oft exact": OFTConfig(
        oft_block_size=4, target_modules=["to_v", "conv1"], use_cayley_neumann=False
    ),
    "oft bounded": OFTConfig(r=4, oft_block_size=0, target_modules=["to_q"], coft=True, eps=0.5),
}


@pytest.mark.parametrize("kind", PEFTS)
def test_what_peft_saves_changes_a_model_as_peft_does(
    kind: str, networks: dict[str, Any], tmp_path: Path
) -> None:
    model = get_peft_model(copy.deepcopy(networks["unet"]), PEFTS[kind])
    drawn(model, "oft_R", 0.2)
    drawn(model, "lora_", 0.2)
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    adapter = read(file, "mine", ("tiny", 1), networks, Names(networks), CPU)
    assert not adapter.note and adapter.changes
    with applied("unet", networks["unet"], ((adapter, 1.0),), merged_weights()):
        ours = predicted(networks["unet"])
    merged = predicted(model.eval().merge_and_unload())
    assert not torch.allclose(ours, predicted(networks["unet"]), atol=1e-3)
    torch.testing.assert_close(ours, merged, rtol=1e-4, atol=1e-4)


def test_an_oft_file_without_its_config_says_what_it_is_taken_for(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    model = get_peft_model(copy.deepcopy(networks["unet"]), OFTConfig(target_modules=["to_q"]))
    drawn(model, "oft_R", 0.2)
    model.save_pretrained(tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    file = tmp_path / "adapter_model.safetensors"
    adapter = read(file, "mine", ("tiny", 1), networks, Names(networks), CPU)
    assert adapter.note == (
        "mine: OFT without its adapter_config.json, read as one with 5 Cayley-Neumann terms"
    )
    with applied("unet", networks["unet"], ((adapter, 1.0),), merged_weights()):
        ours = predicted(networks["unet"])
    merged = predicted(model.eval().merge_and_unload())  # peft's defaults are what was guessed
    torch.testing.assert_close(ours, merged, rtol=1e-4, atol=1e-4)


def test_what_peft_saves_of_a_text_encoder_finds_it(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "fc1"])
    model = get_peft_model(copy.deepcopy(networks["text_encoder"]), config)
    drawn(model, "lora_", 0.2)
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    adapter = read(file, "mine", ("tiny", 1), networks, Names(networks), CPU)
    with applied("text_encoder", networks["text_encoder"], ((adapter, 1.0),), merged_weights()):
        ours = encoded(networks["text_encoder"])
    expected = encoded(model.eval().merge_and_unload())
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("told", ["{", '{"unet.lora_alpha": "strong"}', '{"lora_alpha": true}'])
def test_a_config_that_is_none_is_told(told: str, networks: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file(diffusers_layout(networks), file, {"lora_adapter_metadata": told})
    with pytest.raises(ModelFileError, match=r"mine\.safetensors: its (lora_adapter_meta|config)"):
        read(file, "mine", ("tiny", 1), networks, Names(networks), CPU)


def test_a_config_beside_other_files_is_not_theirs(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text('{"lora_alpha": 400}', encoding="utf-8")
    adapter = loaded(diffusers_layout(networks), networks, tmp_path)
    target, change = next(iter(adapter.changes.items()))
    layer = networks[target.network].get_submodule(target.module)
    plain = change_of(dict(change.tensors())).changed(layer.weight, 1.0)
    assert torch.equal(change.changed(layer.weight, 1.0), plain)


def test_both_layouts_of_one_adapter_are_one_adapter(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    results = []
    for state in (kohya(networks, alpha=4.0), diffusers_layout(networks)):
        adapter = loaded(state, networks, tmp_path)
        with applied("text_encoder", networks["text_encoder"], ((adapter, 0.5),), merged_weights()):
            results.append(encoded(networks["text_encoder"]))
    assert torch.equal(*results)
    assert not torch.allclose(results[0], encoded(networks["text_encoder"]), atol=1e-3)


def test_an_adapter_leaves_no_trace_even_after_a_failure(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    unet = networks["unet"]
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    places = {name: value.data_ptr() for name, value in unet.named_parameters()}
    plain = predicted(unet)
    adapter = loaded(kohya(networks, 4.0), networks, tmp_path)
    with pytest.raises(KeyError), applied("unet", unet, ((adapter, 1.0),), merged_weights()):
        predicted(unet)
        raise KeyError
    assert places == {name: value.data_ptr() for name, value in unet.named_parameters()}
    assert all(torch.equal(before[name], value) for name, value in unet.state_dict().items())
    assert torch.equal(predicted(unet), plain)


def test_several_adapters_add_up_and_a_small_budget_changes_nothing(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    unet = networks["unet"]
    first = loaded(kohya(networks, 4.0), networks, tmp_path)
    second = loaded({k: v * 0.5 for k, v in kohya(networks, 4.0).items()}, networks, tmp_path)
    uses = ((first, 0.5), (second, -0.3))
    merged = copy.deepcopy(unet)
    for target, change in first.changes.items():
        if target.network == "unet":
            layer = merged.get_submodule(target.module)
            layer.weight.data = change.changed(layer.weight.data, 0.5)
            layer.weight.data = second.changes[target].changed(layer.weight.data, -0.3)
    for limit in (0, 5000, 1 << 30):
        parts = PartCache(limit)
        for _ in range(2):
            with applied("unet", unet, uses, MergedWeightCache(parts)):
                torch.testing.assert_close(predicted(unet), predicted(merged), rtol=1e-5, atol=1e-5)
        parts.make_room(0)
        assert parts.bytes() <= limit


def test_what_was_kept_longest_makes_room(networks: dict[str, Any], tmp_path: Path) -> None:
    adapter = loaded(kohya(networks, 4.0), networks, tmp_path)
    parts = PartCache(1 << 30)
    kept = MergedWeightCache(parts)

    def worn(strength: float) -> None:
        with applied("unet", networks["unet"], ((adapter, strength),), kept):
            predicted(networks["unet"])

    worn(0.1)
    one = kept.bytes
    parts.limit = int(one * 2.5)
    for strength in (0.2, 0.1, 0.3):  # 0.1 is used again before there is no room
        worn(strength)
    assert kept.bytes == 2 * one
    left = [part.key[1][0][1] for part in parts]  # type: ignore[index]
    assert left == [0.1, 0.3]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_told_with_the_tensors_name(
    value: float, networks: dict[str, Any], tmp_path: Path
) -> None:
    state = kohya(networks, 4.0)
    key = next(key for key in state if key.endswith("lora_up.weight"))
    state[key] = state[key].clone()
    state[key].view(-1)[0] = value
    with pytest.raises(ModelFileError) as caught:
        loaded(state, networks, tmp_path)
    assert str(caught.value).startswith(
        f"mine.safetensors: {key!r} has values that are not numbers"
    )


def test_files_for_other_models_are_refused_by_name(
    networks: dict[str, Any], tmp_path: Path
) -> None:
    wrong = {
        "lora_unet_nowhere.lora_down.weight": torch.ones(1, 4),
        "lora_unet_nowhere.lora_up.weight": torch.ones(4, 1),
    }
    with pytest.raises(ModelFileError, match=r"mine\.safetensors: made for another kind of model"):
        loaded(wrong, networks, tmp_path)
    with pytest.raises(ModelFileError, match="holds no LoRA"):
        loaded({"some.weight": torch.ones(1)}, networks, tmp_path)
    state = kohya(networks, 4.0)
    wide = next(key for key in state if key.endswith("to_k.lora_down.weight"))
    with pytest.raises(ModelFileError, match=r"does not fit the model's layer|made for a layer of"):
        loaded({**state, wide: torch.ones(4, 99)}, networks, tmp_path)
    partly = loaded({**state, **wrong}, networks, tmp_path)
    assert partly.note == (
        f"mine: 1 of {len(partly.changes) + 1} layers have no place in tiny: lora_unet_nowhere"
    )
    (tmp_path / "mine.safetensors").write_bytes(b"no header at all")
    with pytest.raises(ModelFileError, match=r"mine\.safetensors: is not a safetensors file"):
        read(tmp_path / "mine.safetensors", "mine", ("tiny", 1), networks, Names(networks), CPU)
