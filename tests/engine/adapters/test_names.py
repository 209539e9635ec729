"""Every trainer's key finds its layer."""

import pytest
from torch import nn

from webui.engine.adapters.names import Names, Target, split


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(2, 2)
        self.to_out = nn.ModuleList([nn.Linear(2, 2)])
        self.norm = nn.LayerNorm(2)


def names() -> Names:
    unet = nn.ModuleDict({"mid_block": nn.ModuleDict({"attn1": Block()})})
    text = nn.ModuleDict({"encoder": nn.ModuleDict({"q_proj": nn.Linear(2, 2)})})
    original = {"middle_block.1.attn1.to_q": "mid_block.attn1.to_q", "not.there": "nor.here"}
    return Names({"unet": unet, "text_encoder": text, "text_encoder_2": text}, original)


QUERY = Target("unet", "mid_block.attn1.to_q")
OUT = Target("unet", "mid_block.attn1.to_out.0")
TEXT = Target("text_encoder", "encoder.q_proj")


@pytest.mark.parametrize(
    ("key", "target", "part"),
    [
        ("lora_unet_mid_block_attn1_to_q.lora_down.weight", QUERY, "lora_down.weight"),
        ("lora_unet_mid_block_attn1_to_out_0.alpha", OUT, "alpha"),
        ("lora_unet_middle_block_1_attn1_to_q.hada_w1_a", QUERY, "hada_w1_a"),
        ("lycoris_mid_block_attn1_to_q.lokr_w1", QUERY, "lokr_w1"),
        ("oft_unet_mid_block_attn1_to_q.oft_blocks", QUERY, "oft_blocks"),
        ("unet.mid_block.attn1.to_q.lora_A.weight", QUERY, "lora_A.weight"),
        (
            "unet.mid_block.attn1.to_q.lora_magnitude_vector.weight",
            QUERY,
            "lora_magnitude_vector.weight",
        ),
        (
            "base_model.model.mid_block.attn1.to_q.lora_B.default.weight",
            QUERY,
            "lora_B.default.weight",
        ),
        ("mid_block.attn1.processor.to_q_lora.down.weight", QUERY, "lora.down.weight"),
        ("unet.mid_block.attn1.processor.to_out_lora.up.weight", OUT, "lora.up.weight"),
        ("unet.mid_block.attn1.to_q.lora.down.weight", QUERY, "lora.down.weight"),
        ("lora_unet_mid_block_attn1_norm.w_norm", Target("unet", "mid_block.attn1.norm"), "w_norm"),
        (
            "lora_unet_mid_block_attn1_norm.b_norm",
            Target("unet", "mid_block.attn1.norm", "bias"),
            "b_norm",
        ),
        ("lora_te_text_model_encoder_q_proj.lora_up.weight", TEXT, "lora_up.weight"),
        ("lora_te1_text_model_encoder_q_proj.dora_scale", TEXT, "dora_scale"),
        (
            "lora_te2_text_model_encoder_q_proj.alpha",
            TEXT._replace(network="text_encoder_2"),
            "alpha",
        ),
        (
            "text_encoder.text_model.encoder.q_proj.lora_linear_layer.up.weight",
            TEXT,
            "lora.up.weight",
        ),
        ("text_encoder.text_model.encoder.to_q_lora.down.weight", TEXT, "lora.down.weight"),
    ],
)
def test_a_key_is_a_layer_and_a_part(key: str, target: Target, part: str) -> None:
    layer, found = split(key)
    assert found == part
    assert names().find(layer, found) == target


@pytest.mark.parametrize("key", ["lora_unet_other.lora_up.weight", "unet.nor.here.lora_A.weight"])
def test_a_layer_that_is_not_there_is_none(key: str) -> None:
    assert names().find(*split(key)) is None


def test_other_tensors_are_no_parts() -> None:
    assert split("model.diffusion_model.out.2.weight")[1] == ""
