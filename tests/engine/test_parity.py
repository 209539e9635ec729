"""The engine against diffusers' pipelines: same random weights, noise and sigmas, float32 on the CPU.

diffusers is run with its Euler scheduler. Where its pipelines draw random numbers in another order than we do (it
samples the VAE's posterior first), the latents of the picture are handed to it, made by its own VAE from the
posterior's mean. Sizes are not square, so that width and height cannot be mistaken for each other.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image

from tests.networks import tiny_folder
from webui.catalog.checkpoints import list_models
from webui.engine.placement import place
from webui.engine.runner import Runner, run_alone
from webui.engine.samplers import SAMPLERS
from webui.engine.schedules import SCHEDULES
from webui.engine.studio import PictureStudio
from webui.engine.tasks import TASKS
from webui.types import Decode, GenerationRequest, Parts

PARTS = Parts(TASKS, SAMPLERS, SCHEDULES)

# Of the largest value. Measured: 2.3e-5 (exponential), 1.5e-5 (x0 prediction), else below 5e-6.
TOLERANCE = 5e-5
WIDTH, HEIGHT, SEED = 96, 64, 7
PROMPT, NEGATIVE = "a red cat on the grass, zebra", "dog"


class Recording(Runner):
    """Keeps the last latent that was decoded, and the picture that came of it."""

    def run(self, calls):
        replies = super().run(calls)
        if isinstance(calls[0], Decode):
            self.latent, self.decoded = calls[0].latent, replies[0]
        return replies


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    for prediction in ("epsilon", "v_prediction", "sample"):
        tiny_folder(models / "Stable-diffusion" / prediction, prediction=prediction)
    tiny_folder(models / "Stable-diffusion" / "inpainting", inpainting=True)
    return models


@pytest.fixture(scope="module")
def runner(models):
    return Recording(lambda: list_models([models]), place("cpu", "float32", "sdpa"))


def ours(runner, task, **values):
    """The final latent [C, h, w] and the decoded picture [H, W, 3] of a task of ours."""
    given = {
        "model": "epsilon",
        "sampler_name": "Euler",
        "scheduler": "uniform",
        "steps": 10,
        "cfg_scale": 7.5,
    }
    request = GenerationRequest(
        task=task, prompt=PROMPT, negative_prompt=NEGATIVE, seed=SEED, width=WIDTH, height=HEIGHT,
        **{**given, **values})  # fmt: skip
    studio = PictureStudio(request, 0, PARTS, torch.device("cpu"))
    run_alone(TASKS[task].make(request, studio), runner)
    return runner.latent, runner.decoded


@pytest.fixture(scope="module")
def components(models):
    """What diffusers itself loads from a model's folder, by the model's name, read once each."""

    @cache
    def read(name):
        folder = models / "Stable-diffusion" / name
        pipe = StableDiffusionPipeline.from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False
        )
        return pipe.components

    return read


def pipeline(kind, components, name, **schedule):
    pipe = kind(**components(name), requires_safety_checker=False)
    pipe.scheduler = EulerDiscreteScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="linspace", **schedule
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def theirs(pipe, **values):
    """The final latent of a pipeline, with the noise of our seed."""
    given = {"num_inference_steps": 10, "guidance_scale": 7.5, "output_type": "latent"}
    return pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE,
        generator=torch.Generator("cpu").manual_seed(SEED), **{**given, **values},
    ).images[0]  # fmt: skip


def assert_same(latent, expected):
    allowed = TOLERANCE * float(expected.abs().max())
    torch.testing.assert_close(latent, expected, atol=allowed, rtol=0)


def picture():
    """A smooth picture [HEIGHT, WIDTH] with something else in every corner."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / 64.0
    return Image.fromarray(
        (np.stack([x / 2, y, (x - y) % 1], axis=-1) * 255).clip(0, 255).astype(np.uint8)
    )


def mask():
    """White cells on the grid of 8 pixels, where all ways of shrinking a mask agree."""
    white = Image.new("L", (WIDTH, HEIGHT))
    white.paste(255, (16, 24, 72, 56))
    return white


def mean_latent(pipe, pixels):
    """diffusers' VAE: the scaled mean of the posterior of pixels [1, 3, H, W]."""
    return pipe.vae.encode(pixels).latent_dist.mean.detach() * pipe.vae.config.scaling_factor


