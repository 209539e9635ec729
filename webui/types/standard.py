"""The controls that tasks share, as data; names, labels and ranges are A1111's."""

from __future__ import annotations

from webui.types.controls import Choice, Group, Mask, Number, Picture, Seed, Switch, Text
from webui.types.requests import (
    CFG_MAX,
    CLIP_SKIP_MAX,
    FILLS,
    PICTURES_MAX,
    SIZE_MAX,
    SIZE_MIN,
    SIZE_STEP,
    STEPS_MAX,
)

__all__ = ["COMMON", "ETA", "IMAGE", "INPAINTING", "MASK", "PROMPTS", "STRENGTH"]

PROMPTS = (
    Text(
        name="prompt",
        label="Prompt",
        lines=3,
        default="",
        info="What the picture shows",
        prompt=True,
    ),
    Text(
        name="negative_prompt",
        label="Negative prompt",
        lines=2,
        default="",
        info="What it should not show",
        prompt=True,
    ),
)

ETA = Number(
    name="eta",
    label="Eta",
    minimum=0,
    maximum=1,
    step=0.05,
    info="Fresh noise a step, for Euler a and DDIM; empty is the method's own",
)

COMMON = (
    Group(
        "Size and number",
        (
            Number(
                name="width",
                label="Width",
                minimum=SIZE_MIN,
                maximum=SIZE_MAX,
                step=SIZE_STEP,
                whole=True,
            ),
            Number(
                name="height",
                label="Height",
                minimum=SIZE_MIN,
                maximum=SIZE_MAX,
                step=SIZE_STEP,
                whole=True,
            ),
            Number(
                name="batch_size",
                label="Number of pictures",
                minimum=1,
                maximum=PICTURES_MAX,
                whole=True,
                default=1,
                info="Each with the next seed",
            ),
        ),
        open=True,
    ),
    Group(
        "Sampling",
        (
            Choice(name="model", label="Model", source="models"),
            Choice(
                name="vae",
                label="VAE",
                choices=(("Automatic", "automatic"), ("None", "none")),
                source="vaes",
                default="automatic",
                info="Automatic is the one beside the model's file, else its own",
            ),
            Choice(name="sampler_name", label="Sampling method", source="samplers"),
            Choice(
                name="scheduler",
                label="Schedule type",
                source="schedules",
                info="Automatic is the method's usual one",
            ),
            Number(name="steps", label="Sampling steps", minimum=1, maximum=STEPS_MAX, whole=True),
            Number(
                name="cfg_scale",
                label="CFG scale",
                minimum=0,
                maximum=CFG_MAX,
                step=0.5,
                info="How closely to follow the prompt; 1 takes half the time",
            ),
            ETA,
            Number(
                name="clip_skip",
                label="Clip skip",
                minimum=1,
                maximum=CLIP_SKIP_MAX,
                whole=True,
                default=1,
                info="Read the text encoder this many layers from its end; 1 is its last",
            ),
            Choice(
                name="missing",
                label="Missing LoRAs",
                choices=(("Refuse", "refuse"), ("Go without", "warn")),
                default="refuse",
                info="When a prompt names a LoRA or hypernetwork that is not here",
            ),
        ),
    ),
    Group(
        "Seed",
        (
            Seed(name="seed", label="Seed", default=-1, info="-1 draws a new one each time"),
            Seed(
                name="subseed",
                label="Variation seed",
                default=-1,
                info="Whose noise is mixed in; -1 draws a new one each time",
            ),
            Number(
                name="subseed_strength",
                label="Variation strength",
                minimum=0,
                maximum=1,
                step=0.01,
                default=0.0,
                info="0 is the seed's own picture, 1 the variation seed's",
            ),
        ),
        open=True,
    ),
)

IMAGE = Picture(name="image", label="Picture")
MASK = Mask(name="mask", label="Mask", over="image", info="White is repainted")
STRENGTH = Number(
    name="denoising_strength",
    label="Denoising strength",
    minimum=0,
    maximum=1,
    step=0.01,
    info="0 keeps the picture, 1 ignores it",
)
INPAINTING = Group(
    "Inpainting",
    (
        STRENGTH,
        Number(
            name="mask_blur",
            label="Mask blur",
            minimum=0,
            maximum=64,
            whole=True,
            default=4,
            info="Pixels over which old and new are blended",
        ),
        Choice(
            name="inpainting_fill",
            label="Masked content",
            choices=tuple((label, value) for value, label in enumerate(FILLS)),
            default=1,
            info="What the masked part starts from",
        ),
        Choice(
            name="inpaint_full_res",
            label="Inpaint area",
            choices=(("whole picture", False), ("only masked", True)),
            default=False,
        ),
        Number(
            name="inpaint_full_res_padding",
            label="Only masked padding, pixels",
            minimum=0,
            maximum=256,
            step=4,
            whole=True,
            default=32,
        ),
        Switch(
            name="inpainting_mask_invert",
            label="Repaint what is not masked",
            default=False,
        ),
    ),
    open=True,
)
