"""Hypernetworks change what keys and values are made of, as the format's own modules do, and leave no trace.

The expected networks are built here from the facts of A1111's files: `layer_structure` are widths in multiples of the
context's, behind each linear layer comes the activation (behind the last one, too, unless `activate_output` is False),
then a layer norm, then a dropout, and modules are numbered in that order.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from webui.catalog.formats.pickles import convert
from webui.engine.adapters import hypernetworks
from webui.engine.adapters.hypernetworks import Hypernetwork, applied
from webui.errors import ModelFileError

CPU = torch.device("cpu")
WIDTHS = (32, 64)  # of the inner self attention and the text; of the outer self attention
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "mish": nn.Mish,
    "softsign": nn.Softsign,
}
SHAPES: Mapping[str, dict[str, Any]] = {
    "plain": {"layer_structure": [1, 2, 1], "activation_func": "linear"},
    **{
        name: {"layer_structure": [1, 2, 1], "activation_func": name, "activate_output": False}
        for name in ACTIVATIONS
    },
    "to the end": {
        "layer_structure": [1, 2, 1],
        "activation_func": "relu",
        "activate_output": True,
    },
    "deep": {"layer_structure": [1, 2, 4, 2, 1], "activation_func": "mish"},
    "odd width": {"layer_structure": [1, 1.5, 1], "activation_func": "tanh"},
    "norms": {"layer_structure": [1, 2, 2, 1], "activation_func": "relu", "is_layer_norm": True},
    "dropouts": {
        "layer_structure": [1, 2, 2, 1],
        "activation_func": "swish",
        "is_layer_norm": True,
        "use_dropout": True,
        "last_layer_dropout": True,
    },
    "nothing said": {},
}


def net(width: int, values: Mapping[str, Any], seed: int) -> nn.Sequential:
    structure = values.get("layer_structure", [1, 2, 1])
    name = values.get("activation_func", "linear")
    made: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(structure)):
        last = i == len(structure) - 2
        made.append(nn.Linear(int(width * before), int(width * after)))
        if name in ACTIVATIONS and (not last or values.get("activate_output", True)):
            made.append(ACTIVATIONS[name]())
        if values.get("is_layer_norm"):
            made.append(nn.LayerNorm(int(width * after)))
        if values.get("use_dropout") and not last:
            made.append(nn.Dropout(0.3))
    drawn = torch.Generator().manual_seed(seed)
    whole = nn.Sequential(*made).requires_grad_(False).eval()
    for parameter in whole.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.3)
    return whole


def nets(values: Mapping[str, Any], seed: int = 1) -> dict[int, tuple[nn.Sequential, ...]]:
    return {
        width: tuple(net(width, values, seed + 10 * width + side) for side in (0, 1))
        for width in WIDTHS
    }


def numbered(one: nn.Sequential) -> dict[str, Tensor]:
    return {f"linear.{name}": tensor for name, tensor in one.state_dict().items()}


def saved(path: Path, made: Mapping[int, Any], values: Mapping[str, Any]) -> Path:
    """As A1111 writes it."""
    state: dict[Any, Any] = {w: tuple(map(numbered, pair)) for w, pair in made.items()}
    state |= {"step": 20000, "name": "mine", "sd_checkpoint": "abc", "dropout_structure": None}
    torch.save(state | dict(values), path)
    return path


class Told(nn.Module):
    """A layer whose input is changed first."""

    def __init__(self, layer: nn.Module, before: nn.Module, strength: float) -> None:
        super().__init__()
        self.layer, self.before, self.strength = layer, before, strength

    def forward(self, x: Tensor) -> Tensor:
        told: Tensor = self.layer(x + self.before(x) * self.strength)
        return told


@pytest.fixture(scope="module")
def unet() -> Any:
    torch.manual_seed(0)
    return (
        UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=4,
            cross_attention_dim=32,
            norm_num_groups=8,
        )
        .requires_grad_(False)
        .eval()
    )


def predicted(unet: Any) -> Tensor:
    drawn = torch.Generator().manual_seed(5)
    x, context = torch.randn(2, 4, 8, 8, generator=drawn), torch.randn(2, 7, 32, generator=drawn)
    with torch.inference_mode():
        said: Tensor = unet(x, torch.tensor([500.0, 20.0]), context, return_dict=False)[0]
    return said


def expected(unet: Any, made: Mapping[int, Any], strength: float) -> Tensor:
    theirs = copy.deepcopy(unet)
    for module in theirs.modules():
        for name, side in (("to_k", 0), ("to_v", 1)):
            layer = getattr(module, name, None)
            if isinstance(layer, nn.Linear) and layer.in_features in made:
                setattr(module, name, Told(layer, made[layer.in_features][side], strength))
    return predicted(theirs)


def read(path: Path, unet: Any) -> Hypernetwork:
    return hypernetworks.read(path, "mine", ("tiny", 1), unet, CPU, torch.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_hypernetwork_is_what_its_modules_compute(shape: str, unet: Any, tmp_path: Path) -> None:
    values = SHAPES[shape]
    made, before = nets(values), predicted(unet)
    found = read(saved(tmp_path / "mine.pt", made, values), unet)
    with applied(unet, ((found, 0.7),)):
        ours = predicted(unet)
    torch.testing.assert_close(ours, expected(unet, made, 0.7), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ours, before, atol=1e-3) and torch.equal(predicted(unet), before)


def test_a_converted_file_is_the_same(unet: Any, tmp_path: Path) -> None:
    values = SHAPES["dropouts"]
    path = saved(tmp_path / "mine.pt", nets(values), values)
    written = convert(path, tmp_path / "mine.safetensors").path
    with applied(unet, ((read(path, unet), 1.0),)):
        one = predicted(unet)
    with applied(unet, ((read(written, unet), 1.0),)):
        assert torch.equal(predicted(unet), one)


def test_the_oldest_names_of_layers_are_known(unet: Any, tmp_path: Path) -> None:
    made = nets({})

    def old(one: nn.Sequential) -> dict[str, Tensor]:
        return {f"linear{int(k[0]) + 1}{k[1:]}": v for k, v in one.state_dict().items()}

    torch.save({w: tuple(map(old, pair)) for w, pair in made.items()}, tmp_path / "old.pt")
    with applied(unet, ((read(tmp_path / "old.pt", unet), 1.0),)):
        ours = predicted(unet)
    torch.testing.assert_close(ours, expected(unet, made, 1.0), rtol=1e-4, atol=1e-4)


def test_several_come_one_after_the_other_and_0_is_none(unet: Any, tmp_path: Path) -> None:
    first, second = nets({}, 1), nets(SHAPES["relu"], 2)
    one = read(saved(tmp_path / "one.pt", first, {}), unet)
    two = read(saved(tmp_path / "two.pt", second, SHAPES["relu"]), unet)

    class Both(nn.Module):  # x + one(x) + two(x + one(x))
        def __init__(self, a: nn.Module, b: nn.Module) -> None:
            super().__init__()
            self.a, self.b = a, b

        def forward(self, x: Tensor) -> Tensor:
            change: Tensor = self.a(x)
            return change + self.b(x + change)

    both = {w: tuple(Both(*pair) for pair in zip(first[w], second[w], strict=True)) for w in WIDTHS}
    with applied(unet, ((one, 1.0), (two, 1.0))):
        ours = predicted(unet)
    torch.testing.assert_close(ours, expected(unet, both, 1.0), rtol=1e-4, atol=1e-4)
    plain = predicted(unet)
    with applied(unet, ((one, 0.0),)):
        assert torch.equal(predicted(unet), plain)


def test_no_trace_is_left_after_a_failure(unet: Any, tmp_path: Path) -> None:
    found, before = read(saved(tmp_path / "mine.pt", nets({}), {}), unet), predicted(unet)
    with pytest.raises(RuntimeError), applied(unet, ((found, 1.0),)):
        raise RuntimeError("stop")
    assert torch.equal(predicted(unet), before)
    assert not any(module._forward_pre_hooks for module in unet.modules())


def test_what_cannot_be_used_is_told_with_the_file(unet: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"

    def refused(why: str, made: Mapping[int, Any], values: Mapping[str, Any]) -> None:
        with pytest.raises(ModelFileError, match=rf"mine\.pt: {why}"):
            read(saved(path, made, values), unet)

    good = nets({})
    refused("its activation 'magic' is not known", good, {"activation_func": "magic"})
    refused("made for another kind of model", {48: (net(48, {}, 1),) * 2}, {})
    refused("made for another kind of model", {64: good[64], 768: (net(768, {}, 1),) * 2}, {})
    refused("the layers of 64.0 do not fit together", {64: good[32], 32: good[32]}, {})
    refused(r"'32.0.linear.9.extra' has no place", {32: (Strange(), good[32][1])}, {})
    refused("32.1 has no layers", {32: (good[32][0], nn.Sequential())}, {})
    bad = copy.deepcopy(good)
    bad[32][0][0].weight[3, 4] = float("nan")
    refused("'32.0.linear.0.weight' has values that are not numbers", bad, {})
    save_file({"some.weight": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match=r"other\.safetensors: holds no hypernetwork"):
        read(tmp_path / "other.safetensors", unet)
    torch.save({"state_dict": {"w": torch.ones(2)}}, path)
    with pytest.raises(ModelFileError, match=r"mine\.pt: holds no hypernetwork"):
        read(path, unet)


def test_a_setting_is_used_or_harmless_or_told_or_refused(unet: Any, tmp_path: Path) -> None:
    path, good = tmp_path / "mine.pt", nets({})
    harmless = {
        "use_dropout": True,
        "dropout_structure": [0, 0.3, 0],
        "last_layer_dropout": True,
        "weight_initialization": "Normal",
        "optional_info": "anything",
        "optimizer_name": "AdamW",
        "layer_structure": [1, 2, 1],
        "is_layer_norm": False,
        "comes_next": None,
    }
    assert not read(saved(path, good, harmless), unet).note
    strange = {"residual_scale": 0.5, "gates": {"a": [1]}}
    assert read(saved(path, good, {**harmless, **strange}), unet).note in (
        "mine: 2 of its settings not known here and not used: gates, residual_scale",
        "mine: 2 of its settings not known here and not used: residual_scale, gates",
    )
    for values, why in (
        ({"is_layer_norm": True}, "says is_layer_norm, and 32.0 has none"),
        (
            {"layer_structure": [1, 3, 1]},
            r"its layer_structure is \[1, 3, 1\], and 32.0 has layers of",
        ),
        ({"layer_structure": [1, float("inf"), 1]}, r"its layer_structure is"),
        ({"activate_output": "no"}, "its activate_output is 'no', not true or false"),
    ):
        with pytest.raises(ModelFileError, match=rf"mine\.pt: {why}"):
            read(saved(path, good, values), unet)
    made = nets(SHAPES["relu"])
    found = read(saved(path, made, {**SHAPES["relu"], "activate_output": None}), unet)
    with applied(unet, ((found, 1.0),)):
        ours = predicted(unet)
    torch.testing.assert_close(ours, expected(unet, made, 1.0), rtol=1e-4, atol=1e-4)


def test_layers_are_as_they_say_and_widths_without_a_place_are_told(
    unet: Any, tmp_path: Path
) -> None:
    path, good = tmp_path / "mine.pt", nets({})
    found = read(saved(path, {**good, 48: (net(48, {}, 1),) * 2}, {}), unet)
    assert found.note == "mine: 1 of 3 widths have no place in tiny: 48"
    state = {f"32.{side}.{k}": v for side in (0, 1) for k, v in numbered(good[32][side]).items()}
    key = "32.0.linear.0.bias"
    for change, why in (
        ({key: torch.ones(1)}, r"32.0.linear.0 has a bias of \[1\] for 64 numbers"),
        ({key: torch.ones(64, dtype=torch.int32)}, "holds torch.int32, no weights"),
        ({"32.0.linear1.bias": torch.ones(64)}, "is there twice, by two names"),
    ):
        save_file({**state, **change}, tmp_path / "mine.safetensors")
        with pytest.raises(ModelFileError, match=rf"mine\.safetensors: .*{why}"):
            read(tmp_path / "mine.safetensors", unet)


class Strange(nn.Sequential):
    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"9.extra": torch.ones(1)}


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("touch exploded",)


def test_a_pickle_that_runs_code_does_not(
    unet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "bad.pt", nets({}), {"optional_info": Bomb()})
    with pytest.raises(ModelFileError, match=r"bad\.pt: refused, it asks for .*system"):
        read(tmp_path / "bad.pt", unet)
    assert not (tmp_path / "exploded").exists()
