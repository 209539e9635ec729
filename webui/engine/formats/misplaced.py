"""Good files in the wrong folder: LoRAs, VAEs, other networks and other families, told by names of their tensors."""

from __future__ import annotations

from collections.abc import Callable

from webui.engine.formats.header import Header
from webui.engine.formats.names import Names

__all__ = ["WHOLE", "misplaced"]

Test = Callable[[Names], bool]


def _begins(*starts: str) -> Test:
    return lambda names: names.begin(*starts)


def _holds(*parts: str) -> Test:
    return lambda names: names.hold(*parts)


def _anywhere(*starts: str) -> Test:
    """At the front, or behind one of the prefixes that other programs write."""
    fronts = ("", "model.diffusion_model.", "transformer.", "diffusion_model.", "model.")
    return _begins(*(front + start for front in fronts for start in starts))


def _other(family: str) -> str:
    return f"a {family} model; only Stable Diffusion 1, 2 and XL load"


# In order: the first test that the names pass says what the file is.
KINDS: tuple[tuple[Test, str], ...] = (
    (
        _begins("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lora_transformer_", "lycoris_"),
        "a LoRA: put it into models/Lora",
    ),
    (
        _holds(".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lora.down.", ".lora.up."),
        "a LoRA: put it into models/Lora",
    ),
    (_holds(".hada_w1_a", ".lokr_w1", ".dora_scale"), "a LoRA: put it into models/Lora"),
    (_holds("motion_modules."), "a motion module, not a checkpoint"),
    (
        _holds("controlnet_cond_embedding.", "controlnet_down_blocks.", "input_hint_block."),
        "a ControlNet: put it into models/ControlNet",
    ),
    (_begins("control_model.", "lora_controlnet"), "a ControlNet: put it into models/ControlNet"),
    (_begins("adapter.body.", "body.0.resnets."), "a T2I adapter: put it into models/ControlNet"),
    (_begins("ip_adapter.", "image_proj."), "an IP-Adapter, not a checkpoint"),
    (_anywhere("double_blocks.0.", "single_transformer_blocks.0."), _other("Flux")),
    (_anywhere("joint_blocks.0.", "transformer_blocks.0.attn.add_q_proj."), _other("Stable Diffusion 3")),
    (_anywhere("clip_txt_mapper.", "clip_txt_pooled_mapper.", "effnet_mapper."), _other("Stable Cascade")),
    (_begins("edm_mean", "edm_vpred"), "a model of the EDM kind (Playground 2.5); those cannot be loaded"),
    (_holds(".quant_state.", ".absmax"), "a quantised file; only plain weights load"),
    (
        _begins("RRDB_trunk", "model.0.weight", "model.1.sub.", "body.0.rdb1.", "conv_first."),
        "an upscaler: put it into models/ESRGAN",
    ),
    (_begins("emb_params", "string_to_param", "clip_l", "clip_g"), "an embedding: put it into embeddings/"),
)  # fmt: skip
WHOLE = ("model.diffusion_model.", "unet.")
PLAIN: tuple[tuple[Test, str], ...] = (  # where there is no U-Net of a checkpoint
    (
        _begins("input_blocks.0.", "down_blocks.0.", "conv_in.weight"),
        "a U-Net alone; a checkpoint has its text encoder and VAE too",
    ),
    (
        _begins("encoder.conv_in.", "decoder.conv_in.", "first_stage_model.", "encoder.down."),
        "a VAE: put it into models/VAE",
    ),
    (
        _begins("text_model.", "cond_stage_model.", "conditioner.", "text_projection"),
        "a text encoder, not a checkpoint",
    ),
)


def misplaced(header: Header) -> str | None:
    """What the file is and where it belongs, None where it may be a checkpoint."""
    names = header.names
    if not names:
        return "has no tensors in it"
    tests = KINDS if names.begin(*WHOLE) else (*KINDS, *PLAIN)
    return next((what for test, what in tests if test(names)), None)
