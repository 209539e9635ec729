"""Stage one: the autoencoder, a diffusers `AutoencoderKL` that packs 128x128 pictures into 16x16 latents.

Loss: mean absolute error, plus half of that on Sobel edges, plus a tiny KL term. Most steps see 64x64 crops around
drawings; the last ones whole pictures. `refine_decoder` is a later stage: the encoder, and so every latent that
diffusion has learnt, stays as it is, and the decoder alone learns to draw it more sharply.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn import functional as F

from webui.training import checkpoint
from webui.training.scenes import SIDE, Renderer, crop_corner, picture_batch, sample_scene
from webui.training.sheets import save_sheet, to_tensor, to_uint8

Perceptual = Callable[[torch.Tensor], list[torch.Tensor]]


@dataclass(frozen=True, slots=True)
class AutoencoderPreset:
    """Widths and schedule of stage one. `full_share` of the steps, the last, see whole pictures."""

    widths: tuple[int, ...] = (32, 32, 64, 128)
    latent_channels: int = 8
    norm_groups: int = 2  # wide groups: a flat area must keep its colour through the norm
    steps: int = 3900
    batch: int = 8
    crop: int = 64
    full_share: float = 0.1
    rate: float = 4e-4
    warmup: int = 100
    decay_share: float = 0.3
    kl: float = 1e-4  # per latent element, against the mean pixel error
    edges: float = 0.5
    ema: float = 0.995
    seed: int = 1
    side: int = SIDE


def build_autoencoder(preset: AutoencoderPreset) -> AutoencoderKL:
    """A fresh autoencoder with nearly deterministic latents: the log-variance starts at -5."""
    torch.manual_seed(preset.seed)
    blocks = len(preset.widths)
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        block_out_channels=preset.widths,
        layers_per_block=1,
        latent_channels=preset.latent_channels,
        norm_num_groups=preset.norm_groups,
        sample_size=SIDE,
        scaling_factor=1.0,
    )
    with torch.no_grad():
        vae.quant_conv.bias[preset.latent_channels :] = -5.0
    return vae.to(memory_format=torch.channels_last)


def edge_maps(pictures: torch.Tensor) -> torch.Tensor:
    """Sobel gradients, [B, 3, H, W] -> [B, 6, H-2, W-2]."""
    kernel = pictures.new_tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]) / 8
    weight = torch.stack([kernel, kernel.T]).unsqueeze(1).repeat(3, 1, 1, 1)
    return F.conv2d(pictures, weight, groups=3)


def pixel_loss(drawn: torch.Tensor, wanted: torch.Tensor, edges: float) -> torch.Tensor:
    return (drawn - wanted).abs().mean() + edges * 4 * F.l1_loss(
        edge_maps(drawn), edge_maps(wanted)
    )


def training_batch(preset: AutoencoderPreset, renderer: Renderer, step: int) -> torch.Tensor:
    """The pictures of one step, from the step's number alone. Each scene gives two crops, or a whole picture."""
    rng = np.random.default_rng([preset.seed, step])
    if step < preset.steps * (1 - preset.full_share) and preset.crop < SIDE:
        scenes = [sample_scene(rng) for _ in range(preset.batch)]
        corners = [crop_corner(rng, s, preset.crop) for s in scenes]
        pictures = picture_batch(renderer, scenes, corners, preset.crop)
    else:
        whole = max(1, preset.batch * preset.crop**2 // SIDE**2)
        pictures = picture_batch(renderer, [sample_scene(rng) for _ in range(whole)])
    return to_tensor(pictures).contiguous(memory_format=torch.channels_last)


@contextmanager
def averaged(model: nn.Module, average: dict[str, torch.Tensor]) -> Iterator[None]:
    """Run the block with the moving average as weights, then put the trained ones back."""
    own = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(average)
    try:
        yield
    finally:
        model.load_state_dict(own)


def train_autoencoder(
    preset: AutoencoderPreset,
    renderer: Renderer,
    folder: Path,
    *,
    device: str = "cpu",
    bf16: bool = True,
    minutes: float = float("inf"),
    decoder_only: bool = False,
    start_from: dict[str, torch.Tensor] | None = None,
    perceptual: Perceptual | None = None,
    log: Callable[[str], None] = print,
) -> AutoencoderKL:
    """Train, or go on training, and return the autoencoder with averaged weights.

    `folder` keeps the checkpoint and a sheet of reconstructions. Stops after `minutes`, resumable. With
    `decoder_only` the encoder and `quant_conv` stay frozen at `start_from`, and latents are their means.
    """
    vae = build_autoencoder(preset)
    if start_from is not None:
        vae.load_state_dict(start_from)
    vae.to(device).train()
    if decoder_only:
        vae.encoder.requires_grad_(False)
        vae.quant_conv.requires_grad_(False)
    parameters = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=preset.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
    )
    average = {k: v.clone() for k, v in vae.state_dict().items()}
    first = 0
    path = folder / "checkpoint.pt"
    if state := checkpoint.load(path, device):
        vae.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average, first = state["average"], state["step"]

    def keep(step: int) -> None:
        state = {"model": vae.state_dict(), "optimizer": optimizer.state_dict()}
        checkpoint.save(path, {**state, "average": average, "step": step})
        with averaged(vae, average):
            psnr = reconstruction_sheet(vae, renderer, folder / "reconstructions.png", device)
        log(f"step {step} checkpoint, PSNR {psnr:.2f} dB")

    started = saved = time.monotonic()
    total, count = 0.0, 0
    step = first
    for step in range(first, preset.steps):
        rate = checkpoint.learning_rate(
            step, preset.steps, preset.rate, preset.warmup, preset.decay_share
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        pictures = training_batch(preset, renderer, step).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            if decoder_only:
                with torch.no_grad():
                    z = vae.encode(pictures).latent_dist.mode()
                kl = z.new_zeros(())
            else:
                posterior = vae.encode(pictures).latent_dist
                noise = torch.Generator(device).manual_seed(step)
                mean, std = posterior.mean.float(), posterior.std.float()
                z = mean + std * torch.randn(mean.shape, generator=noise, device=device)
                kl = 0.5 * (mean**2 + std**2 - 1 - 2 * std.log()).mean()
            drawn = vae.decode(z).sample
        loss = pixel_loss(drawn.float(), pictures, preset.edges) + preset.kl * kl
        if perceptual is not None:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                with torch.no_grad():
                    wanted = perceptual(pictures)
                got = perceptual(drawn)
            loss = loss + sum(
                0.1 * F.l1_loss(g.float(), w.float()) for g, w in zip(got, wanted, strict=True)
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        mix = 1 - min(preset.ema, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, weight in vae.state_dict().items():
                average[name].lerp_(weight, mix)
        total, count = total + loss.item(), count + 1
        now = time.monotonic()
        if (step + 1) % 100 == 0:
            pace = (now - started) / (step + 1 - first)
            log(f"step {step + 1}/{preset.steps} loss {total / count:.4f} {pace:.3f} s/step")
            total, count = 0.0, 0
        if now - started > minutes * 60:
            break
        if now - saved > 180:
            keep(step + 1)
            saved = now
    keep(min(step + 1, preset.steps))
    vae.load_state_dict(average)
    return vae.eval()


@torch.no_grad()
def reconstruction_sheet(
    vae: AutoencoderKL, renderer: Renderer, path: Path, device: str = "cpu", count: int = 24
) -> float:
    """Save originals above reconstructions; return the mean PSNR in dB over pictures in 0..1."""
    rng = np.random.default_rng(99)
    originals = picture_batch(renderer, [sample_scene(rng) for _ in range(count)])
    pictures = to_tensor(originals).contiguous(memory_format=torch.channels_last).to(device)
    drawn = torch.cat(
        [vae.decode(vae.encode(p).latent_dist.mode()).sample for p in torch.split(pictures, 4)]
    )
    error = ((drawn.clamp(-1, 1) - pictures) / 2).square().mean((1, 2, 3))
    rows = []
    redrawn = to_uint8(drawn)
    for i in range(0, count, 12):
        rows += [originals[i : i + 12], redrawn[i : i + 12]]
    save_sheet(path, np.concatenate(rows), 12)
    return float((-10 * error.log10()).mean())
