"""Stage two: the text encoder and the UNet, trained together on latents of captioned scenes.

v-prediction on Stable Diffusion's scaled-linear betas, errors weighted by `losses.min_snr`; captions dropped one time
in ten, so that guidance has an unconditional prediction; a moving average of the weights is what is kept. In the first
part of a run the UNet's hidden states are also drawn towards what a classifier sees in the clean picture.
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

from webui.diffusion.conversions import clean_and_noise, noised, signal_and_spread, target
from webui.diffusion.guidance import guided
from webui.diffusion.noise_schedules import STABLE_DIFFUSION, alphas_bar, model_sigmas
from webui.diffusion.parameterisation import named
from webui.diffusion.sampling_schedules import SCHEDULES
from webui.training import checkpoint, loop, losses
from webui.training.captions import caption
from webui.training.muon import Muon
from webui.training.parallel import ALONE, Share
from webui.training.renderer import Renderer, picture_batch
from webui.training.scenes import Scene, sample_scene
from webui.training.sheets import save_sheet, to_tensor, to_uint8
from webui.training.tokenizer import LENGTH, encode

WHITENING_FLOOR = 0.02


@dataclass(frozen=True, slots=True)
class DiffusionPreset:
    """Widths and schedule of stage two."""

    widths: tuple[int, ...] = (96, 128, 192)
    text_width: int = 192
    text_layers: int = 2
    latent_channels: int = 16
    latent_side: int = 16
    scenes: int = 40000  # cached latents
    steps: int = 12500
    batch: int = 32
    rate: float = 1.5e-3
    warmup: int = 100
    decay_share: float = 0.25
    drop: float = 0.1
    snr_cap: float = 5.0
    alignment: float = 0.5
    aligned_until: float = 0.6  # share of the steps
    ema: float = 0.999
    seed: int = 2


def alphas_cumprod() -> torch.Tensor:
    """ᾱ of Stable Diffusion's timesteps, [1000] fp64."""
    return torch.tensor(alphas_bar(STABLE_DIFFUSION), dtype=torch.float64)


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
    """Latents of the first `preset.scenes` scenes, bf16 [N, C, 16, 16], kept at `path`; those already there, as
    after a kill, are not made again."""
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
            latents = [torch.cat(latents)]
            checkpoint.save(path, {"latents": latents[0]})
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


