"""One sampling of ours with an extension, and the same one by a diffusers pipeline: same random weights, noise,
prompts and sigmas, float32 on the CPU, Euler. The size is not square, so that width and height cannot be mistaken."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.engine.placement import place
from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.tasks import TASKS
from webui.types import Decode, GenerationRequest, Parts

WIDTH, HEIGHT, SEED, STEPS = 128, 64, 7, 6
PROMPT, NEGATIVE = "a red cat on the grass", "dog"
TOLERANCE = 5e-5  # of the largest value; measured: 4.4e-6 at most
PARTS = Parts(TASKS, SAMPLERS, SCHEDULES)


def tiny_model(root: Path, prediction: str = "epsilon") -> Path:
    """A models folder with one tiny random model, `tiny`."""
    tiny_folder(root / "Stable-diffusion" / "tiny", prediction=prediction)
    return root


class Recording(Runner):
    """Keeps the last latent that was decoded."""

    def run(self, calls):
        if isinstance(calls[0], Decode):
            self.latent = calls[0].latent
        return super().run(calls)


def ours(models: Path, parts: Parts = PARTS, **values):
    """The final latent [C, h, w] of text to image with an extension's parts; `values` are the request's."""
    runner = Recording(lambda: list_models([models]), place("cpu", "float32", "sdpa"))
    given = {"sampler_name": "Euler", "scheduler": "uniform", "cfg_scale": 4.0, "steps": STEPS}
    request = GenerationRequest(
        task="txt2img", model="tiny", prompt=PROMPT, negative_prompt=NEGATIVE, seed=SEED, width=WIDTH, height=HEIGHT,
        **{**given, **values},
    )  # fmt: skip
    studio = PictureStudio(request, 0, parts, torch.device("cpu"))
    run_alone(TASKS["txt2img"].make(request, studio), runner)
    return runner.latent


def pipeline(models: Path, kind=StableDiffusionPipeline, **given):
    """diffusers' pipeline on the same weights."""
    pipe = kind.from_pretrained(
        models / "Stable-diffusion" / "tiny",
        local_files_only=True,
        low_cpu_mem_usage=False,
        **given,
    )
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="linspace"
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def theirs(pipe, scale: float, **given):
    """The pipeline's final latent [C, h, w]."""
    return pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, width=WIDTH, height=HEIGHT, guidance_scale=scale,
        num_inference_steps=STEPS, generator=torch.Generator("cpu").manual_seed(SEED), output_type="latent",
        **given,
    ).images[0]  # fmt: skip


def difference(one, other) -> float:
    """The largest difference of two latents, of the largest value."""
    return float((one - other).abs().max() / other.abs().max())
