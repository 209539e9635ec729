"""Networks of the published sizes with random weights, and checkpoints of them, for the other scripts.

Not a benchmark itself. Weights are drawn so that values neither vanish nor grow on their way through the networks.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CLIP_L = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "hidden_act": "quick_gelu", "bos_token_id": 49406, "eos_token_id": 49407,
}  # fmt: skip
OPENCLIP_H = {
    **CLIP_L, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23,
    "num_attention_heads": 16, "hidden_act": "gelu",
}  # fmt: skip
OPENCLIP_G = {
    **CLIP_L, "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
    "num_attention_heads": 20, "hidden_act": "gelu", "projection_dim": 1280,
}  # fmt: skip
VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "sample_size": 512,
}  # fmt: skip
SD1 = {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64}
XL = {
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "sample_size": 128,
}  # fmt: skip
CONFIGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "sd1": {"unet": SD1, "vae": {**VAE, "scaling_factor": 0.18215}, "text_encoder": CLIP_L},
    "sd2": {
        "unet": {
            "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True, "sample_size": 96,
        },
        "vae": {**VAE, "scaling_factor": 0.18215},
        "text_encoder": OPENCLIP_H,
    },
    "sdxl": {
        "unet": {
            **XL, "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10), "cross_attention_dim": 2048,
            "projection_class_embeddings_input_dim": 2816,
        },
        "vae": {**VAE, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder": CLIP_L,
        "text_encoder_2": OPENCLIP_G,
    },
    "sdxl-refiner": {
        "unet": {
            **XL, "block_out_channels": (384, 768, 1536, 1536), "attention_head_dim": (6, 12, 24, 24),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": 4, "cross_attention_dim": 1280,
            "projection_class_embeddings_input_dim": 2560,
        },
        "vae": {**VAE, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder_2": OPENCLIP_G,
    },
}  # fmt: skip


def networks(name: str, dtype: Any, inpainting: bool = False, seed: int = 0) -> dict[str, Any]:
    """The networks of a family with random weights in `dtype`, drawn tensor by tensor."""
    import torch

    from webui.engine.weight_loading import recreate_positions
    from webui.testing.families import build

    with torch.device("meta"):
        made = dict(build(CONFIGS[name], inpainting=inpainting))
    dice = torch.Generator().manual_seed(seed)
    for network in made.values():
        drawn = {n: _drawn(n, w.shape, dice).to(dtype) for n, w in network.state_dict().items()}
        network.load_state_dict(drawn, assign=True)
        recreate_positions(network, torch.device("cpu"))
        network.requires_grad_(False).eval()
    return made


def _drawn(name: str, shape: Any, dice: Any) -> Any:
    import torch

    noise = torch.randn(shape, generator=dice)
    if len(shape) == 1:
        return 1 + noise * 0.1 if name.endswith("weight") else noise * 0.02
    return noise * (0.02 if "embedding" in name else shape[1:].numel() ** -0.5)


def save(weights: Iterator[tuple[str, Any]], path: Path) -> None:
    """Writes a safetensors file tensor by tensor: the library's own writer takes all of them into memory again."""
    import torch

    kinds = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32"}
    tensors, header, end = list(weights), {}, 0
    for name, value in tensors:
        begin, end = end, end + value.numel() * value.element_size()
        header[name] = {
            "dtype": kinds[value.dtype], "shape": list(value.shape), "data_offsets": [begin, end]
        }  # fmt: skip
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(told)) + told)
        for _, value in tensors:
            file.write(memoryview(value.contiguous().reshape(-1).view(torch.uint8).numpy()))
