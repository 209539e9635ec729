"""Whatever peft writes is equal to its own merge, or refused with a sentence; whatever its configs say is known.

Each of its methods is tried on every kind of layer that it takes, with the options that change its numbers.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from peft.utils.peft_types import PeftType
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from webui.engine.adapters.fields import HARMLESS, KINDS, OFF, SAME, USED
from webui.engine.adapters.files import LoadedAdapter, read
from webui.engine.adapters.names import Names, Target
from webui.errors import ModelFileError

CPU = torch.device("cpu")


class Net(nn.Module):
    """One layer of each kind that the networks of a model have; squares, so that a wrong side would not be seen by its
    shape, and one that is none."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(20, 16)
        self.to_q = nn.Linear(16, 16)
        self.to_k = nn.Linear(16, 16, bias=False)
        self.ff = nn.Linear(16, 32)
        self.conv1 = nn.Conv2d(16, 16, 1)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1)
        self.wide = nn.Conv2d(8, 16, 3, padding=1)
        self.norm = nn.LayerNorm(16)
        self.config = {"model_type": "tiny"}

    def forward(self, x: Tensor) -> Tensor:
        """Never run: adapters look for it."""
        raise NotImplementedError


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().requires_grad_(False).eval()


Made = tuple[LoadedAdapter, Mapping[str, Tensor]]
LINEAR, CONV = ["to_q", "to_k", "ff"], ["conv1", "conv3", "wide"]
BOTH = [*LINEAR, *CONV]
EQUAL: dict[str, tuple[str, dict[str, Any]]] = {
    "lora": ("LORA", {"target_modules": BOTH, "lora_alpha": 5, "r": 4}),
    "lora of everything": ("LORA", {"target_modules": [*BOTH, "emb"], "lora_alpha": 5, "r": 4}),
    "lora by the root": ("LORA", {"target_modules": BOTH, "lora_alpha": 5, "use_rslora": True}),
    "lora by patterns": (
        "LORA",
        {
            "target_modules": BOTH,
            "alpha_pattern": {"ff": 3, "c.*1": 9, "^to_k": 5},
            "rank_pattern": {"to_q": 2, "conv3": 3},
        },
    ),
    "lora with biases": ("LORA", {"target_modules": BOTH, "bias": "all", "lora_alpha": 5}),
    "lora with its biases": ("LORA", {"target_modules": BOTH, "bias": "lora_only"}),
    "lora with biases of its own": (
        "LORA",
        {"target_modules": ["to_q", "ff", *CONV], "lora_bias": True, "lora_alpha": 5},
    ),
    "lora with biases of its own by the root": (
        "LORA",
        {"target_modules": ["ff"], "lora_bias": True, "use_rslora": True, "lora_alpha": 5},
    ),
    "lora and whole layers": (
        "LORA",
        {"target_modules": LINEAR, "modules_to_save": ["norm", "conv1", "emb"]},
    ),
    "lora, fan in": ("LORA", {"target_modules": LINEAR, "fan_in_fan_out": True}),
    "lora, excluded": ("LORA", {"target_modules": BOTH, "exclude_modules": ["ff"], "r": 2}),
    "lora, gaussian": ("LORA", {"target_modules": BOTH, "init_lora_weights": "gaussian"}),
    "lora, orthogonal": ("LORA", {"target_modules": LINEAR, "init_lora_weights": "orthogonal"}),
    "dora": ("LORA", {"target_modules": BOTH, "use_dora": True, "lora_alpha": 5, "r": 4}),
    "dora of an embedding": ("LORA", {"target_modules": ["emb", "ff"], "use_dora": True}),
    "dora by the root": (
        "LORA",
        {"target_modules": ["conv3", "to_q"], "use_dora": True, "use_rslora": True},
    ),
    "loha": ("LOHA", {"target_modules": BOTH, "alpha": 5, "r": 4}),
    "loha by patterns": (
        "LOHA",
        {"target_modules": BOTH, "alpha_pattern": {"ff": 3}, "rank_pattern": {"conv3": 2}},
    ),
    "loha tucker": ("LOHA", {"target_modules": CONV, "use_effective_conv2d": True, "alpha": 5}),
    "lokr": ("LOKR", {"target_modules": BOTH, "alpha": 5, "r": 2}),
    "lokr whole": ("LOKR", {"target_modules": BOTH, "alpha": 5, "r": 64}),
    "lokr whole by patterns": (
        "LOKR",
        {"target_modules": LINEAR, "alpha_pattern": {"ff": 3}, "rank_pattern": {"ff": 50}, "r": 64},
    ),
    "lokr both": (
        "LOKR",
        {"target_modules": BOTH, "alpha": 5, "r": 1, "decompose_both": True, "decompose_factor": 8},
    ),
    "lokr tucker": ("LOKR", {"target_modules": CONV, "use_effective_conv2d": True, "r": 2}),
    "lokr of factor 2": ("LOKR", {"target_modules": BOTH, "decompose_factor": 2, "r": 2}),
    "oft": ("OFT", {"target_modules": BOTH, "oft_block_size": 8}),
    "oft of 4 blocks": ("OFT", {"target_modules": BOTH, "r": 4, "oft_block_size": 0}),
    "oft, exact": ("OFT", {"target_modules": BOTH, "oft_block_size": 4, "use_cayley_neumann": False}),
    "oft, bounded": ("OFT", {"target_modules": BOTH, "oft_block_size": 4, "coft": True, "eps": 0.3}),
    "oft, shared": ("OFT", {"target_modules": BOTH, "oft_block_size": 4, "block_share": True}),
    "oft of 3 terms": ("OFT", {"target_modules": LINEAR, "num_cayley_neumann_terms": 3, "oft_block_size": 8}),
    "oft with biases": ("OFT", {"target_modules": BOTH, "oft_block_size": 8, "bias": "all"}),
    "oft, fan in": ("OFT", {"target_modules": LINEAR, "oft_block_size": 8, "fan_in_fan_out": True}),
    "norms": ("LN_TUNING", {"target_modules": ["norm"]}),
    "norms and more": ("LN_TUNING", {"target_modules": ["norm", "to_q", "conv3", "emb"]}),
}  # fmt: skip
TAKES: dict[str, dict[str, Any]] = {  # what other methods need to be made at all
    "ADALORA": {"total_step": 10},
    "C3A": {"block_size": 8},
    "FOURIERFT": {"n_frequency": 50},
    "WAVEFT": {"n_frequency": 50},
    "IA3": {"feedforward_modules": []},
    "ROAD": {"group_size": 8},
    "VBLORA": {"vector_length": 8},
    "MISS": {"r": 8},
    "RANDLORA": {"r": 4},
}


