"""Tiny random networks in diffusers' own folder layout, for every test that needs a model on disk.

Written by diffusers and transformers themselves, so that what our loader reads is what they write. The VAE halves
the size three times as Stable Diffusion's does; everything else is as narrow as the layers allow.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

__all__ = ["tiny_folder", "tiny_models", "tiny_tokenizer"]

WORDS = ("a", "red", "cat", "dog", "on", "the", "grass", "blue", "photo", "of", ",")
START, END = "<|startoftext|>", "<|endoftext|>"


def tiny_models(root: Path) -> Path:
    """Makes `root` a models folder with one model in it, `tiny`, and returns `root`."""
    tiny_folder(root / "Stable-diffusion" / "tiny")
    return root


def tiny_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer of a few words and all single letters; other words fall apart into letters."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    merges: list[tuple[str, str]] = []
    known = [*letters, *(f"{letter}</w>" for letter in letters)]
    for word in WORDS:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            parts[:2] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                known.append(parts[0])
    vocab = {word: number for number, word in enumerate(dict.fromkeys([*known, START, END]))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def tiny_folder(
    path: Path,
    *,
    inpainting: bool = False,
    prediction: str = "epsilon",
    channels: int = 4,
    seed: int = 0,
) -> Path:
    """Writes a random Stable Diffusion 1 kind of model to `path` (1 MB) and returns `path`.

    `StableDiffusionPipeline.from_pretrained(path)` loads it too. `inpainting` gives its UNet the extra channels of
    an inpainting model, `prediction` is what it predicts, `channels` are its latent's.
    """
    import diffusers
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    path.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=2 * channels + 1 if inpainting else channels,
            out_channels=channels,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=4,
            cross_attention_dim=32,
            norm_num_groups=8,
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            latent_channels=channels,
            norm_num_groups=4,
            sample_size=128,
        )
        config = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        text = CLIPTextModel(config)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    unet.save_pretrained(path / "unet")
    vae.save_pretrained(path / "vae")
    text.save_pretrained(path / "text_encoder")
    tokenizer.save_pretrained(path / "tokenizer")
    scheduler.save_pretrained(path / "scheduler")
    index = {
        "_class_name": f"StableDiffusion{'Inpaint' if inpainting else ''}Pipeline",
        "_diffusers_version": diffusers.__version__,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    (path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return path
