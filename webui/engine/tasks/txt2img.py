"""Text to image: from noise, by the prompt."""

from __future__ import annotations

from webui.engine.tasks.conditions import condition
from webui.types import Decode, GenerationRequest, LoadModel, Studio, Task, TaskRun, controls_of

__all__ = ["TXT2IMG"]


def txt2img(request: GenerationRequest, studio: Studio) -> TaskRun:
    """One picture of `request.width` x `request.height` from the noise of its seed."""
    model = yield LoadModel(request.model)
    cond = yield from condition(request, model, studio)
    sampling = studio.sampling(cond)
    noise = studio.first_noise(model.latent_shape(request.width, request.height))
    latent = yield from studio.sample(sampling, noise * sampling.sigmas[0])
    return (yield Decode(model, latent))


TXT2IMG = Task(
    name="txt2img",
    label="Text to image",
    make=txt2img,
    controls=controls_of("txt2img"),
    info="Write what you want to see.",
)
