"""What a task may ask for while it runs (`webui.types.Studio`): schedules, noise, sampling, pixels.

Drives a sampler's generator: each `(x, sigma)` that it yields becomes a `Denoise` call of the task, and
the reply goes back as the denoised latent. Makes no device call itself.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from webui.engine import guidance
from webui.engine.noise import Noise
from webui.engine.schedules import resolve
from webui.types import (
    UNCOND,
    Call,
    Condition,
    Denoise,
    Denoised,
    GenerationRequest,
    Model,
    Sampler,
    Schedule,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["PictureStudio", "as_picture"]


class PictureStudio:
    """One picture's studio. `index` is its place in the job; its seed is the request's plus that."""

    def __init__(
        self,
        request: GenerationRequest,
        index: int,
        samplers: Mapping[str, Sampler],
        schedules: Mapping[str, Schedule],
        device: torch.device,
    ) -> None:
        self._request = request
        self._index = index
        self._samplers = samplers
        self._schedules = schedules
        self._device = device
        self._noise = Noise(self.seed, device)

    @property
    def index(self) -> int:
        return self._index

    @property
    def seed(self) -> int:
        return self._request.seed_of(self._index)

    def sigmas(self, model: Model, scheduler: str, steps: int) -> list[float]:
        sampler = self._samplers[self._request.sampler_name]
        schedule = resolve(scheduler, sampler, self._schedules)
        return schedule.make(steps, model.sigmas[0], model.sigmas[-1], model.sigmas)

    def noise(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        self._noise = Noise(seed, self._device)
        return self._noise(shape)

    def sample(
        self, sampler_name: str, x: Tensor, sigmas: Sequence[float], cond: Condition
    ) -> Generator[Call, Any, Tensor]:
        request, shape = self._request, x.shape
        sampler = self._samplers[sampler_name]
        given = {"eta": request.eta}
        options = {k: given[k] for k in sampler.options if given.get(k) is not None}
        run = sampler.make(x, sigmas, lambda sigma, sigma_next: self._noise(shape), **options)
        plain = guidance.rows(cond.text, request.cfg_scale)
        both = guidance.rows(cond.text, request.cfg_scale, want_uncond=True)
        index, steps = 0, len(sigmas) - 1
        reply: Any = None
        try:
            while True:
                x, sigma, *wants = run.send(reply)
                while index + 1 < steps and sigmas[index + 1] >= sigma:
                    index += 1
                denoised: Denoised = yield Denoise(
                    cond.model,
                    x,
                    sigma,
                    both if UNCOND in wants else plain,
                    cond.inputs,
                    cond.patches,
                    step=index,
                    steps=steps,
                )
                reply = (denoised.denoised, denoised.uncond) if wants else denoised.denoised
        except StopIteration as stop:
            final: Tensor = stop.value
            return final
        finally:
            run.close()

    def pixels(self, picture: Picture) -> Tensor:
        grey = picture.mode == "L"
        array = np.asarray(picture if grey else picture.convert("RGB"), dtype=np.float32) / 255
        tensor = torch.from_numpy(array)
        tensor = tensor[None] if grey else tensor.permute(2, 0, 1) * 2 - 1
        return tensor.contiguous().to(self._device)

    def picture(self, decoded: Tensor) -> Picture:
        return as_picture(decoded)


def as_picture(result: Tensor | Picture) -> Picture:
    """What a task returned, as an RGB picture: a `Decode` reply [H, W, 3] uint8 or a picture already."""
    if isinstance(result, Tensor):
        return Image.fromarray(result.cpu().numpy())
    return result.convert("RGB")
