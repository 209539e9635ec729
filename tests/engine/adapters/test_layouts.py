"""Every trainer's layout of an adapter is the same change of the same layers, on every family; no shape is stretched
to fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from webui.engine.adapters.files import LoadedAdapter, read
from webui.engine.adapters.names import Names, Target
from webui.engine.families.unet_names import original_names
from webui.errors import ModelFileError
from webui.testing.families import FAMILIES, build, ldm_unet_name

CPU = torch.device("cpu")
Networks = Mapping[str, Any]
State = dict[str, Tensor]


@pytest.fixture(scope="module", params=FAMILIES)
def networks(request: pytest.FixtureRequest) -> Networks:
    made = build(FAMILIES[request.param])
    return {
        name: getattr(network, "text_model", network)
        for name, network in made.items()
        if name != "vae"
    }


def loaded(state: Mapping[str, Tensor], networks: Networks, folder: Path) -> LoadedAdapter:
    path = folder / "mine.safetensors"
    save_file(dict(state), path)
    unet = networks["unet"]
    names = Names(networks, original_names(unet, unet.config.layers_per_block))
    return read(path, "mine", ("tiny", 1), networks, names, CPU)


def layers(networks: Networks) -> list[Target]:
    """Some layers of each kind: attention, convolutions of both sizes, the time's, and those of the text encoders."""
    found = []
    for name, network in networks.items():
        paths = [
            p for p, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)
        ]
        ends = ("attn1.to_q", "attn2.to_out.0", "ff.net.2", "conv1", "conv_shortcut", "proj_in", "linear_1",
                "downsamplers.0.conv", "upsamplers.0.conv", "conv_in", "q_proj", "fc1")  # fmt: skip
        for end in ends:
            found += [Target(name, path) for path in paths if path.endswith(end)][:2]
    return found


def original(networks: Networks, target: Target) -> str:
    unet = networks["unet"]
    attending = [kind.startswith("CrossAttn") for kind in unet.config.up_block_types]
    name = ldm_unet_name(f"{target.module}.weight", unet.config.layers_per_block, attending)
    return name.removesuffix(".weight")


