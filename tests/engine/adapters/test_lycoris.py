"""What LyCORIS writes is equal to its own forward pass, on every kind of layer with every option, or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from lycoris.modules.tlora import TLoraModule
from safetensors.torch import save_file
from torch import Tensor, nn

from webui.engine.adapters.files import LoadedAdapter, read
from webui.engine.adapters.names import Names, Target
from webui.errors import ModelFileError

CPU = torch.device("cpu")
Options = dict[str, Any]


class Net(nn.Module):
    """Layers of each kind that LyCORIS takes, squares among them."""

    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Linear(16, 16)
        self.linear = nn.Linear(8, 32)
        self.free = nn.Linear(32, 8, bias=False)
        self.conv1 = nn.Conv2d(16, 16, 1)
        self.conv3 = nn.Conv2d(8, 16, 3, padding=1)
        self.square3 = nn.Conv2d(16, 16, 3, stride=2)
        self.norm = nn.LayerNorm(16)
        self.group = nn.GroupNorm(4, 16)


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().requires_grad_(False).eval()


WEIGHTED = ("square", "linear", "free", "conv1", "conv3", "square3")
DECOMPOSED: dict[str, Options] = {
    "": {},
    "of outputs": {"weight_decompose": True, "wd_on_out": True},
    "of inputs": {"weight_decompose": True, "wd_on_out": False},
}
SHARED: dict[str, Options] = {
    "": {},
    "tucker": {"use_tucker": True},
    "by the root": {"rs_lora": True},
    "scalar": {"use_scalar": True},
    "all": {"use_tucker": True, "rs_lora": True, "use_scalar": True},
}
LOKR: dict[str, Options] = {
    "factor 2": {"factor": 2},
    "factor 4, both": {"factor": 4, "decompose_both": True, "lora_dim": 1},
    "unbalanced": {"factor": 4, "unbalanced_factorization": True, "lora_dim": 1},
    "whole": {"full_matrix": True},
    "low": {"factor": 2, "lora_dim": 2},
}
TURNED: dict[str, Options] = {
    "": {},
    "bounded": {"constraint": 0.001},
    "rescaled": {"rescaled": True},
    "bounded and rescaled": {"constraint": 0.01, "rescaled": True},
}


def cases() -> Iterator[tuple[str, Any, Options]]:
    for how, wd in DECOMPOSED.items():
        for what, shared in SHARED.items():
            yield f"locon {what} {how}", LoConModule, {**wd, **shared}
            yield f"loha {what} {how}", LohaModule, {**wd, **shared}
            for name, lokr in LOKR.items():
                if "lora_dim" in lokr or not shared.get("rs_lora"):
                    # of two whole matrices by the root of a rank, which its files do not tell
                    yield f"lokr {name} {what} {how}", LokrModule, {**wd, **shared, **lokr}
    yield "glora", GLoRAModule, {}
    yield "glora scalar", GLoRAModule, {"use_scalar": True}
    yield "glora tucker", GLoRAModule, {"use_tucker": True}
    for what, turned in TURNED.items():
        yield f"oft {what}", DiagOFTModule, turned
        yield f"boft {what}", ButterflyOFTModule, turned


CASES = {name: (kind, options) for name, kind, options in cases()}


def drawn(module: nn.Module) -> None:
    generator = torch.Generator().manual_seed(5)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data + noise * (0.05 if "blocks" in name else 0.2)


def around(kind: Any, net: Net, layer: str, options: Options) -> Any:
    """LyCORIS' module around a layer, its parameters random."""
    torch.manual_seed(1)
    given = {"lora_dim": 4, "alpha": 3, **options}
    module = kind("lora_x", net.get_submodule(layer), 1.0, **given)
    drawn(module)
    return module.eval().requires_grad_(False)


def file_of(modules: Mapping[str, Any], path: Path, start: str = "lycoris_") -> Path:
    found = {
        f"{start}{layer}.{part}": value.detach().clone().contiguous()
        for layer, module in modules.items()
        for part, value in module.state_dict().items()
    }
    save_file(found, path)
    return path


def loaded(net: Net, path: Path) -> LoadedAdapter:
    unet = {"unet": net}
    return read(path, "mine", ("tiny", 1), unet, Names(unet), CPU)


def changed(net: Net, adapter: LoadedAdapter, layer: str, end: str = "weight") -> Tensor:
    value = getattr(net.get_submodule(layer), end)
    change = adapter.changes.get(Target("unet", layer, end))
    return value if change is None else change.changed(value, 1.0)


def merged(module: Any) -> Tensor:
    """The weight by its forward pass: what its input is made of, less the plain layer's bias."""
    layer = module.org_module[0]
    if isinstance(layer, nn.Linear):
        made: Tensor = module(torch.eye(layer.in_features)) - module(torch.zeros(layer.in_features))
        return made.T
    before = layer.weight.data
    try:  # of a convolution: its difference from the plain one, by numbers of inputs
        size = layer.kernel_size[0]
        x = torch.eye(layer.in_channels * size * size).reshape(-1, layer.in_channels, size, size)
        padding, layer.padding = layer.padding, (0, 0)
        module.kw_dict = {**module.kw_dict, "padding": (0, 0)}
        made = module(x) - module(torch.zeros_like(x[:1]))
        return made[:, :, 0, 0].T.reshape(before.shape)
    finally:
        layer.padding = padding


