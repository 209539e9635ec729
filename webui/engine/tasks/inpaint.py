"""Inpainting: the masked part of a picture is sampled again, the rest stays what it was.

The picture outside the mask is held in every step by blending the denoised latent, which wraps any
sampler; at the end the result is laid over the original through the blurred mask, so that pixels
well outside it are the original's own.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from webui.engine.tasks.conditions import seen_by_inpainting
from webui.engine.tasks.img2img import last_sigmas
from webui.types import (
    Call,
    Decode,
    Denoised,
    Encode,
    EncodeText,
    GenerationRequest,
    LoadModel,
    Model,
    Studio,
    Task,
    TaskRun,
    controls_of,
)
from webui.types.masks import crop_box, masked, mode_of
from webui.types.shapes import placed, resized

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["INPAINT", "blend_outside", "crop_box", "fill_from_surroundings"]

FILL, ORIGINAL, LATENT_NOISE, LATENT_NOTHING = range(4)


def inpaint(request: GenerationRequest, studio: Studio) -> TaskRun:
    """Repaints where the mask is white.

    Whole picture: everything is brought to the request's size by its `resize_mode`. Only masked: the mask's
    surroundings are cut out, sampled at the request's size, and put back into the picture at its own size; where they
    cannot have the size's shape they are filled up to it (or stretched, with "Just resize"), and what was added is cut
    off again. At strength 0 the picture stays as it is, whatever the mask is to begin with.
    """
    assert request.image is not None and request.mask is not None, "defaults.complete asks for both"
    size = (request.width, request.height)
    box, hole = masked(request)
    if request.denoising_strength == 0:  # no model sees it: a VAE would change every pixel
        return request.image.copy() if box else resized(request.image, size, request.resize_mode)
    mode = mode_of(request)
    part = resized(request.image, size, mode, box)

    model = yield LoadModel(request.model)
    repainted = studio.picture((yield from repaint(request, studio, model, part, hole)))

    if box is None:
        return over(part, repainted, blurred(hole, request.mask_blur))
    shape = (box[2] - box[0], box[3] - box[1])
    place = placed(shape, size, mode)
    back = repainted.crop(place).resize(shape, Image.Resampling.LANCZOS)
    whole = request.image.copy()
    whole.paste(back, box[:2])
    soft = Image.new("L", whole.size)
    scaled = hole.crop(place).resize(back.size, Image.Resampling.BILINEAR)
    soft.paste(scaled, box[:2])
    return over(request.image, whole, blurred(soft, request.mask_blur))


def repaint(
    request: GenerationRequest, studio: Studio, model: Model, part: Image.Image, hole: Image.Image
) -> Generator[Call, Any, Tensor]:
    """Samples `part` anew where `hole` is white; both have the request's size. [H, W, 3] uint8."""
    cond = yield EncodeText(model, request.prompt, request.negative_prompt, request.clip_skip)
    if model.inpainting:
        cond = yield from seen_by_inpainting(cond, part, hole, studio)
    filled = part
    if request.inpainting_fill == FILL:
        filled = fill_from_surroundings(part, hole)
    start = yield Encode(model, studio.pixels(filled))
    sampling = studio.sampling(cond)
    sampling = replace(sampling, sigmas=last_sigmas(sampling.sigmas, request.denoising_strength))
    noise = studio.first_noise(model.latent_shape(*part.size))
    inside = latent_mask(studio.pixels(hole), model.downscale)
    if request.inpainting_fill == LATENT_NOISE:
        start = start * (1 - inside) + noise * inside
    elif request.inpainting_fill == LATENT_NOTHING:
        start = start * (1 - inside)
    run = studio.sample(sampling, start + noise * sampling.sigmas[0])
    if not model.inpainting:  # an inpainting UNet sees the rest of the picture itself
        run = blend_outside(run, start, inside)
    latent = yield from run
    decoded: Tensor = yield Decode(model, latent)
    return decoded


def blend_outside(
    sampling: Generator[Call, Any, Tensor], start: Tensor, inside: Tensor
) -> Generator[Call, Any, Tensor]:
    """Forwards the calls of `sampling`, but every denoised latent is `start` where `inside` is 0.

    A deterministic sampler then carries `start` plus the first noise at each step's level there, which
    is what RePaint and diffusers lay over the latent after each step.
    """
    reply: Any = None
    try:
        while True:
            reply = yield sampling.send(reply)
            if isinstance(reply, Denoised):
                reply = replace(reply, denoised=start * (1 - inside) + reply.denoised * inside)
    except StopIteration as stop:
        final: Tensor = stop.value
        return final
    finally:
        sampling.close()


def latent_mask(hole: Tensor, downscale: int) -> Tensor:
    """[1, H, W] in 0..1 to [1, h, w] of 0 and 1: a cell is repainted when any of its pixels is."""
    _, height, width = hole.shape
    cells = hole.reshape(1, height // downscale, downscale, width // downscale, downscale)
    return (cells.amax(dim=(2, 4)) > 0.5).float()


def blurred(mask: Image.Image, radius: int) -> Image.Image:
    """The mask with a Gaussian edge of `radius` pixels standard deviation."""
    return mask.filter(ImageFilter.GaussianBlur(radius)) if radius else mask


def over(below: Image.Image, above: Image.Image, mask: Image.Image) -> Image.Image:
    """`above` where `mask` is white, `below` to the bit where it is black."""
    return Image.composite(above, below, mask)


def fill_from_surroundings(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The masked part filled with the colours around it: normalised Gaussian blurs of what is known,
    the widest first, each narrower one laid over where it still reaches. No mask, no change."""
    known = ImageChops.invert(mask)
    masked = Image.composite(picture, Image.new("RGB", picture.size), known)
    filled = _average(masked, known)
    for radius in (64, 32, 16, 8, 4, 2):
        blur = ImageFilter.GaussianBlur(radius)
        weight = np.asarray(known.filter(blur), dtype=np.float32)[..., None]
        colour = np.asarray(masked.filter(blur), dtype=np.float32) * 255 / np.maximum(weight, 1)
        reach = np.minimum(
            weight / 32, 1
        )  # below an eighth of white the quotient is mostly rounding
        filled += (np.minimum(colour, 255) - filled) * reach
    return Image.composite(picture, Image.fromarray(filled.round().astype(np.uint8)), known)


def _average(masked: Image.Image, known: Image.Image) -> NDArray[np.float32]:
    """The mean colour of what is known, at every pixel [H, W, 3]; mid grey where nothing is."""
    weight = np.asarray(known, dtype=np.float32).sum() / 255
    total = np.asarray(masked, dtype=np.float32).sum(axis=(0, 1))
    mean = total / weight if weight else np.full(3, 127.5, dtype=np.float32)
    return np.broadcast_to(mean, (masked.height, masked.width, 3)).astype(np.float32)


INPAINT = Task(
    name="inpaint",
    label="Inpaint",
    make=inpaint,
    controls=controls_of("inpaint"),
    info="Paint over what should change; the prompt says what comes there.",
)
