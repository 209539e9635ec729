"""How often the asked drawing and background are what was drawn, as the classifier sees it.

One object on a background, 200 pairs that training never showed, one fixed seed each. The classifier's own accuracy on
fresh renders stands beside the figure: it bounds what can be measured.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from webui.training.captions import plain_caption
from webui.training.classifier import Classifier, judge
from webui.training.diffusion import TextToLatent, generate
from webui.training.nouns import nouns
from webui.training.scenes import BACKGROUNDS, held_out_pairs
from webui.training.sheets import save_sheet, to_uint8
from webui.training.tokenizer import load_tokenizer

SEED = 1000


def held_out_prompts(count: int = 200) -> list[tuple[int, str, str]]:
    """`count` held-out (noun index, background, prompt), always the same."""
    pairs = held_out_pairs()
    order = np.random.default_rng(5).permutation(len(pairs))[:count]
    names = nouns()
    return [(n, b, plain_caption([names[n]], b)) for n, b in (pairs[i] for i in order)]


def load_model(folder: Path, device: str = "cpu") -> tuple[TextToLatent, AutoencoderKL, Any]:
    """Networks in fp32 and the tokenizer of an exported folder."""
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    unet.to(memory_format=torch.channels_last)
    vae.to(memory_format=torch.channels_last)
    model = TextToLatent(text, unet).to(device).eval()
    return model, vae.to(device).eval(), load_tokenizer(folder / "tokenizer")


@torch.no_grad()
def measure(
    model: TextToLatent,
    vae: AutoencoderKL,
    tokenizer: Any,
    classifier: Classifier,
    *,
    count: int = 200,
    steps: int = 20,
    cfg_scale: float = 4.0,
    scheduler: str = "uniform",
    device: str = "cpu",
    bf16: bool = True,
    sheet: Path | None = None,
    log: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Shares of `count` prompts whose noun, background and both were right, and which went wrong."""
    asked = held_out_prompts(count)
    started = time.monotonic()
    pictures = []
    for first in range(0, count, 20):
        prompts = [text for _, _, text in asked[first : first + 20]]
        seeds = [SEED + first + i for i in range(len(prompts))]
        z = generate(
            model,
            tokenizer,
            prompts,
            seeds,
            steps=steps,
            cfg_scale=cfg_scale,
            scheduler=scheduler,
            device=device,
            bf16=bf16,
        )
        pictures += [vae.decode(part).sample.float() for part in torch.split(z, 4)]
    drawn = torch.cat(pictures).clamp(-1, 1)
    seconds = time.monotonic() - started
    if sheet is not None:
        save_sheet(sheet, to_uint8(drawn), 20)
    noun, background = judge(classifier, drawn)
    noun_right = noun == torch.tensor([n for n, _, _ in asked])
    background_right = background == torch.tensor([BACKGROUNDS.index(b) for _, b, _ in asked])
    names = nouns()
    wrong = [
        f"{text}: {names[int(noun[i])]}, {BACKGROUNDS[int(background[i])]}"
        for i, (_, _, text) in enumerate(asked)
        if not (noun_right[i] and background_right[i])
    ]
    figures = {
        "prompts": count,
        "steps": steps,
        "scheduler": scheduler,
        "cfg_scale": cfg_scale,
        "noun": float(noun_right.float().mean()),
        "background": float(background_right.float().mean()),
        "both": float((noun_right & background_right).float().mean()),
        "seconds": round(seconds, 1),
        "wrong": wrong,
    }
    log(json.dumps({k: v for k, v in figures.items() if k != "wrong"}))
    return figures
