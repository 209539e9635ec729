"""The engine and diffusers' pipelines on the same networks: one picture each, for every family of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image

from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.tasks import TASKS
from webui.engine.text.tokenizer import clip_tokenizer
from webui.types import Decode, GenerationRequest, Parts

PARTS = Parts(TASKS, SAMPLERS, SCHEDULES)
PROMPT, NEGATIVE, SEED = "a red cat on the grass, zebra", "dog", 7
STEPS, SCALE = 6, 5.0


@dataclass(frozen=True)
class Case:
    """A kind of model: its family, what it predicts, and the task that it is for."""

    family: str
    prediction: str = "epsilon"
    zero_snr: bool = False
    inpainting: bool = False

    @property
    def task(self) -> str:
        return (
            "inpaint"
            if self.inpainting
            else "img2img"
            if self.family == "sdxl-refiner"
            else "txt2img"
        )


CASES = {
    "sd1": Case("sd1"),
    "sd1-inpainting": Case("sd1", inpainting=True),
    "sd2": Case("sd2"),
    "sd2-v": Case("sd2", "v_prediction"),
    "sdxl": Case("sdxl"),
    "sdxl-v-zero-snr": Case("sdxl", "v_prediction", zero_snr=True),
    "sdxl-inpainting": Case("sdxl", inpainting=True),
    "sdxl-refiner": Case("sdxl-refiner"),
}


class Recording(Runner):
    """Keeps the last latent that was decoded."""

    def run(self, calls):
        if isinstance(calls[0], Decode):
            self.latent = calls[0].latent
        return super().run(calls)


def ours(runner: Recording, model: str, case: Case, size: tuple[int, int], **values: Any):
    """The final latent [C, h, w] of the case's task."""
    given: dict[str, Any] = {"prompt": PROMPT, "negative_prompt": NEGATIVE}
    if case.task != "txt2img":
        given |= {"image": picture(size), "denoising_strength": 0.5}
    if case.task == "inpaint":
        given |= {"mask": mask(size), "mask_blur": 0}
    request = GenerationRequest(
        task=case.task, model=model, sampler_name="Euler", scheduler="uniform", seed=SEED, steps=STEPS,
        cfg_scale=SCALE, width=size[0], height=size[1], **{**given, **values})  # fmt: skip
    studio = PictureStudio(request, 0, PARTS, torch.device("cpu"))
    run_alone(TASKS[case.task].make(request, studio), runner)
    return runner.latent


def pipeline(case: Case, networks: Mapping[str, Any]) -> Any:
    """diffusers' pipeline for the case around `networks`."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace",
        prediction_type=case.prediction, rescale_betas_zero_snr=case.zero_snr, steps_offset=1)  # fmt: skip
    first, second = clip_tokenizer(), clip_tokenizer()
    second.pad_token = "!"
    known = {"vae": networks["vae"], "unet": networks["unet"], "scheduler": scheduler}
    if case.family in ("sd1", "sd2"):
        kind = StableDiffusionInpaintPipeline if case.inpainting else StableDiffusionPipeline
        pipe = kind(
            **known, text_encoder=networks["text_encoder"],
            tokenizer=second if case.family == "sd2" else first, safety_checker=None,
            feature_extractor=None, requires_safety_checker=False)  # fmt: skip
    else:
        refiner = case.family == "sdxl-refiner"
        known |= {
            "text_encoder": networks.get("text_encoder"), "text_encoder_2": networks["text_encoder_2"],
            "tokenizer": None if refiner else first, "tokenizer_2": second,
            "force_zeros_for_empty_prompt": not refiner, "add_watermarker": False,
        }  # fmt: skip
        if refiner:
            pipe = StableDiffusionXLImg2ImgPipeline(**known, requires_aesthetics_score=True)
        elif case.inpainting:
            pipe = StableDiffusionXLInpaintPipeline(**known)
        else:
            pipe = StableDiffusionXLPipeline(**known)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def theirs(pipe: Any, case: Case, size: tuple[int, int], **values: Any):
    """The final latent [C, h, w] of a pipeline, from the noise of our seed."""
    given: dict[str, Any] = {"prompt": PROMPT, "negative_prompt": NEGATIVE}
    if case.task == "txt2img":
        given |= {"width": size[0], "height": size[1]}
    else:  # their strength for as many steps as ours of 0.5 takes
        pixels = pipe.image_processor.preprocess(picture(size))
        given |= {"image": mean_latent(pipe, pixels), "strength": (STEPS // 2 + 1) / STEPS}
    if case.task == "inpaint":
        hole = pipe.mask_processor.preprocess(mask(size))
        seen = mean_latent(pipe, pixels * (hole < 0.5))
        given |= {
            "mask_image": mask(size),
            "masked_image_latents": seen,
            "width": size[0],
            "height": size[1],
        }
    generator = torch.Generator("cpu").manual_seed(SEED)
    return pipe(
        num_inference_steps=STEPS, guidance_scale=SCALE, output_type="latent", generator=generator,
        **{**given, **values},
    ).images[0]  # fmt: skip


def mean_latent(pipe, pixels):
    """diffusers' VAE: the scaled mean of the posterior of pixels [1, 3, H, W]."""
    pixels = pixels.to(pipe.vae.dtype)
    return pipe.vae.encode(pixels).latent_dist.mean * pipe.vae.config.scaling_factor


def picture(size):
    """A smooth picture with something else in every corner."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]] / size[1]
    colours = np.stack([x / 2, y, (x - y) % 1], axis=-1) * 255
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))


def mask(size):
    """White cells on the grid of 8 pixels, where all ways of shrinking a mask agree."""
    white = Image.new("L", size)
    white.paste(255, (16, 24, size[0] - 24, size[1] - 8))
    return white


def difference(latent, expected) -> float:
    """The largest difference, as a part of the largest value."""
    return float((latent.float() - expected.float()).abs().max() / expected.float().abs().max())


def model_file(folder: Path, name: str, layout: str) -> Path:
    """Where `write` puts a model so that it is listed as `name` (with its ending)."""
    return folder / "Stable-diffusion" / (name if layout == "folder" else f"{name}.safetensors")
