"""Good files in the wrong folder: LoRAs, VAEs, other networks and other families, told by names of their tensors."""

from __future__ import annotations

import re
from collections.abc import Callable

from webui.catalog.families import SD3, THOSE_THAT_LOAD
from webui.catalog.formats.header import Header
from webui.catalog.formats.tensor_names import Names
from webui.errors import Sentence

__all__ = ["EMBEDDED", "WHOLE", "misplaced", "told_by"]

Test = Callable[[Names], bool]


def _begins(*starts: str) -> Test:
    return lambda names: names.begin(*starts)


def _holds(*parts: str) -> Test:
    return lambda names: names.hold(*parts)


def _anywhere(*starts: str) -> Test:
    """At the front, or behind one of the prefixes that other programs write."""
    fronts = ("", "model.diffusion_model.", "transformer.", "diffusion_model.", "model.")
    return _begins(*(front + start for front in fronts for start in starts))


def _named(pattern: str) -> Test:
    """Whether any name is of this form; a look at each of them, so the last of tests."""
    form = re.compile(pattern)
    return lambda names: any(form.match(name) for name in names)


def _other(family: str) -> str:
    return Sentence(
        "a {family} model; only {those_that_load} load",
        family=family,
        those_that_load=THOSE_THAT_LOAD,
    )


LORA, VAE, CONTROLNET, UPSCALER, EMBEDDING, HYPERNETWORK = (
    Sentence("a LoRA: put it into models/Lora"),
    Sentence("a VAE: put it into models/VAE"),
    Sentence("a ControlNet: put it into models/ControlNet"),
    Sentence("an upscaler: put it into models/ESRGAN"),
    Sentence("an embedding: put it into models/embeddings"),
    Sentence("a hypernetwork: put it into models/hypernetworks"),
)
UNUSED = Sentence("those are not used here")
# Beginnings of upscalers' names, also behind what trainers put in front of them.
ESRGAN = ("RRDB_trunk.", "model.0.weight", "model.1.sub.", "body.0.rdb1.", "conv_first.")
OTHER_UPSCALERS = (
    *("layers.0.residual_group.", "layers.0.blocks.0.attn.", "patch_embed.", "relative_position_index"),
    *("block_1.c1_r.", "conv_before_upsample.", "feats.0.weight", "upsample.0.weight", "stylegan_decoder."),
    *("body.0.body.", "tail.0.", "head.0.weight", "residual_layer.0."),
)  # fmt: skip
UPSCALERS = tuple(
    front + start
    for front in ("", "params_ema.", "params.", "module.", "generator.")
    for start in (*ESRGAN, *OTHER_UPSCALERS)
)
# In order: the first test that the names pass says what the file is.
KINDS: tuple[tuple[Test, str], ...] = (
    (_begins("lllite_"), Sentence("a ControlNet-LLLite; {unused}", unused=UNUSED)),
    (_begins("lora_controlnet"), Sentence("a control-LoRA; {unused}", unused=UNUSED)),
    (
        _begins("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_", "lora_transformer_", "lycoris_", "oft_unet_"),
        LORA,
    ),
    (
        _holds(".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lora.down.", ".lora.up.", "_lora.up."),
        LORA,
    ),
    (_holds(".hada_w1_a", ".lokr_w1", ".dora_scale", ".oft_blocks", ".oft_diag", ".lora_linear_layer."), LORA),
    (_holds("motion_modules."), Sentence("a motion module; {unused}", unused=UNUSED)),
    (
        _holds("controlnet_cond_embedding.", "controlnet_down_blocks.", "input_hint_block."),
        CONTROLNET,
    ),
    (_begins("control_model."), CONTROLNET),
    (_begins("adapter.body.", "body.0.resnets."), Sentence("a T2I adapter; {unused}", unused=UNUSED)),
    (_begins("ip_adapter.", "image_proj."), Sentence("an IP-Adapter; {unused}", unused=UNUSED)),
    (_anywhere("double_blocks.0.", "single_transformer_blocks.0."), _other("Flux")),
    (_anywhere("joint_blocks.0.", "transformer_blocks.0.attn.add_q_proj."), _other(SD3.name)),
    (_anywhere("clip_txt_mapper.", "clip_txt_pooled_mapper.", "effnet_mapper."), _other("Stable Cascade")),
    (_begins("edm_mean", "edm_vpred"), Sentence("a model of the EDM kind (Playground 2.5); those cannot be loaded")),
    (
        _holds(".quant_state.", ".absmax", "scaled_fp8", ".scale_weight", ".weight_scale", ".qweight", ".comfy_quant"),
        Sentence("a quantised file; only plain weights load"),
    ),
    (_begins(*UPSCALERS), UPSCALER),
    (_begins("emb_params", "string_to_param"), EMBEDDING),
)  # fmt: skip
WHOLE = ("model.diffusion_model.", "unet.")
PLAIN: tuple[tuple[Test, str], ...] = (  # where there is no U-Net of a checkpoint
    (
        _begins("input_blocks.0.", "down_blocks.0.", "conv_in.weight"),
        Sentence("a U-Net alone; a checkpoint has its text encoder and VAE too"),
    ),
    (
        _begins("encoder.layers.0.weight", "decoder.layers.0.weight", "decoder.layers.1.weight"),
        Sentence("a tiny VAE (TAESD); {unused}", unused=UNUSED),
    ),
    (
        _begins(
            *("encoder.conv_in.", "decoder.conv_in.", "first_stage_model.", "encoder.down."),
            *("vae.encoder.", "vae.decoder."),
        ),
        VAE,
    ),
    (
        _begins("text_model.", "cond_stage_model.", "conditioner.", "text_projection", "text_encoder."),
        Sentence("a text encoder; {unused} alone", unused=UNUSED),
    ),
    (_begins("vision_model.", "visual.", "visual_projection"), Sentence("an image encoder; {unused}", unused=UNUSED)),
    (_begins("clip_l", "clip_g"), EMBEDDING),
    (_begins("concept_embeds"), Sentence("a safety checker; {unused}", unused=UNUSED)),
    (_named(r"\d+\.[01]\.linear"), HYPERNETWORK),
)  # fmt: skip
EMBEDDED = (768, 1024, 1280)  # widths of textual inversions


def misplaced(header: Header) -> str | None:
    """What the file is and where it belongs, None where it may be a checkpoint."""
    names = header.names
    if not names:
        return Sentence("has no tensors in it")
    found = told_by(names)
    if found is None and len(header.tensors) == 1:
        (only,) = header.tensors.values()
        if len(only.shape) in (1, 2) and only.shape[-1] in EMBEDDED:
            return EMBEDDING
    return found


def told_by(names: Names) -> str | None:
    """The same for names alone."""
    tests = KINDS if names.begin(*WHOLE) else (*KINDS, *PLAIN)
    return next((what for test, what in tests if test(names)), None)
