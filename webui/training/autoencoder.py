"""Stage one: the autoencoder, a diffusers `AutoencoderKL` that packs 128x128 pictures into 16x16 latents.

Losses, each a function in `losses`: absolute and squared error, Sobel edges and a tiny KL term from the start; distance
in the features of a classifier of renders from a tenth of the run on; a patch adversary near the end. Most steps see
64x64 crops around drawings; the last ones whole pictures. With `decoder_only` the encoder, and so every latent that
diffusion has learnt, stays as it is, and the decoder alone learns to draw latents that are a little off, as
generated ones are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import nn

from webui.training import loop, losses
from webui.training.discriminator import PatchDiscriminator
from webui.training.parallel import ALONE, Share
from webui.training.places import SIDE
from webui.training.renderer import Renderer, picture_batch
from webui.training.scenes import crop_corner, plain_scene, sample_scene
from webui.training.sheets import save_sheet, to_tensor, to_uint8

Features = Callable[[torch.Tensor], list[torch.Tensor]]


@dataclass(frozen=True, slots=True)
class AutoencoderPreset:
    """Widths and schedule of stage one. Shares are of the steps: from `features_from` on the features' distance counts,
    from `adversary_from` on the adversary; the last `full_share` see whole pictures."""

    widths: tuple[int, ...] = (32, 32, 64, 128)
    latent_channels: int = 16
    norm_groups: int = 2  # wide groups: a flat area must keep its colour through the norm
    steps: int = 9000
    batch: int = 8
    crop: int = 64
    full_share: float = 0.1
    rate: float = 4e-4
    warmup: int = 100
    decay_share: float = 0.3
    kl: float = 1e-4  # per latent element, against the mean pixel error
    squares: float = 2.0
    edges: float = 0.5
    features: float = 0.1
    features_from: float = 0.1
    adversary: float = 0.4  # times the adaptive weight
    adversary_from: float = 0.6
    adversary_rate: float = 8e-4
    latent_noise: float = 0.0  # the most that is added to latents before decoding
    ema: float = 0.999
    shown: int = 24  # scenes of each kind on the sheets; 24 is what the model card measures
    seed: int = 1


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


def training_batch(
    preset: AutoencoderPreset, renderer: Renderer, step: int, share: Share = ALONE
) -> torch.Tensor:
    """A process's pictures of one step, from the step's number alone: crops, or fewer whole pictures."""
    rng = np.random.default_rng([preset.seed, step])
    if step < preset.steps * (1 - preset.full_share) and preset.crop < SIDE:
        scenes = [sample_scene(rng) for _ in range(preset.batch)]
        corners = [crop_corner(rng, s, preset.crop) for s in scenes]
        pictures = picture_batch(renderer, share.rows(scenes), share.rows(corners), preset.crop)
    else:
        scenes = [sample_scene(rng) for _ in range(whole_pictures(preset))]
        pictures = picture_batch(renderer, share.rows(scenes))
    return to_tensor(pictures).contiguous(memory_format=torch.channels_last)


def whole_pictures(preset: AutoencoderPreset) -> int:
    """How many whole pictures take about as long as a batch of crops."""
    return max(1, preset.batch * preset.crop**2 // SIDE**2)


class AutoencoderStage:
    """One step of stage one, for `loop.run`."""

    def __init__(
        self,
        preset: AutoencoderPreset,
        renderer: Renderer,
        features: Features | None,
        *,
        device: str,
        bf16: bool,
        decoder_only: bool,
        share: Share = ALONE,
    ) -> None:
        share.check(preset.batch)
        if preset.full_share > 0:
            share.check(whole_pictures(preset))
        self.share = share
        self.preset, self.renderer, self.features = preset, renderer, features
        self.device, self.bf16, self.decoder_only = device, bf16, decoder_only
        self.vae = build_autoencoder(preset).to(device)
        if decoder_only:
            self.vae.encoder.requires_grad_(False)
            self.vae.quant_conv.requires_grad_(False)
        self.judge = PatchDiscriminator().to(device)
        learning = [p for p in self.vae.parameters() if p.requires_grad]
        self.ours = torch.optim.AdamW(
            learning, lr=preset.rate, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
        )
        self.theirs = torch.optim.AdamW(
            self.judge.parameters(), lr=preset.adversary_rate, betas=(0.5, 0.9), weight_decay=0.0
        )

    @property
    def model(self) -> nn.Module:
        module: nn.Module = self.vae
        return module

    @property
    def helpers(self) -> dict[str, nn.Module]:
        return {"judge": self.judge}

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.ours, self.theirs]

    def advance(self, step: int) -> loop.Figures:
        preset = self.preset
        pictures = training_batch(preset, self.renderer, step, self.share).to(self.device)
        z, kl = self._latents(pictures, step)
        with self._autocast():
            drawn = self.vae.decode(z).sample
        drawn = drawn.float()
        pixels = losses.reconstruction(drawn, pictures, preset.squares, preset.edges)
        figures = {"pixels": pixels, "kl": kl}
        wanted = pixels
        if self.features is not None and step >= preset.features_from * preset.steps:
            figures["features"] = self._distance(drawn, pictures)
            wanted = wanted + preset.features * figures["features"]
        loss = wanted + preset.kl * kl
        adversarial = preset.adversary > 0 and step >= preset.adversary_from * preset.steps
        if adversarial:
            self.judge.requires_grad_(False)
            fooled = losses.hinge_generator(self._judged(drawn))
            self.judge.requires_grad_(True)
            last = self.vae.decoder.conv_out.weight
            weight = losses.adaptive_weight(wanted, fooled, last, average=self.share.average)
            loss = loss + preset.adversary * weight * fooled
            figures["weight"] = weight
        loop.descend(loss, [self.ours], share=self.share)
        if adversarial:
            real, fake = self._judged(pictures), self._judged(drawn.detach())
            figures["judge"] = losses.hinge_discriminator(real, fake)
            loop.descend(figures["judge"], [self.theirs], share=self.share)
        return {name: value.detach() for name, value in figures.items()}

    def _latents(self, pictures: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents to decode, and their KL term."""
        noise = torch.Generator(self.device).manual_seed(step)
        with self._autocast(), torch.set_grad_enabled(not self.decoder_only):
            posterior = self.vae.encode(pictures).latent_dist
        mean, std = posterior.mean.float(), posterior.std.float()
        kl = losses.kl(mean, std)
        rows = len(mean) * self.share.count  # noise of the whole batch: a row's own does not change
        if self.decoder_only:
            strength = torch.rand(rows, 1, 1, 1, generator=noise, device=self.device)
            std, kl = self.preset.latent_noise * self.share.part(strength), kl.new_zeros(())
        drawn = torch.randn((rows, *mean.shape[1:]), generator=noise, device=self.device)
        return mean + std * self.share.part(drawn), kl

    def _distance(self, drawn: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        assert self.features is not None
        with self._autocast():
            with torch.no_grad():
                wanted = self.features(pictures)
            got = self.features(drawn)
        return losses.lpips([g.float() for g in got], [w.float() for w in wanted])

    def _judged(self, pictures: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            answers: torch.Tensor = self.judge(pictures)
        return answers.float()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.bf16)


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
    features: Features | None = None,
    log: Callable[[str], None] = print,
    share: Share = ALONE,
) -> AutoencoderKL:
    """Train, or go on training, and return the autoencoder with averaged weights.

    `folder` keeps the checkpoint, the report and a sheet of reconstructions. With `decoder_only` the encoder and
    `quant_conv` stay frozen at `start_from`, and latents are their means with a little noise.
    """
    stage = AutoencoderStage(
        preset,
        renderer,
        features,
        device=device,
        bf16=bf16,
        decoder_only=decoder_only,
        share=share,
    )
    if start_from is not None:
        stage.vae.load_state_dict(start_from)

    def every(step: int) -> loop.Figures:
        sheet = folder / "reconstructions.png"
        return reconstruction_sheet(stage.vae, renderer, sheet, device, preset.shown)

    loop.run(
        stage,
        loop.Schedule(preset.steps, preset.warmup, preset.decay_share, preset.ema),
        folder,
        device=device,
        minutes=minutes,
        every=every,
        every_minutes=6.0,
        log=log,
        share=share,
    )
    return stage.vae