@pytest.mark.parametrize("case", CASES)
def test_what_is_known_is_what_lycoris_does(case: str, net: Net, tmp_path: Path) -> None:
    kind, options = CASES[case]
    modules = {layer: around(kind, net, layer, options) for layer in WEIGHTED}
    adapter = loaded(net, file_of(modules, tmp_path / "mine.safetensors"))
    assert not adapter.note
    for layer, module in modules.items():
        ours = changed(net, adapter, layer)
        theirs = merged(module)
        assert not torch.allclose(ours, net.get_submodule(layer).weight, atol=1e-3), layer
        torch.testing.assert_close(
            ours, theirs, rtol=1e-4, atol=1e-5, msg=lambda why, n=layer: f"{n}: {why}"
        )


def test_norms_and_whole_layers_change_their_biases_too(net: Net, tmp_path: Path) -> None:
    norms = {layer: around(NormModule, net, layer, {}) for layer in ("norm", "group")}
    whole = {layer: around(FullModule, net, layer, {}) for layer in ("square", "conv3", "free")}
    for layer, module in whole.items():  # as it is once it stands in the place of the layer
        module.weight.data += net.get_submodule(layer).weight
        if module.bias is not None:
            module.bias.data += net.get_submodule(layer).bias
    expected = {layer: module.get_merged_weight() for layer, module in norms.items()}
    expected |= {layer: (module.weight, module.bias) for layer, module in whole.items()}
    adapter = loaded(net, file_of({**norms, **whole}, tmp_path / "mine.safetensors"))
    assert not adapter.note and len(adapter.changes) == 9
    for layer, (weight, bias) in expected.items():
        torch.testing.assert_close(changed(net, adapter, layer), weight, rtol=1e-4, atol=1e-5)
        if bias is not None:
            ours = changed(net, adapter, layer, "bias")
            torch.testing.assert_close(ours, bias, rtol=1e-4, atol=1e-5)


def test_dylora_is_a_lora_of_its_whole_rank(net: Net, tmp_path: Path) -> None:
    modules = {layer: around(DyLoraModule, net, layer, {"lora_dim": 8}) for layer in WEIGHTED}
    adapter = loaded(net, file_of(modules, tmp_path / "mine.safetensors"))
    for layer, module in modules.items():
        up, down = torch.cat(list(module.up_list), 1), torch.cat(list(module.down_list))
        plain = net.get_submodule(layer).weight
        expected = plain + (up @ down).reshape(plain.shape) * 3 / 8
        torch.testing.assert_close(changed(net, adapter, layer), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [IA3Module, TLoraModule])
def test_what_is_not_known_is_refused_alone_and_told_beside_others(
    kind: Any, net: Net, tmp_path: Path
) -> None:
    strange = {"square": around(kind, net, "square", {})}
    with pytest.raises(ModelFileError, match=r"mine\.safetensors: holds no LoRA.*lycoris_square\."):
        loaded(net, file_of(strange, tmp_path / "mine.safetensors"))
    known = {"linear": around(LoConModule, net, "linear", {})}
    adapter = loaded(net, file_of({**known, **strange}, tmp_path / "mine.safetensors"))
    assert set(adapter.changes) == {Target("unet", "linear")}
    assert "not known here and not used: lycoris_square." in adapter.note


def test_the_first_gloras_have_their_factors_the_other_way_round(net: Net, tmp_path: Path) -> None:
    for layer in WEIGHTED:
        module = around(GLoRAModule, net, layer, {})
        parts = module.state_dict()
        swapped = {"a1": "a2", "a2": "a1", "b1": "b2", "b2": "b1"}
        tensors = {
            f"lycoris_{layer}.{swapped.get(name[:2], name[:2])}{name[2:]}": value.detach().clone()
            for name, value in parts.items()
        }
        tensors[f"lycoris_{layer}.alpha"] = tensors.pop(f"lycoris_{layer}.alpha")
        save_file(tensors, tmp_path / "mine.safetensors")
        adapter = loaded(net, tmp_path / "mine.safetensors")
        torch.testing.assert_close(
            changed(net, adapter, layer), merged(module), rtol=1e-4, atol=1e-5
        )


def test_a_rank_by_its_root_that_a_file_cannot_say_is_told(net: Net, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    for told, args in (
        (True, '{"rs_lora": "True"}'),
        (False, '{"rs_lora": "False"}'),
        (False, "["),
    ):
        for kind, options in ((GLoRAModule, {}), (LokrModule, {"full_matrix": True})):
            state = around(kind, net, "square", options).state_dict()
            tensors = {f"lycoris_square.{part}": value.clone() for part, value in state.items()}
            save_file(tensors, path, {"ss_network_args": args})
            assert ("rs_lora, which 1 layer cannot say" in loaded(net, path).note) == told