KOHYA = {
    "unet": "lora_unet_",
    "text_encoder": "lora_te1_text_model_",
    "text_encoder_2": "lora_te2_text_model_",
}
DOTS = {
    "unet": "lora_unet.",
    "text_encoder": "lora_te1.text_model.",
    "text_encoder_2": "lora_te2.text_model.",
}
OMI = {
    "unet": "unet.",
    "text_encoder": "clip_l.text_model.",
    "text_encoder_2": "clip_g.text_model.",
}
COMFY = {
    "unet": "diffusion_model.",
    "text_encoder": "text_encoders.clip_l.transformer.text_model.",
    "text_encoder_2": "text_encoders.clip_g.transformer.text_model.",
}
DIFFUSERS = {
    "unet": "unet.",
    "text_encoder": "text_encoder.text_model.",
    "text_encoder_2": "text_encoder_2.text_model.",
}
LAYOUTS: dict[str, tuple[Mapping[str, str], str, str, bool]] = {  # starts, between, ends, original names
    "kohya": (KOHYA, "_", "lora_down.weight lora_up.weight alpha", False),
    "kohya, original": (KOHYA, "_", "lora_down.weight lora_up.weight alpha", True),
    "one trainer": (DOTS, ".", "lora_down.weight lora_up.weight alpha", False),
    "one trainer, omi": (OMI, ".", "lora_down.weight lora_up.weight alpha", True),
    "comfy": (COMFY, ".", "lora_down.weight lora_up.weight alpha", True),
    "comfy, peft's ends": (COMFY, ".", "lora_A.weight lora_B.weight alpha", True),
    "diffusers": (DIFFUSERS, ".", "lora_A.weight lora_B.weight alpha", False),
    "diffusers, older": (DIFFUSERS, ".", "lora.down.weight lora.up.weight lora.alpha", False),
    "diffusers, linear": (
        DIFFUSERS, ".", "lora_linear_layer.down.weight lora_linear_layer.up.weight lora_linear_layer.alpha", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_finds_every_layer(layout: str, networks: Networks, tmp_path: Path) -> None:
    starts, between, ends, originals = LAYOUTS[layout]
    down_end, up_end, alpha_end = ends.split()
    generator = torch.Generator().manual_seed(3)
    state: State = {}
    expected: dict[Target, Tensor] = {}
    for target in layers(networks):
        weight = networks[target.network].get_submodule(target.module).weight
        down = torch.randn(2, *weight.shape[1:], generator=generator) * 0.1
        up = torch.randn(len(weight), 2, *[1] * (weight.dim() - 2), generator=generator) * 0.1
        name = (
            original(networks, target) if originals and target.network == "unet" else target.module
        )
        key = starts[target.network] + name.replace(".", between)
        state |= {
            f"{key}.{down_end}": down,
            f"{key}.{up_end}": up,
            f"{key}.{alpha_end}": torch.tensor(5),
        }
        expected[target] = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape) * 5 / 2
    adapter = loaded(state, networks, tmp_path)
    assert not adapter.note and set(adapter.changes) == set(expected)
    for target, difference in expected.items():
        weight = networks[target.network].get_submodule(target.module).weight
        for strength in (1.0, -0.4):
            ours = adapter.changes[target].changed(weight, strength)
            torch.testing.assert_close(ours, weight + difference * strength, rtol=1e-4, atol=1e-6)


def test_pefts_names_for_one_of_two_text_encoders_are_told(
    networks: Networks, tmp_path: Path
) -> None:
    text = networks.get("text_encoder", networks.get("text_encoder_2"))
    layer = "encoder.layers.0.self_attn.q_proj"
    weight = text.get_submodule(layer).weight
    adapter = loaded(
        {f"base_model.model.text_model.{layer}.weight": weight * 2}, networks, tmp_path
    )
    assert len(adapter.changes) == 1
    assert bool(adapter.note) == ("text_encoder" in networks and "text_encoder_2" in networks)
    assert not adapter.note or "taken for the first text encoder" in adapter.note


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Linear(8, 8)
        self.linear = nn.Linear(4, 8)
        self.conv = nn.Conv2d(4, 8, 3)
        self.conv_in = nn.Conv2d(9, 8, 3)
        self.down = nn.Conv2d(4, 16, 3)


@pytest.fixture(scope="module")
def net() -> Networks:
    torch.manual_seed(0)
    return {"unet": Net().requires_grad_(False)}


def read_for(state: Mapping[str, Tensor], net: Networks, folder: Path) -> LoadedAdapter:
    path = folder / "mine.safetensors"
    save_file({f"lora_unet_{key}": value.clone() for key, value in state.items()}, path)
    return read(path, "mine", ("tiny", 1), net, Names(net), CPU)


N = torch.randn
WRONG: dict[str, State] = {
    "the layer turned round": {"linear.lora_down.weight": N(2, 8), "linear.lora_up.weight": N(4, 2)},
    "a kernel that is flat on one side": {"conv.lora_down.weight": N(2, 4, 1, 9), "conv.lora_up.weight": N(8, 2, 1, 1)},
    "a kernel in front": {"conv.lora_down.weight": N(2, 3, 3, 4), "conv.lora_up.weight": N(8, 2, 1, 1)},
    "ranks that differ": {"square.lora_down.weight": N(2, 8), "square.lora_up.weight": N(8, 4)},
    "a rank of 0": {"square.lora_down.weight": N(0, 8), "square.lora_up.weight": N(8, 0)},
    "a core of one": {
        "conv.lora_down.weight": N(2, 4, 1, 1), "conv.lora_mid.weight": N(1, 1, 3, 3),
        "conv.lora_up.weight": N(8, 2, 1, 1),
    },
    "a number for a matrix": {"square.diff": torch.tensor(2.0)},
    "a row for a matrix": {"square.diff": N(8)},
    "a row of a matrix": {"square.diff": N(1, 8)},
    "a number for magnitudes": {
        "square.lora_down.weight": N(2, 8), "square.lora_up.weight": N(8, 2), "square.dora_scale": torch.ones(1, 1),
    },
    "magnitudes of another layer": {
        "linear.lora_down.weight": N(2, 4), "linear.lora_up.weight": N(8, 2), "linear.dora_scale": torch.ones(1, 8),
    },
    "magnitudes of everything": {
        "square.lora_down.weight": N(2, 8), "square.lora_up.weight": N(8, 2), "square.dora_scale": torch.ones(8, 8),
    },
    "two alphas": {"square.lora_down.weight": N(2, 8), "square.lora_up.weight": N(8, 2), "square.alpha": N(2)},
    "alpha is true": {
        "square.lora_down.weight": N(2, 8), "square.lora_up.weight": N(8, 2), "square.alpha": torch.tensor(True),
    },
    "whole numbers": {"square.diff": torch.ones(8, 8, dtype=torch.int8)},
    "sides that differ": {
        "square.hada_w1_a": N(8, 2), "square.hada_w1_b": N(2, 8),
        "square.hada_w2_a": N(8, 2), "square.hada_w2_b": N(2, 1),
    },
    "half the blocks": {"square.oft_blocks": N(1, 4, 4)},
    "oblong blocks": {"square.oft_blocks": N(2, 4, 2)},
    "flat blocks": {"square.oft_blocks": N(2, 6)},
    "one stretch": {"square.oft_blocks": N(2, 4, 4), "square.rescale": N(1)},
    "one part": {"square.lora_down.weight": N(2, 8)},
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_no_shape_is_stretched_to_fit(what: str, net: Networks, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"mine\.safetensors: lora_unet_\w+: "):
        read_for(WRONG[what], net, tmp_path)


def test_one_layer_under_two_names_is_refused(net: Networks, tmp_path: Path) -> None:
    one = {"lora_unet_square.diff": N(8, 8), "unet.square.diff": N(8, 8)}
    save_file(one, tmp_path / "mine.safetensors")
    with pytest.raises(ModelFileError, match="is the same layer of the model as"):
        read(tmp_path / "mine.safetensors", "mine", ("tiny", 1), net, Names(net), CPU)


@pytest.mark.parametrize("alpha", [torch.tensor(3), torch.tensor([3.0]), torch.tensor(3.0).half()])
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn]
)
def test_alpha_and_dtype_may_be_of_any_kind(
    alpha: Tensor, dtype: torch.dtype, net: Networks, tmp_path: Path
) -> None:
    down, up = N(2, 8).to(dtype), N(8, 2).to(dtype)
    state = {"square.lora_down.weight": down, "square.lora_up.weight": up, "square.alpha": alpha}
    weight = net["unet"].square.weight
    ours = read_for(state, net, tmp_path).changes[Target("unet", "square")].changed(weight, 0.5)
    expected = weight + up.float() @ down.float() * 3 / 2 * 0.5
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_an_inpainting_model_takes_what_was_made_for_the_picture_alone(
    net: Networks, tmp_path: Path
) -> None:
    down, up = N(2, 4, 3, 3), N(8, 2, 1, 1)
    state = {"conv_in.lora_down.weight": down, "conv_in.lora_up.weight": up}
    weight = net["unet"].conv_in.weight
    ours = read_for(state, net, tmp_path).changes[Target("unet", "conv_in")].changed(weight, 1.0)
    expected = weight.clone()
    expected[:, :4] += (up.flatten(1) @ down.flatten(1)).reshape(8, 4, 3, 3)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ModelFileError, match="made for an inpainting model, and this is none"):
        wide = {"conv.lora_down.weight": N(2, 9, 3, 3), "conv.lora_up.weight": up}
        read_for(wide, net, tmp_path)