class Alignment(nn.Module):
    """Draws the UNet's hidden states towards features of the clean picture (Yu et al. 2025, REPA).

    Projects the output of the second block's attention (at half the latent's side) to as many channels as the
    features have, by two 1x1 convolutions.
    """

    def __init__(self, unet: UNet2DConditionModel, channels: int) -> None:
        super().__init__()
        width = unet.config.block_out_channels[1]
        self.head = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.SiLU(), nn.Conv2d(2 * width, channels, 1)
        )
        self.seen: list[torch.Tensor] = []
        unet.down_blocks[1].attentions[-1].register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.training and torch.is_grad_enabled():
            self.seen = [output[0] if isinstance(output, tuple) else output.sample]

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The loss, for the last picture that the UNet saw."""
        return losses.alignment(self.head(self.seen.pop()).float(), features)


class DiffusionStage:
    """One step of stage two, for `loop.run`. `scenes[i]` is what `latents[i]` shows."""

    def __init__(
        self,
        preset: DiffusionPreset,
        model: TextToLatent,
        tokenizer: Any,
        latents: torch.Tensor,
        scenes: list[Scene],
        look: Callable[[list[Scene]], torch.Tensor] | None,
        *,
        device: str,
        bf16: bool,
        share: Share = ALONE,
    ) -> None:
        share.check(preset.batch)
        self.share = share
        self.preset, self.model, self.tokenizer = preset, model.to(device), tokenizer
        self.latents, self.scenes, self.look = latents, scenes, look
        self.device, self.bf16 = device, bf16
        self.acp = alphas_cumprod().float()
        if (
            device == "cpu"
        ):  # the fused kernel's backward is slow there: 1.84 s a step of 48, plain 1.40 s
            model.unet.set_attn_processor(AttnProcessor())
            model.text.set_attn_implementation("eager")
        self.optimizers = build_optimizers(model, preset.rate)
        self.helpers: dict[str, nn.Module] = {}
        if look is not None:
            torch.manual_seed(preset.seed + 2)
            head = Alignment(model.unet, look(scenes[:1]).shape[1]).to(device)
            self.helpers["alignment"] = head
            self.optimizers.append(torch.optim.AdamW(head.parameters(), lr=preset.rate))

    def advance(self, step: int) -> loop.Figures:
        preset = self.preset
        rng = np.random.default_rng([preset.seed, 1, step])
        noise_rng = torch.Generator().manual_seed(preset.seed * 1_000_003 + step)
        chosen = rng.integers(len(self.latents), size=preset.batch).tolist()
        scenes = [self.scenes[i] for i in chosen]
        texts = ["" if rng.random() < preset.drop else caption(s, rng) for s in scenes]
        t = timesteps(preset.batch, noise_rng)
        noise = torch.randn((len(chosen), *self.latents.shape[1:]), generator=noise_rng)
        chosen, scenes, texts = map(self.share.rows, (chosen, scenes, texts))
        t, noise = self.share.part(t), self.share.part(noise)
        x0 = self.latents[chosen].float()
        a = self.acp[t][:, None, None, None]
        at = signal_and_spread(a)
        xt = noised(x0, noise, *at).contiguous(memory_format=torch.channels_last)
        v = target("v_prediction", x0, noise, *at).to(self.device)
        tokens = encode(self.tokenizer, texts).to(self.device)
        aligned = self.look is not None and step < preset.aligned_until * preset.steps
        for helper in self.helpers.values():
            helper.train(aligned)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
            predicted = self.model(xt.to(self.device), t.to(self.device), tokens)
        error = (predicted.float() - v).square().mean((1, 2, 3))
        weight = losses.min_snr(a.flatten() / (1 - a.flatten()), preset.snr_cap).to(self.device)
        loss = (weight * error).mean()
        figures = {"loss": loss.detach(), "error": error.detach().mean()}
        if aligned and self.look is not None:
            with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16):
                figures["alignment"] = self.helpers["alignment"](self.look(scenes))
            loss = loss + preset.alignment * figures["alignment"]
        loop.descend(loss, self.optimizers, share=self.share)
        return {name: value.detach() for name, value in figures.items()}


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
    scene: Callable[[int], Scene] | None = None,
    look: Callable[[list[Scene]], torch.Tensor] | None = None,
    every: Callable[[int], loop.Figures] | None = None,
    every_minutes: float = 12.0,
    log: Callable[[str], None] = print,
    share: Share = ALONE,
) -> TextToLatent:
    """Train, or go on training, and return the model with averaged weights.

    `scene(i)` is what `latents[i]` shows. `look(scenes)` gives features of the clean pictures, [B, C, h / 2, w / 2];
    without it nothing is aligned. `every(step)` is called every few minutes, after the checkpoint, while `model` has
    its averaged weights; it draws sample sheets and exports.
    """
    scene = scene or (lambda i: latent_scene(preset, i))
    scenes = [scene(i) for i in range(len(latents))]
    stage = DiffusionStage(
        preset, model, tokenizer, latents, scenes, look, device=device, bf16=bf16, share=share
    )
    loop.run(
        stage,
        loop.Schedule(preset.steps, preset.warmup, preset.decay_share, preset.ema),
        folder,
        device=device,
        minutes=minutes,
        every=every,
        every_minutes=every_minutes,
        log=log,
        share=share,
    )
    return model


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
    levels = model_sigmas(STABLE_DIFFUSION)
    timestep = named("v_prediction", levels).timestep
    sigmas = SCHEDULES[scheduler].make(steps, levels[0], levels[-1], levels)
    signals = [(1 + sigma * sigma) ** -0.5 for sigma in sigmas]  # 1 at the end
    spreads = [sigma * signal for sigma, signal in zip(sigmas, signals, strict=True)]
    x = x * spreads[0]
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        tokens = encode(tokenizer, [negative] * len(prompts) + prompts).to(device)
        context = model.text(input_ids=tokens).last_hidden_state
        for i in range(steps):
            rows = torch.full((2 * len(prompts),), timestep(sigmas[i]), device=device)
            v = model.unet(torch.cat([x, x]), rows, context).sample.float()
            free, asked = v.chunk(2)
            v = guided(free, asked, cfg_scale)
            x0, eps = clean_and_noise("v_prediction", x, v, signals[i], spreads[i])
            x = noised(x0, eps, signals[i + 1], spreads[i + 1])
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
