"""Image to image: the given picture, noised as far as the strength says, then sampled again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webui.engine.tasks.conditions import condition
from webui.types import (
    Decode,
    Encode,
    GenerationRequest,
    LoadModel,
    Studio,
    Task,
    TaskRun,
    controls_of,
)
from webui.types.shapes import resized

__all__ = ["IMG2IMG", "last_sigmas"]


def img2img(request: GenerationRequest, studio: Studio) -> TaskRun:
    """One picture of `request.width` x `request.height`; the given one is brought to it by `request.resize_mode`. At
    strength 0 that is all."""
    assert request.image is not None, "defaults.complete asks for a picture"
    size = (request.width, request.height)
    source = resized(request.image, size, request.resize_mode)
    if request.denoising_strength == 0:  # no model sees it: a VAE would change every pixel
        return source
    model = yield LoadModel(request.model)
    cond = yield from condition(request, model, studio)
    sampling = studio.sampling(cond)
    sampling = replace(sampling, sigmas=last_sigmas(sampling.sigmas, request.denoising_strength))
    start = yield Encode(model, studio.pixels(source))
    noise = studio.first_noise(model.latent_shape(*size))
    latent = yield from studio.sample(sampling, start + noise * sampling.sigmas[0])
    return (yield Decode(model, latent))


def last_sigmas(sigmas: Sequence[float], strength: float) -> Sequence[float]:
    """The end of a schedule that img2img runs: `int(min(strength, 0.999) * steps) + 1` steps."""
    steps = len(sigmas) - 1
    return sigmas[steps - int(min(strength, 0.999) * steps) - 1 :]


IMG2IMG = Task(
    name="img2img",
    label="Image to image",
    make=img2img,
    controls=controls_of("img2img"),
    info="Give a picture; the prompt says what it should become.",
)
