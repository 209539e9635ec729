"""Everything a run of `launch.py train` depends on, but the machine: `starter` is what is shipped, `tiny` is for
looking at every stage in ten minutes."""

from dataclasses import dataclass, field

from webui.training.autoencoder import AutoencoderPreset
from webui.training.classifier import ClassifierPreset, judge_preset
from webui.training.diffusion import DiffusionPreset
from webui.training.export import Defaults


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset of each stage. `prompts` says how many of each question the evaluation asks; None: as many as usual."""

    features: ClassifierPreset = field(default_factory=ClassifierPreset)
    autoencoder: AutoencoderPreset = field(default_factory=AutoencoderPreset)
    diffusion: DiffusionPreset = field(default_factory=DiffusionPreset)
    decoder: AutoencoderPreset = field(
        default_factory=lambda: AutoencoderPreset(
            steps=3000,
            full_share=0.2,
            features_from=0.0,
            adversary_from=0.05,
            latent_noise=0.1,
            seed=11,
        )
    )
    judge: ClassifierPreset = field(default_factory=judge_preset)
    whitened: int = 512  # scenes that the latents are standardised with
    captions: int = 30000  # that the tokenizer learns from
    judged: int = 1000  # renders that the judge is judged by
    prompts: dict[str, int] | None = None
    defaults: Defaults = field(
        default_factory=lambda: Defaults(steps=6, scheduler="sgm_uniform", cfg_scale=2.5)
    )


def starter() -> Preset:
    """The shipped model: about four hours of two cores."""
    return Preset()


def tiny() -> Preset:
    """Every stage in ten minutes of two cores. Its pictures show colours and blots."""
    widths, steps = (16, 16, 32, 32), 500
    return Preset(
        features=ClassifierPreset((8, 16, 32, 48, 64), steps=150, batch=16, warmup=20),
        autoencoder=AutoencoderPreset(
            widths, latent_channels=8, steps=steps, batch=4, warmup=20, ema=0.98
        ),
        diffusion=DiffusionPreset(
            widths=(32, 64, 96),
            text_width=96,
            latent_channels=8,
            scenes=2000,
            steps=steps,
            warmup=20,
            ema=0.98,
        ),
        decoder=AutoencoderPreset(
            widths,
            latent_channels=8,
            steps=100,
            batch=4,
            warmup=20,
            ema=0.98,
            features_from=0.0,
            adversary_from=0.2,
            latent_noise=0.1,
            seed=11,
        ),
        judge=ClassifierPreset(
            (16, 32, 48, 64), fine=False, steps=250, batch=32, warmup=20, seed=13
        ),
        whitened=128,
        prompts={"one": 40, "words": 40, "two": 20, "colour": 20},
    )


PRESETS = {"starter": starter, "tiny": tiny}
