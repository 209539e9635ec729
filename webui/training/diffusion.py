"""Stage two: the text encoder and the UNet, trained together on latents of captioned scenes.

v-prediction on Stable Diffusion's scaled-linear betas; captions dropped one time in ten, so that guidance has an
unconditional prediction; a moving average of the weights is what is kept. A step's scenes, captions, timesteps and
noise follow from its number, so an interrupted run goes on as if it had not been.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from webui.engine.denoiser import timestep
from webui.engine.schedules import SCHEDULES
from webui.training import checkpoint
from webui.training.captions import caption
from webui.training.muon import Muon
from webui.training.scenes import SNAPPED_SIZES, Renderer, Scene, picture_batch, sample_scene
from webui.training.sheets import save_sheet, to_tensor, to_uint8
from webui.training.tokenizer import LENGTH, encode

WHITENING_FLOOR = 0.02


@dataclass(frozen=True, slots=True)
class DiffusionPreset:
    """Widths and schedule of stage two."""

    widths: tuple[int, ...] = (96, 128, 192)
    text_width: int = 192
    text_layers: int = 2
    latent_channels: int = 8
    latent_side: int = 16
    scenes: int = 12000  # cached latents
    steps: int = 3900
    batch: int = 32
    focus: float = 0.8  # share of the pictures, after `focus_from` steps, with one large drawing
    focus_from: int = 700
    rate: float = 1.5e-3
    warmup: int = 100
    decay_share: float = 0.25
    drop: float = 0.1
    ema: float = 0.996
    seed: int = 2


def alphas_cumprod(steps: int = 1000) -> torch.Tensor:
    """Stable Diffusion's schedule: betas linear in their square roots, 0.00085 to 0.012."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, steps, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0)


