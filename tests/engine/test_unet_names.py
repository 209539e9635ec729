"""The two names of a U-Net's tensors lead to each other, for every family's U-Net."""

import pytest

from webui.engine.families.unet_names import diffusers_names, original_names
from webui.testing.families import FAMILIES, build

THREE_LEVELS = {
    "sample_size": 8,
    "block_out_channels": (32, 32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": 4,
    "cross_attention_dim": 32,
    "norm_num_groups": 8,
}
UNETS = {
    **{family: parts["unet"] for family, parts in FAMILIES.items()},
    **{f"{n} layers": {**THREE_LEVELS, "layers_per_block": n} for n in (1, 2)},
}


@pytest.mark.parametrize("kind", UNETS)
def test_each_name_leads_to_the_other(kind):
    unet = build({"unet": UNETS[kind]})["unet"]
    known = original_names(unet, unet.config.layers_per_block)
    weighted = {p for p, one in unet.named_modules() if getattr(one, "weight", None) is not None}
    assert set(known.values()) == weighted and len(known) == len(weighted)
    name = diffusers_names([f"{theirs}.weight" for theirs in known])
    assert {theirs: name(f"{theirs}.weight") for theirs in known} == {
        theirs: f"{ours}.weight" for theirs, ours in known.items()
    }
