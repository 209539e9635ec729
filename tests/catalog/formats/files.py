"""Small files with the names and shapes that tell checkpoints apart, and ways to write any header at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

__all__ = ["DIFFUSERS", "LDM", "checkpoint", "raw", "tensors", "write"]

UNET, VAE = "model.diffusion_model.", "first_stage_model."
# What the text encoders' weights are called, by family.
LDM = {
    "sd1": ("cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",),
    "sd2": ("cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight",),
    "sdxl": (
        "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight",
        "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
    ),
    "refiner": ("conditioner.embedders.0.model.transformer.resblocks.9.mlp.c_proj.bias",),
}
DIFFUSERS = {
    "sd1": ("text_encoder.text_model.final_layer_norm.bias",),
    "sd2": ("text_encoder.text_model.final_layer_norm.bias",),
    "sdxl": ("text_encoder.final_layer_norm.bias", "text_encoder_2.final_layer_norm.bias"),
    "refiner": ("text_encoder_2.final_layer_norm.bias",),
}
CONTEXT = {"sd1": 768, "sd2": 1024, "sdxl": 2048, "refiner": 1280}
LABELS = {"sdxl": 2816, "refiner": 2560}
ATTENTION = {  # the first place where the U-Net looks at text
    "sd1": "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "sd2": "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight",
    "sdxl": "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
    "refiner": "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight",
}


def tensors(family: str = "sd1", inputs: int = 4, layout: str = "ldm") -> dict[str, np.ndarray]:
    """The tensors of a checkpoint of `family`, far fewer than it really has."""
    rng = np.random.default_rng(len(family) + inputs)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float16)

    ldm = layout == "ldm"
    names = {
        (f"{UNET}input_blocks.0.0.weight" if ldm else "unet.conv_in.weight"): some(8, inputs, 3, 3),
        (f"{UNET}out.2.weight" if ldm else "unet.conv_out.weight"): some(4, 8, 3, 3),
        (
            f"{UNET}{ATTENTION[family]}"
            if ldm
            else "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
        ): some(8, CONTEXT[family]),
        (f"{VAE}decoder.conv_out.weight" if ldm else "vae.decoder.conv_out.weight"): some(
            3, 8, 3, 3
        ),
    }
    if family in LABELS:
        label = f"{UNET}label_emb.0.0.weight" if ldm else "unet.add_embedding.linear_1.weight"
        names[label] = some(8, LABELS[family])
    return names | {name: some(8) for name in (LDM if ldm else DIFFUSERS)[family]}


def checkpoint(path: Path, family: str = "sd1", **options: Any) -> Path:
    """Writes `tensors(...)` to `path`; `metadata` and `more` tensors may be given."""
    metadata, more = options.pop("metadata", None), options.pop("more", {})
    return write(path, tensors(family, **options) | more, metadata)


def write(
    path: Path, names: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(names), path, metadata)
    return path


def raw(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    """A file with any header: a JSON value, or bytes as they are."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body