@torch.no_grad()
def reconstruction_sheet(
    vae: AutoencoderKL, renderer: Renderer, path: Path, device: str = "cpu", count: int = 24
) -> dict[str, float]:
    """Save originals above reconstructions, first plain drawings, then stickers; return what is kept of each.

    The plain ones are the scenes of the model card. See `kept` for the figures.
    """
    figures: dict[str, float] = {}
    rows = []
    for name, scene in (("plain", plain_scene), ("all", sample_scene)):
        rng = np.random.default_rng(99)
        originals = picture_batch(renderer, [scene(rng) for _ in range(count)])
        pictures = to_tensor(originals).contiguous(memory_format=torch.channels_last).to(device)
        drawn = torch.cat(
            [vae.decode(vae.encode(p).latent_dist.mode()).sample for p in torch.split(pictures, 4)]
        ).clamp(-1, 1)
        figures |= {f"{name}_{key}": value for key, value in kept(drawn, pictures).items()}
        redrawn = to_uint8(drawn)
        wide = min(12, count)
        for i in range(0, count, wide):
            rows += [originals[i : i + wide], redrawn[i : i + wide]]
    save_sheet(path, np.concatenate(rows), wide)
    return figures


def kept(drawn: torch.Tensor, pictures: torch.Tensor) -> dict[str, float]:
    """`psnr`, the mean over pictures in dB (values 0..1), and `detail`, the share of the finest detail's energy:
    mean square of the difference from a 3x3 mean, drawn by wanted."""
    error = ((drawn - pictures) / 2).square().mean((1, 2, 3))
    return {
        "psnr": float((-10 * error.clamp_min(1e-10).log10()).mean()),
        "detail": float(_fine(drawn) / _fine(pictures)),
    }


def _fine(pictures: torch.Tensor) -> torch.Tensor:
    """Energy of the difference from a 3x3 mean."""
    smooth = nn.functional.avg_pool2d(pictures, 3, 1)
    return (pictures[..., 1:-1, 1:-1] - smooth).square().mean()