def drawn(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter += torch.randn(parameter.shape, generator=generator) * 0.2


def saved(net: Net, kind: str, options: Mapping[str, Any], folder: Path) -> nn.Module:
    """A model with an adapter, whose files lie in `folder`."""
    config: PeftConfig = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)](**options)
    model = get_peft_model(copy.deepcopy(net), config)
    drawn(model)
    model.save_pretrained(folder)
    return model.eval()


def loaded(net: Net, path: Path) -> LoadedAdapter:
    unet = {"unet": net}
    return read(path, "mine", ("tiny", 1), unet, Names(unet), CPU)


def changed(net: Net, adapter: LoadedAdapter, strength: float = 1.0) -> dict[str, Tensor]:
    """The parameters of `net` as the adapter changes them."""
    found = {}
    for name, value in net.named_parameters():
        change = adapter.changes.get(Target("unet", *name.rsplit(".", 1)))
        found[name] = value if change is None else change.changed(value, strength)
    return found


def agree(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    for name, value in ours.items():
        torch.testing.assert_close(
            value,
            theirs[name].detach(),
            rtol=1e-4,
            atol=1e-5,
            msg=lambda why, n=name: f"{n}: {why}",
        )


@pytest.mark.parametrize("case", EQUAL)
def test_what_is_known_is_what_peft_merges(case: str, net: Net, tmp_path: Path) -> None:
    model = saved(net, *EQUAL[case], tmp_path)
    adapter = loaded(net, tmp_path / "adapter_model.safetensors")
    merged = dict(model.merge_and_unload().named_parameters())
    ours, before = changed(net, adapter), dict(net.named_parameters())
    agree(ours, merged)
    assert not adapter.note
    assert {name for name, value in ours.items() if not torch.equal(value, before[name])} == {
        name for name, value in merged.items() if not torch.equal(value, before[name])
    }


def others() -> Iterator[tuple[str, str]]:
    for kind in PEFT_TYPE_TO_CONFIG_MAPPING:
        if kind.value not in KINDS:
            yield from ((kind.value, layer) for layer in ("to_q", "conv3", "emb", "norm"))


def test_every_other_method_of_peft_is_refused_by_its_name(net: Net, tmp_path: Path) -> None:
    """With its config by that, without it by its tensors' names: none is taken for another."""
    made = set()
    for kind, layer in others():
        folder = tmp_path / f"{kind} {layer}"
        try:
            saved(net, kind, {"target_modules": [layer], **TAKES.get(kind, {})}, folder)
        except Exception:  # which layers each takes is its own matter, and says so in many ways
            continue
        made.add(kind)
        path = folder / "adapter_model.safetensors"
        with pytest.raises(
            ModelFileError, match=f"adapter_model.safetensors: its config's peft_type is '{kind}'"
        ):
            loaded(net, path)
        (folder / "adapter_config.json").unlink()
        with pytest.raises(ModelFileError, match=r"holds no LoRA|none of its \d+ layers is there"):
            loaded(net, path)
    assert len(made) > 20, made


def test_every_field_of_pefts_configs_is_known() -> None:
    for kind, used in USED.items():
        fields = {
            one.name for one in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)])
        }
        assert not fields - used - HARMLESS - OFF - set(SAME), kind
        assert used <= fields