def test_what_is_not_used_is_counted_and_named(net: Networks, tmp_path: Path) -> None:
    known = {"square.diff": N(8, 8)}
    left = {f"layer{n}.lora_up.weight": N(8, 2) for n in range(5)}
    strange = {
        "square.weight": N(8),
        "square.on_input": torch.tensor(False),
        "linear.alpha": torch.tensor(2.0),
    }
    note = read_for({**known, **left, **strange}, net, tmp_path).note
    assert "5 of 7 layers have no place in tiny: lora_unet_layer0, lora_unet_layer1, " in note
    assert "3 tensors not known here and not used: lora_unet_" in note
    for name in ("lora_unet_square.weight", "lora_unet_square.on_input", "lora_unet_linear.alpha"):
        assert name in note
    zero = {
        "square.lora_down.weight": N(2, 8),
        "square.lora_up.weight": N(8, 2),
        "square.alpha": torch.tensor(0.0),
    }
    assert read_for(zero, net, tmp_path).note == "mine: 1 layer without effect, by an alpha of 0"


@pytest.mark.parametrize("axis", [0, 1])
def test_decomposed_weights_in_part_lie_between(axis: int, net: Networks, tmp_path: Path) -> None:
    for layer in ("square", "conv", "linear"):
        weight = getattr(net["unet"], layer).weight
        ones = [1] * (weight.dim() - 2)
        shape = [weight.shape[0], 1, *ones] if axis == 0 else [1, weight.shape[1], *ones]
        down, up, magnitude = N(2, *weight.shape[1:]), N(8, 2, *ones), torch.rand(shape) + 0.5
        state = {
            f"{layer}.lora_down.weight": down,
            f"{layer}.lora_up.weight": up,
            f"{layer}.dora_scale": magnitude,
        }
        whole = weight + (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        others = [n for n in range(weight.dim()) if n != axis]
        target = whole * magnitude / whole.pow(2).sum(others, keepdim=True).sqrt()
        change = read_for(state, net, tmp_path).changes[Target("unet", layer)]
        for strength in (1.0, 0.3, -0.5, 0.0):
            expected = weight + (target - weight) * strength
            torch.testing.assert_close(
                change.changed(weight, strength), expected, rtol=1e-4, atol=1e-5
            )