def build_text_encoder(preset: DiffusionPreset, tokenizer: Any) -> CLIPTextModel:
    torch.manual_seed(preset.seed)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=preset.text_width,
            intermediate_size=4 * preset.text_width,
            projection_dim=preset.text_width,
            num_hidden_layers=preset.text_layers,
            num_attention_heads=preset.text_width // 32,
            max_position_embeddings=LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(preset: DiffusionPreset) -> UNet2DConditionModel:
    torch.manual_seed(preset.seed + 1)
    attentive = len(preset.widths) - 1
    unet = UNet2DConditionModel(
        sample_size=preset.latent_side,
        in_channels=preset.latent_channels,
        out_channels=preset.latent_channels,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * attentive),
        up_block_types=(*["CrossAttnUpBlock2D"] * attentive, "UpBlock2D"),
        block_out_channels=preset.widths,
        layers_per_block=1,
        attention_head_dim=tuple(max(1, w // 32) for w in preset.widths),
        cross_attention_dim=preset.text_width,
        norm_num_groups=16,
    )
    return unet.to(memory_format=torch.channels_last)


@torch.no_grad()
def standardise_latents(
    vae: AutoencoderKL, pictures: torch.Tensor, floor: float = WHITENING_FLOOR
) -> None:
    """Fold a linear change of latents into `quant_conv` and `post_quant_conv`; pictures decode as before, exactly.

    Afterwards latents have mean 0 and variance 1, so `scaling_factor` is 1, and their channels are nearly
    uncorrelated: an autoencoder likes to say the background in all channels at once (the first of eight principal
    components had 4,000 times the variance of the last), and diffusion would drown the drawing's details in noise.
    Directions with less than `floor` of the mean variance carry little but rounding, and are lifted less.
    The posterior's deviation, which nothing of ours reads, becomes its average.
    """
    posteriors = [vae.encode(p).latent_dist for p in torch.split(pictures, 16)]
    means = torch.cat([p.mode() for p in posteriors]).double()
    noise = torch.cat([p.var for p in posteriors]).double().mean((0, 2, 3))
    channels = means.shape[1]
    x = means.transpose(0, 1).reshape(channels, -1)
    m, s = x.mean(1), x.std(1)
    values, vectors = torch.linalg.eigh(torch.corrcoef(x))
    change = vectors @ torch.diag((values + floor).rsqrt()) @ vectors.T @ torch.diag(1 / s)
    change = change / (change @ (x - m[:, None])).square().mean().sqrt()
    back = torch.linalg.inv(change)
    before, after = vae.quant_conv, vae.post_quant_conv
    weight, bias = before.weight[:channels, :, 0, 0].double(), before.bias[:channels].double()
    before.weight[:channels] = (change @ weight)[:, :, None, None].to(before.weight)
    before.bias[:channels] = (change @ (bias - m)).to(before.bias)
    before.weight[channels:] = 0
    before.bias[channels:] = (change.square() @ noise).log().to(before.bias)
    weight = after.weight[:, :, 0, 0].double()
    after.bias += (weight @ m).to(after.bias)
    after.weight.copy_((weight @ back)[:, :, None, None])


def latent_scene(preset: DiffusionPreset, index: int) -> Scene:
    return sample_scene(np.random.default_rng([preset.seed, index]), snapped=True)


@torch.no_grad()
def cache_latents(
    preset: DiffusionPreset,
    vae: AutoencoderKL,
    renderer: Renderer,
    path: Path,
    *,
    device: str = "cpu",
    bf16: bool = True,
    log: Callable[[str], None] = print,
) -> torch.Tensor:
    """Latents of the first `preset.scenes` scenes, bf16 [N, 8, 16, 16], kept at `path`."""
    kept = checkpoint.load(path)
    latents: list[torch.Tensor] = [kept["latents"]] if kept else []
    done = len(latents[0]) if latents else 0
    started = time.monotonic()
    for first in range(done, preset.scenes, 32):
        scenes = [latent_scene(preset, i) for i in range(first, min(first + 32, preset.scenes))]
        pictures = to_tensor(picture_batch(renderer, scenes)).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            posterior = vae.encode(pictures.contiguous(memory_format=torch.channels_last))
        latents.append(posterior.latent_dist.mode().bfloat16().cpu().contiguous())
        if (first // 32) % 50 == 49:
            log(f"latents {first + 32}/{preset.scenes} {time.monotonic() - started:.0f} s")
    everything = torch.cat(latents)
    checkpoint.save(path, {"latents": everything})
    return everything


class TextToLatent(nn.Module):
    """Both networks as one module, for one optimizer, one average and one checkpoint."""

    def __init__(self, text: CLIPTextModel, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.text, self.unet = text, unet

    def forward(self, x: torch.Tensor, t: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        context = self.text(input_ids=tokens).last_hidden_state
        v: torch.Tensor = self.unet(x, t, context).sample
        return v


def build_optimizers(model: TextToLatent, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings, first and last layers, norms and biases."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        outer = "embedding" in name or name.startswith(("unet.conv_in", "unet.conv_out"))
        (rest if p.ndim < 2 or outer else hidden).append(p)
    return [
        Muon(hidden, lr=rate),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True),
    ]


def timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Half uniform, half towards the middle, where outlines are decided."""
    uniform = torch.rand(count, generator=generator)
    middle = torch.sigmoid(0.8 * torch.randn(count, generator=generator))
    chosen = torch.where(torch.arange(count) % 2 == 0, uniform, middle)
    return (chosen * 1000).long().clamp(0, 999)


def train_diffusion(
    preset: DiffusionPreset,
    model: TextToLatent,
    tokenizer: Any,
    latents: torch.Tensor,
    folder: Path,
    *,
    device: str = "cpu",
    bf16: bool = True,
    minutes: float = float("inf"),
    compiled: bool = False,
    scene: Callable[[int], Scene] | None = None,
    every: Callable[[TextToLatent, int], None] | None = None,
    every_minutes: float = 8.0,
    log: Callable[[str], None] = print,
) -> TextToLatent:
    """Train, or go on training, and return the model with averaged weights.

    `scene(i)` is what `latents[i]` shows. `every(averaged model, step)` is called every few minutes, after the
    checkpoint; it draws sample sheets and exports.
    """
    scene = scene or (lambda i: latent_scene(preset, i))
    scenes = [scene(i) for i in range(len(latents))]
    large = np.array([i for i, s in enumerate(scenes) if s.drawings[0].size == max(SNAPPED_SIZES)])
    model.to(device).train()
    if (
        device == "cpu"
    ):  # the fused kernel's backward is slow there: 1.84 s a step of 48, plain 1.40 s
        model.unet.set_attn_processor(AttnProcessor())
        model.text.set_attn_implementation("eager")
    parameters = list(model.parameters())
    optimizers = build_optimizers(model, preset.rate)
    weights = model.state_dict()
    average = {k: v.clone() for k, v in weights.items()}
    first = 0
    path = folder / "checkpoint.pt"
    if state := checkpoint.load(path, device):
        model.load_state_dict(state["model"])
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        average, first = state["average"], state["step"]
    floats = [k for k, v in weights.items() if v.is_floating_point()]
    acp = alphas_cumprod().float()
    run = torch.compile(model) if compiled else model
    started = saved = time.monotonic()
    total, count = 0.0, 0
    step = first

    def keep(step: int) -> None:
        state = {"model": model.state_dict(), "average": average, "step": step}
        kept = [optimizer.state_dict() for optimizer in optimizers]
        checkpoint.save(path, {**state, "optimizers": kept})
        if every is not None:
            own = {k: v.clone() for k, v in model.state_dict().items()}
            model.load_state_dict(average)
            every(model.eval(), step)
            model.load_state_dict(own)
            model.train()

    for step in range(first, preset.steps):
        rate = checkpoint.learning_rate(
            step, preset.steps, preset.rate, preset.warmup, preset.decay_share
        )
        for group in (g for optimizer in optimizers for g in optimizer.param_groups):
            group["lr"] = rate
        rng = np.random.default_rng([preset.seed, 1, step])
        noise_rng = torch.Generator().manual_seed(preset.seed * 1_000_003 + step)
        chosen = rng.integers(len(latents), size=preset.batch)
        if step >= preset.focus_from and len(large):
            focused = rng.random(preset.batch) < preset.focus
            chosen = np.where(focused, rng.choice(large, preset.batch), chosen)
        chosen = chosen.tolist()
        texts = ["" if rng.random() < preset.drop else caption(scenes[i], rng) for i in chosen]
        x0 = latents[chosen].float()
        t = timesteps(preset.batch, noise_rng)
        noise = torch.randn(x0.shape, generator=noise_rng)
        a = acp[t].sqrt()[:, None, None, None]
        b = (1 - acp[t]).sqrt()[:, None, None, None]
        xt = (a * x0 + b * noise).contiguous(memory_format=torch.channels_last)
        v = a * noise - b * x0
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            predicted = run(xt.to(device), t.to(device), encode(tokenizer, texts).to(device))
        loss = (predicted.float() - v.to(device)).square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        mix = 1 - min(preset.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            now_weights = model.state_dict()
            torch._foreach_lerp_(
                [average[k] for k in floats], [now_weights[k] for k in floats], mix
            )
        total, count = total + loss.item(), count + 1
        now = time.monotonic()
        if (step + 1) % 25 == 0:
            pace = (now - started) / (step + 1 - first)
            log(f"step {step + 1}/{preset.steps} loss {total / count:.4f} {pace:.3f} s/step")
            total, count = 0.0, 0
        if now - started > minutes * 60:
            break
        if now - saved > every_minutes * 60:
            keep(step + 1)
            saved = time.monotonic()
    keep(min(step + 1, preset.steps))
    model.load_state_dict(average)
    return model.eval()


@torch.no_grad()
def generate(
    model: TextToLatent,
    tokenizer: Any,
    prompts: list[str],
    seeds: list[int],
    *,
    steps: int = 20,
    cfg_scale: float = 4.0,
    device: str = "cpu",
    bf16: bool = True,
    negative: str = "",
    scheduler: str = "uniform",
) -> torch.Tensor:
    """Latents for prompts by DDIM (eta 0, which is Euler), [B, C, h, w]. One noise generator per picture.

    `scheduler` is one of the engine's schedules, with the timesteps that the engine gives to its noise levels.
    """
    shape = (model.unet.config.in_channels, *[model.unet.config.sample_size] * 2)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
    x: torch.Tensor = torch.stack(noise).to(device).contiguous(memory_format=torch.channels_last)
    levels = ((1 - alphas_cumprod()) / alphas_cumprod()).sqrt().tolist()
    sigmas = SCHEDULES[scheduler].make(steps, levels[0], levels[-1], levels)
    signal = [(1 + sigma * sigma) ** -0.5 for sigma in sigmas]  # sqrt of alpha bar; 1 at the end
    noisy = [sigma * a for sigma, a in zip(sigmas, signal, strict=True)]
    x = x * noisy[0]
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        tokens = encode(tokenizer, [negative] * len(prompts) + prompts).to(device)
        context = model.text(input_ids=tokens).last_hidden_state
        for i in range(steps):
            rows = torch.full((2 * len(prompts),), timestep(sigmas[i], levels), device=device)
            v = model.unet(torch.cat([x, x]), rows, context).sample.float()
            free, asked = v.chunk(2)
            v = free + cfg_scale * (asked - free)
            x0, eps = signal[i] * x - noisy[i] * v, noisy[i] * x + signal[i] * v
            x = signal[i + 1] * x0 + noisy[i + 1] * eps
    return x


@torch.no_grad()
def sample_sheet(
    model: TextToLatent,
    vae: AutoencoderKL,
    tokenizer: Any,
    prompts: list[str],
    path: Path,
    **how: Any,
) -> None:
    z = generate(model, tokenizer, prompts, list(range(len(prompts))), **how)
    drawn = torch.cat([vae.decode(part).sample for part in torch.split(z, 4)])
    save_sheet(path, to_uint8(drawn), 8)