ON: dict[str, Any] = {
    "peft_type": "VERA",
    "megatron_config": {"a": 1},
    "trainable_token_indices": [1],
    "loftq_config": {"loftq_bits": 4},
    "corda_config": {"a": 1},
    "lora_ga_config": {"a": 1},
    "velora_config": {"a": 1},
    "alora_invocation_tokens": [1, 2],
    "use_qalora": True,
    "monteclora_config": {"a": 1},
    "layer_replication": [[0, 4], [2, 5]],
    "target_parameters": ["to_q.weight"],
    "use_bdlora": {"a": 1},
    "arrow_config": {"a": 1},
    "kasa_config": {"a": 1},
    "init_lora_weights": "pissa_niter_4",
    "bias": "some",
    "use_rslora": "yes",
    "use_dora": True,  # and no magnitudes are there
    "lora_alpha": "strong",
    "alpha_pattern": {"(to_q": 4},
    "alpha_pattern ": {"to_q": [4]},
    "alpha_pattern  ": {"a*a*a*a*a*b": 4},
    "use_what_comes_next": 1,
}


@pytest.mark.parametrize("field", ON)
@pytest.mark.parametrize("where", ["beside", "in the file"])
def test_a_field_that_changes_the_numbers_is_refused_by_its_name(
    field: str, where: str, net: Net, tmp_path: Path
) -> None:
    name, value = field.strip(), ON[field]
    tensors = {f"{net_path}.lora_{side}.weight": torch.ones(*shape) for net_path in ["base_model.model.to_q"]
               for side, shape in (("A", (4, 16)), ("B", (16, 4)))}  # fmt: skip
    said = {"peft_type": "LORA", "lora_alpha": 4, "r": 4, name: value}
    path = tmp_path / "adapter_model.safetensors"
    if where == "beside":
        save_file(tensors, path)
        (tmp_path / "adapter_config.json").write_text(json.dumps(said), encoding="utf-8")
    else:
        told = {f"unet.{key}": value for key, value in said.items()}
        save_file(tensors, path, {"lora_adapter_metadata": json.dumps(told)})
    with pytest.raises(ModelFileError, match=rf"adapter_model\.safetensors: .*{name}"):
        loaded(net, path)


@pytest.mark.parametrize("terms", [0, 5.5, 10**9, True, "5"])
def test_a_series_has_a_number_of_terms(terms: Any, net: Net, tmp_path: Path) -> None:
    saved(net, "OFT", {"target_modules": ["to_q"], "oft_block_size": 4}, tmp_path)
    config = tmp_path / "adapter_config.json"
    said = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**said, "num_cayley_neumann_terms": terms}), encoding="utf-8")
    with pytest.raises(
        ModelFileError, match=r"num_cayley_neumann_terms is .*, not a number from 1"
    ):
        loaded(net, tmp_path / "adapter_model.safetensors")


def test_a_lora_of_peft_without_its_config_says_what_it_is_taken_for(
    net: Net, tmp_path: Path
) -> None:
    model = saved(net, "LORA", {"target_modules": ["to_q"], "r": 4, "lora_alpha": 4}, tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    adapter = loaded(net, tmp_path / "adapter_model.safetensors")
    assert adapter.note == (
        "mine: peft's without its adapter_config.json, read as one whose alpha is its rank"
    )
    agree(changed(net, adapter), dict(model.merge_and_unload().named_parameters()))


def test_the_adapters_own_name_in_peft_keys_is_passed_over(net: Net, tmp_path: Path) -> None:
    model = saved(net, "LORA", {"target_modules": BOTH, "use_dora": True}, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    named = {}
    for key, value in tensors.items():
        for end in ("lora_A", "lora_B", "lora_magnitude_vector"):
            key = key.replace(f".{end}", f".{end}.style")
        named[key] = value
    save_file(named, path)
    agree(changed(net, loaded(net, path)), dict(model.merge_and_unload().named_parameters()))
    both = {
        **named,
        **{key.replace(".style", ".other"): value.clone() for key, value in named.items()},
    }
    save_file(both, path)
    with pytest.raises(ModelFileError, match=r"adapter_model\.safetensors: .* has its .* twice"):
        loaded(net, path)
