"""A changed weight is the one that LyCORIS and peft merge explicitly, for every kind and every shape."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from webui.engine.adapters.configs import Config
from webui.engine.adapters.deltas import change_of

LAYERS = {
    "linear": lambda: nn.Linear(12, 24, bias=False),
    "conv 1": lambda: nn.Conv2d(12, 24, 1, bias=False),
    "conv 3": lambda: nn.Conv2d(12, 24, 3, bias=False),
}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lora": (LoConModule, {}),
    "locon tucker": (LoConModule, {"use_tucker": True}),
    "dora by outputs": (LoConModule, {"weight_decompose": True, "wd_on_out": True}),
    "dora by inputs": (LoConModule, {"weight_decompose": True, "wd_on_out": False}),
    "loha": (LohaModule, {}),
    "loha tucker": (LohaModule, {"use_tucker": True}),
    "loha dora": (LohaModule, {"weight_decompose": True}),
    "lokr": (LokrModule, {"factor": 2}),
    "lokr both": (LokrModule, {"factor": 4, "decompose_both": True, "lora_dim": 1}),
    "lokr tucker": (LokrModule, {"factor": 2, "use_tucker": True, "lora_dim": 1}),
    "lokr whole": (LokrModule, {"factor": 2, "full_matrix": True}),
    "oft": (DiagOFTModule, {}),
    "oft bounded": (DiagOFTModule, {"constraint": 0.001}),
    "oft rescaled": (DiagOFTModule, {"rescaled": True}),
}

# DoRA in part is our own choice; LyCORIS stretches outputs wholly at any strength, even at 0.
PARTIAL = [kind for kind in KINDS if "dora" not in kind and kind != "oft rescaled"]


def theirs(kind: str, layer: nn.Module) -> nn.Module:
    """An adapter of LyCORIS around a layer, its parameters random."""
    torch.manual_seed(0)
    make, options = KINDS[kind]
    module: nn.Module = make("lora_x", layer, **{"lora_dim": 4, "alpha": 2, **options})
    for name, parameter in module.named_parameters():
        if "dora" not in name:
            parameter.data = torch.randn_like(parameter) * 0.3 + ("rescale" in name)
        else:
            parameter.data = parameter.data * (1 + 0.2 * torch.rand_like(parameter))
    return module.requires_grad_(False)


def parts(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if "org" not in name}


def agree(module: nn.Module, plain: nn.Module, changed: Tensor) -> None:
    """A layer with the changed weight gives what LyCORIS' forward pass around the plain one gives.

    (Its `get_merged_weight` of 4.1 has alpha / rank twice for LoHa and LoKr.)
    """
    x = torch.randn(5, 12) if changed.dim() == 2 else torch.randn(2, 12, 6, 6)
    theirs = module(x)
    plain.weight.data = changed
    torch.testing.assert_close(plain(x), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_layer_does_what_lycoris_does(kind: str, layer: str) -> None:
    plain = LAYERS[layer]().requires_grad_(False)
    module = theirs(kind, copy.deepcopy(plain)).eval()
    ours = change_of(parts(module)).changed(plain.weight, 1.0)
    assert not torch.allclose(plain.weight, ours, atol=1e-3)
    agree(module, plain, ours)


@pytest.mark.parametrize("kind", PARTIAL)
def test_a_weight_may_be_changed_in_part_or_the_other_way(kind: str) -> None:
    for strength in (0.4, -0.7):
        plain = LAYERS["linear"]().requires_grad_(False)
        module = theirs(kind, copy.deepcopy(plain)).eval()
        module.multiplier = strength
        agree(module, plain, change_of(parts(module)).changed(plain.weight, strength))


@pytest.mark.parametrize("kind", KINDS)
def test_no_strength_is_no_change(kind: str) -> None:
    plain = LAYERS["conv 3"]().requires_grad_(False)
    ours = change_of(parts(theirs(kind, plain))).changed(plain.weight, 0.0)
    torch.testing.assert_close(ours, plain.weight, rtol=1e-5, atol=1e-6)


def test_layers_trained_as_a_whole() -> None:
    plain = LAYERS["linear"]().requires_grad_(False)
    module = FullModule("lora_x", plain)
    module.weight.data = torch.randn(24, 12)
    ours = change_of({"diff": module.weight.data - plain.weight}).changed(plain.weight, 1.0)
    torch.testing.assert_close(ours, module.weight.data)


@pytest.mark.parametrize("dora", [False, True])
def test_a_weight_of_peft_is_what_peft_merges(dora: bool) -> None:
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(12, 24))
    before = base[0].weight.detach().clone()
    config = LoraConfig(r=4, lora_alpha=4, target_modules=["0"], use_dora=dora)
    model = get_peft_model(base, config)
    layer = model.base_model.model[0]
    layer.lora_B["default"].weight.data = torch.randn(24, 4) * 0.3
    own = {n: v for n, v in layer.state_dict().items() if n.startswith("lora_")}
    named = {
        name.removesuffix(".default") if "magn" in name else name: v for name, v in own.items()
    }
    ours = change_of(named).changed(before, 1.0)
    layer.merge()
    torch.testing.assert_close(ours, layer.base_layer.weight.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rooted", [False, True])
def test_alpha_that_only_the_config_says_is_pefts(rooted: bool) -> None:
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(12, 24))
    before = base[0].weight.detach().clone()
    config = LoraConfig(r=4, lora_alpha=6, target_modules=["0"], use_rslora=rooted)
    layer = get_peft_model(base, config).base_model.model[0]
    layer.lora_B["default"].weight.data = torch.randn(24, 4) * 0.3
    own = {n: v for n, v in layer.state_dict().items() if n.startswith("lora_")}
    ours = change_of(own, Config(alpha=6, rooted=rooted)).changed(before, 1.0)
    layer.merge()
    torch.testing.assert_close(ours, layer.base_layer.weight.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lora_up.weight": torch.ones(2, 1)}, "lora_up.weight is no kind"),
        (
            {"lora_down.weight": torch.ones(1, 2), "bent": torch.ones(1)},
            "bent has no known meaning",
        ),
        ({"lokr_w1_a": torch.ones(2, 1)}, "lokr_w1_b is missing"),
        ({"hada_w1_a": torch.ones(2, 1), "hada_w1_b": torch.ones(1, 2)}, "hada_w2_a is missing"),
    ],
)
def test_what_is_not_known_is_named(given: dict[str, Tensor], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        change_of(given).changed(torch.ones(2, 2), 1.0)
