"""What a file that is no checkpoint is, and which models it is made for, told from its header."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from webui.engine.formats.families import family_name
from webui.engine.formats.header import Header
from webui.engine.formats.misplaced import WHOLE, misplaced

__all__ = ["family_of", "tags_of", "wrong_place"]

BASES = (  # beginnings of kohya's ss_base_model_version and of modelspec.architecture
    ("sdxl", "Stable Diffusion XL"),
    ("stable-diffusion-xl", "Stable Diffusion XL"),
    ("sd_v2", "Stable Diffusion 2"),
    ("stable-diffusion-v2", "Stable Diffusion 2"),
    ("sd_v1", "Stable Diffusion 1"),
    ("stable-diffusion-v1", "Stable Diffusion 1"),
    ("sd3", "Stable Diffusion 3"),
    ("stable-diffusion-3", "Stable Diffusion 3"),
    ("flux", "Flux"),
)
OTHERS = (  # parts of names that only networks of these families have
    ("double_blocks", "Flux"),
    ("single_transformer_blocks", "Flux"),
    ("joint_blocks", "Stable Diffusion 3"),
)
SECOND_ENCODER = ("lora_te2_", "text_encoder_2.")
DOWN = (".lora_down.weight", ".lora_A.weight", ".lora.down.weight", ".hada_w1_b", ".oft_diag")
PLACES = {
    "lora": "models/Lora",
    "embedding": "embeddings/",
    "hypernetwork": "models/hypernetworks",
    "vae": "models/VAE",
    "controlnet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
}
VAE_CHANNELS = 4


def family_of(kind: str, header: Header) -> str:
    """The family that a file of a kind (a key of `FOLDERS`) is made for, "" where the header does not tell."""
    if kind == "embedding":
        return _of_embedding(header)
    if kind not in ("lora", "controlnet"):
        return ""
    said = [
        header.metadata.get("ss_base_model_version", ""),
        header.metadata.get("modelspec.architecture", ""),
    ]
    for text in said:
        found = next((name for begin, name in BASES if text.lower().startswith(begin)), "")
        if found:
            return found
    for part, name in OTHERS:
        if any(part in key for key in header.tensors):
            return name
    if any(key.startswith(SECOND_ENCODER) for key in header.tensors):
        return family_name("sdxl", 2048)
    return _by_width(_text_width(header))


def _of_embedding(header: Header) -> str:
    if {"clip_l", "clip_g"} & set(header.tensors):
        return family_name("sdxl", 2048)
    return _by_width(next((one.shape[-1] for one in header.tensors.values() if one.shape), 0))


def _by_width(width: int) -> str:
    if width == 2048:
        return family_name("sdxl", width)
    return family_name("sd", width) if width in (768, 1024) else ""


def _text_width(header: Header) -> int:
    """The width of the texts that attention reads, 0 where no layer tells it."""
    for name, tensor in header.tensors.items():
        layer = name.replace("_", ".")
        whole = name.endswith("attn2.to_k.weight")
        part = "attn2.to.k" in layer and name.endswith(DOWN)
        if (whole or part) and len(tensor.shape) >= 2:
            return tensor.shape[1]
    return 0


def wrong_place(kind: str, header: Header) -> str | None:
    """What a file is instead of what its folder is for, None where nothing speaks against it."""
    if kind != "lora" and header.names.begin(*WHOLE):
        return "a checkpoint: put it into models/Stable-diffusion"
    what = misplaced(header)
    if what and what.endswith(tuple(PLACES.values())) and not what.endswith(PLACES[kind]):
        return what
    if kind == "vae":
        shape = header.shape("decoder.conv_in.weight") or header.shape(
            "first_stage_model.decoder.conv_in.weight"
        )
        if shape and len(shape) == 4 and shape[1] != VAE_CHANNELS:
            return f"a VAE of {shape[1]} latent channels; only those of {VAE_CHANNELS} fit here"
    return None


def tags_of(metadata: Mapping[str, str], most: int = 24) -> list[tuple[str, int]]:
    """The words that the training pictures of a LoRA had most often, as kohya's trainer writes them down."""
    try:
        told = json.loads(metadata.get("ss_tag_frequency", "{}"))
    except (ValueError, RecursionError):
        return []
    counted: Counter[str] = Counter()
    for tags in told.values() if isinstance(told, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int) and tag.strip():
                counted[tag.strip()] += count
    return counted.most_common(most)
