"""A weight turned by peft's OFT is the one that peft merges, for every option that changes the numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import OFTConfig, get_peft_model
from torch import Tensor, nn

from webui.engine.adapters.configs import Config
from webui.engine.adapters.deltas import change_of

LAYERS = {
    "linear": lambda: nn.Linear(12, 20),
    "conv 1": lambda: nn.Conv2d(12, 20, 1),
    "conv 3": lambda: nn.Conv2d(4, 20, 3),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "series": {},
    "series of 2": {"num_cayley_neumann_terms": 2},
    "series of 3": {"num_cayley_neumann_terms": 3},
    "series of 4": {"num_cayley_neumann_terms": 4},
    "series of 7": {"num_cayley_neumann_terms": 7},
    "exact": {"use_cayley_neumann": False},
    "one block for all": {"block_share": True, "use_cayley_neumann": False},
    "one block for all, series": {"block_share": True},
    "bounded": {"coft": True, "eps": 0.2, "use_cayley_neumann": False},
    "bounded, series": {"coft": True, "eps": 0.2},
    "small blocks": {"oft_block_size": 2, "use_cayley_neumann": False},
    "one block": {"oft_block_size": 12, "use_cayley_neumann": False},
}


def theirs(layer: str, options: dict[str, Any]) -> tuple[Any, OFTConfig]:
    torch.manual_seed(0)
    config = OFTConfig(**{"oft_block_size": 4, "target_modules": ["0"], **options})
    module = get_peft_model(nn.Sequential(LAYERS[layer]()), config).base_model.model[0]
    for parameter in module.oft_R.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    return module.requires_grad_(False).eval(), config


def told(config: OFTConfig) -> Config:
    """What a file's reader finds in `adapter_config.json`."""
    terms = config.num_cayley_neumann_terms if config.use_cayley_neumann else None
    return Config(terms=terms, eps=config.eps if config.coft else None)


def own(module: nn.Module) -> dict[str, Tensor]:
    """The tensors as peft saves them, and with the adapter's name as it is in memory."""
    return {n: v.clone() for n, v in module.state_dict().items() if n.startswith("oft_R")}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("options", OPTIONS)
def test_a_turned_weight_is_what_peft_merges(options: str, layer: str) -> None:
    module, config = theirs(layer, OPTIONS[options])
    before = module.base_layer.weight.clone()
    tensors = {name.replace(".default", ""): value for name, value in own(module).items()}
    assert list(tensors) == ["oft_R.weight"]
    ours = change_of(tensors, told(config)).changed(before, 1.0)
    module.merge()
    assert not torch.allclose(ours, before, atol=1e-3)
    torch.testing.assert_close(ours, module.base_layer.weight, rtol=1e-4, atol=1e-5)


def test_a_turned_layer_does_what_pefts_does() -> None:
    module, config = theirs("linear", {})
    x = torch.randn(5, 12)
    expected = module(x)
    weight = change_of(own(module), told(config)).changed(module.base_layer.weight, 1.0)
    found = nn.functional.linear(x, weight, module.base_layer.bias)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_no_strength_is_no_turn() -> None:
    module, config = theirs("conv 3", {})
    weight = module.base_layer.weight
    ours = change_of(own(module), told(config)).changed(weight, 0.0)
    torch.testing.assert_close(ours, weight, rtol=1e-5, atol=1e-6)


def test_an_exact_turn_keeps_every_rows_length() -> None:
    module, _ = theirs("linear", {})
    weight = module.base_layer.weight
    ours = change_of(own(module), Config(terms=None)).changed(weight, 1.0)
    torch.testing.assert_close(ours.norm(dim=1), weight.norm(dim=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("eps", [None, 0.01])
def test_blocks_of_peft_before_0_16(shared: bool, eps: float | None) -> None:
    """By its formulas: W turned by Cayley's transform of the skew part, outputs stretched by oft_s."""
    torch.manual_seed(0)
    weight, blocks, stretch = torch.randn(20, 12), torch.randn(1 if shared else 3, 4, 4), None
    given = {"oft_r": blocks.clone()}
    if not shared:
        stretch = 1 + 0.1 * torch.randn(20, 1)
        given["oft_s"] = stretch
    if eps is not None:  # 20 outputs, 3 blocks
        bound = eps * 7 * 7 / len(blocks) ** 0.5
        blocks = torch.stack([b * min(1.0, bound / float(b.norm())) for b in blocks])
    skew, one = (blocks - blocks.mT) / 2, torch.eye(4)
    turns = list((one - skew) @ torch.linalg.inv(one + skew)) * (3 if shared else 1)
    expected = (torch.block_diag(*turns) @ weight.T).T * (1 if stretch is None else stretch)
    found = change_of(given, Config(eps=eps)).changed(weight, 1.0)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"oft_R.weight": torch.ones(3, 5)}, "makes no square blocks"),
        ({"oft_R.weight": torch.ones(7)}, "makes no square blocks"),
        ({"oft_r": torch.ones(2, 3, 4)}, "has blocks of 3 x 4"),
        ({"oft_R.weight": torch.ones(3, 6), "lora_down.weight": torch.ones(1)}, "no known meaning"),
    ],
)
def test_what_makes_no_turn_is_told(given: dict[str, Tensor], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        change_of(given)


@pytest.mark.parametrize("blocks", [torch.ones(2, 6), torch.ones(1, 10)])
def test_blocks_that_do_not_fill_a_layer_do_not_fit(blocks: Tensor) -> None:
    with pytest.raises(ValueError):
        change_of({"oft_R.weight": blocks}).changed(torch.ones(20, 12), 1.0)