# 4 and 10 uniform steps fall on whole timesteps; 8 do not, and diffusers gets its timesteps in another way than we
@pytest.mark.parametrize(("name", "scale", "scheduler", "steps"), [
    ("epsilon", 7.5, "uniform", 10), ("epsilon", 1.0, "uniform", 4), ("epsilon", 7.5, "uniform", 8),
    ("epsilon", 7.5, "karras", 7),
    ("v_prediction", 4.0, "uniform", 10), ("v_prediction", 4.0, "exponential", 5),
    ("sample", 4.0, "uniform", 10),
])  # fmt: skip
def test_txt2img_is_diffusers(runner, components, name, scale, scheduler, steps):
    latent, decoded = ours(
        runner, "txt2img", model=name, cfg_scale=scale, scheduler=scheduler, steps=steps
    )
    pipe = pipeline(
        StableDiffusionPipeline,
        components,
        name,
        use_karras_sigmas=scheduler == "karras",
        use_exponential_sigmas=scheduler == "exponential",
    )
    same = {"width": WIDTH, "height": HEIGHT, "guidance_scale": scale, "num_inference_steps": steps}
    assert_same(latent, theirs(pipe, **same))
    picture = theirs(pipe, output_type="np", **same) * 255
    assert np.abs(decoded.numpy() - picture).max() <= 0.51  # half a level is the rounding


def test_prompts_of_several_chunks_are_diffusers_with_the_same_embeddings(runner, components):
    """diffusers cuts long prompts off, so the embeddings are handed to it, made chunk by chunk."""
    long = "red cat, " * 40
    pipe = pipeline(StableDiffusionPipeline, components, "epsilon")
    chunks = ["red cat, " * 25, "red cat, " * 15]
    cond = torch.cat([pipe.encode_prompt(part, "cpu", 1, False)[0] for part in chunks], dim=1)
    empty = pipe.encode_prompt("", "cpu", 1, False)[0]
    uncond = torch.cat([pipe.encode_prompt(NEGATIVE, "cpu", 1, False)[0], empty], dim=1)
    request = GenerationRequest(
        task="txt2img", model="epsilon", sampler_name="Euler", scheduler="uniform", steps=4, cfg_scale=7.5,
        prompt=long, negative_prompt=NEGATIVE, seed=SEED, width=WIDTH, height=HEIGHT)  # fmt: skip
    studio = PictureStudio(request, 0, PARTS, torch.device("cpu"))
    run_alone(TASKS["txt2img"].make(request, studio), runner)
    expected = pipe(
        prompt_embeds=cond.detach(), negative_prompt_embeds=uncond.detach(), width=WIDTH, height=HEIGHT,
        num_inference_steps=4, guidance_scale=7.5, output_type="latent",
        generator=torch.Generator("cpu").manual_seed(SEED),
    ).images[0]  # fmt: skip
    assert_same(runner.latent, expected)


def test_img2img_is_diffusers(runner, components):
    """Strength 0.5 of 10 steps runs 6 of them (A1111's count), which diffusers calls 0.6."""
    latent, _ = ours(runner, "img2img", image=picture(), denoising_strength=0.5)
    pipe = pipeline(StableDiffusionImg2ImgPipeline, components, "epsilon")
    start = mean_latent(pipe, pipe.image_processor.preprocess(picture()))
    assert_same(latent, theirs(pipe, image=start, strength=0.6))


@pytest.mark.parametrize("name", ["epsilon", "inpainting"])
def test_inpaint_is_diffusers(runner, components, name):
    """With a U-Net of 4 channels, and with one of 9 that sees the mask and the masked picture."""
    latent, _ = ours(
        runner,
        "inpaint",
        model=name,
        image=picture(),
        mask=mask(),
        denoising_strength=0.5,
        mask_blur=0,
    )
    pipe = pipeline(StableDiffusionInpaintPipeline, components, name)
    pixels = pipe.image_processor.preprocess(picture())
    hole = pipe.mask_processor.preprocess(mask())
    expected = theirs(
        pipe, image=mean_latent(pipe, pixels), mask_image=mask(), strength=0.6, width=WIDTH, height=HEIGHT,
        masked_image_latents=mean_latent(pipe, pixels * (hole < 0.5)),
    )  # fmt: skip
    assert_same(latent, expected)
