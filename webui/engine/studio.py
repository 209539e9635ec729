"""What a task may ask for while it runs (`webui.types.Studio`): schedules, noise, sampling, pixels.

Drives a sampler's generator: each `(x, sigma)` that it yields becomes a `Denoise` call of the task, which goes
through the denoise wrappers, and the reply goes back as the denoised latent. Makes no device call itself.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from webui.engine import guidance
from webui.engine.noise import Noise, between
from webui.engine.schedules import resolve
from webui.types import (
    UNCOND,
    Animation,
    Call,
    Condition,
    Denoise,
    Denoised,
    GenerationRequest,
    Model,
    Parts,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["PictureStudio", "as_picture", "as_task"]


class PictureStudio:
    """One picture's studio. `index` is its place in the job; its seed is the request's plus that.

    `wrapped` are the names of the denoise wrappers that stood around a call so far.
    """

    def __init__(
        self,
        request: GenerationRequest,
        index: int,
        parts: Parts,
        device: torch.device,
    ) -> None:
        self.wrapped: set[str] = set()
        self._request = request
        self._index = index
        self._parts = parts
        self._device = device
        self._noise = Noise(self.seed, device)

    @property
    def index(self) -> int:
        return self._index

    @property
    def seed(self) -> int:
        return self._request.seed_of(self._index)

    def sigmas(self, model: Model, scheduler: str, steps: int) -> list[float]:
        sampler = self._parts.samplers[self._request.sampler_name]
        schedule = resolve(scheduler, sampler, self._parts.schedules)
        return schedule.make(steps, model.sigmas[0], model.sigmas[-1], model.sigmas)

    def noise(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        self._noise = Noise(seed, self._device)
        first = self._noise(shape)
        strength = self._request.subseed_strength
        if not strength or seed != self.seed:
            return first
        other = Noise(self._request.subseed_of(self._index), self._device)(shape)
        return between(first, other, strength)

    def sample(
        self,
        sampler_name: str,
        x: Tensor,
        sigmas: Sequence[float],
        cond: Condition,
        *,
        part: tuple[int, int] = (0, 1),
    ) -> Generator[Call, Any, Tensor]:
        cond = yield from self._prepared(cond, x.shape)
        request, shape = self._request, x.shape
        sampler = self._parts.samplers[sampler_name]
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
                call = Denoise(
                    cond.model,
                    x,
                    sigma,
                    both if UNCOND in wants else plain,
                    cond.inputs,
                    cond.patches,
                    tuple(
                        adapter
                        for adapter in cond.control_networks
                        if adapter.start <= index / steps and (index + 1) / steps <= adapter.end
                    ),
                    step=part[0] * steps + index,
                    steps=part[1] * steps,
                    size_conditioning=cond.size_conditioning,
                )
                denoised: Denoised = yield from self._wrap(
                    call, 0, replace(call, separate=bool(wants))
                )
                reply = (denoised.denoised, denoised.uncond) if wants else denoised.denoised
        except StopIteration as stop:
            final: Tensor = stop.value
            return final
        finally:
            run.close()

    def _prepared(self, cond: Condition, shape: Sequence[int]) -> Generator[Call, Any, Condition]:
        """`cond` as the conditioners leave it."""
        scale = cond.model.downscale
        cond = replace(cond, size=(shape[-1] * scale, shape[-2] * scale))
        for conditioner in self._parts.conditioners:
            if self._request.task in conditioner.tasks or not conditioner.tasks:
                changed = yield from as_task(conditioner.prepare(self._request, self, cond))
                cond = cond if changed is None else changed
        return cond

    def _wrap(
        self, call: Denoise, first: int, plain: Denoise | None = None
    ) -> Generator[Call, Any, Denoised]:
        """The reply to `call` through the wrappers from number `first` on; each may yield further calls. `plain` is
        what the engine is asked where none of them wraps it."""
        wrappers = self._parts.wrappers
        answer = None
        while answer is None:
            if first == len(wrappers):
                passed: Denoised = yield plain or call
                return passed
            wrapper, first = wrappers[first], first + 1
            answer = wrapper.wrap(call, self._request)
        self.wrapped.add(wrapper.name)
        if isinstance(answer, Denoised):
            return answer
        reply: Any = None
        try:
            while True:
                inner = answer.send(reply)
                if isinstance(inner, Denoise):
                    reply = yield from self._wrap(inner, first)
                else:
                    reply = yield inner
        except StopIteration as stop:
            result: Denoised = stop.value
            return result
        finally:
            answer.close()

    def upscale(self, name: str, picture: Picture, scale: float) -> Generator[Call, Any, Picture]:
        size = (round(picture.width * scale), round(picture.height * scale))
        upscaler = self._parts.upscalers[name]
        larger = yield from as_task(upscaler.upscale(picture, scale, self))
        result: Picture = larger.convert("RGB")
        return result if result.size == size else result.resize(size, Image.Resampling.LANCZOS)

    def pixels(self, picture: Picture) -> Tensor:
        grey = picture.mode == "L"
        array = np.asarray(picture if grey else picture.convert("RGB"), dtype=np.float32) / 255
        tensor = torch.from_numpy(array)
        tensor = tensor[None] if grey else tensor.permute(2, 0, 1) * 2 - 1
        return tensor.contiguous().to(self._device)

    def picture(self, decoded: Tensor) -> Picture:
        picture = as_picture(decoded)
        assert not isinstance(picture, Animation)
        return picture


def as_picture(result: Tensor | Picture | Animation) -> Picture | Animation:
    """What a task returned, as RGB: a picture or animation already, a `Decode` reply [H, W, 3] uint8, or
    pixels [3, H, W] in -1..1."""
    if isinstance(result, Animation):
        return replace(result, frames=tuple(frame.convert("RGB") for frame in result.frames))
    if not isinstance(result, Tensor):
        return result.convert("RGB")
    if result.is_floating_point():
        levels = ((result.detach() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        result = levels.permute(1, 2, 0)
    return Image.fromarray(result.cpu().contiguous().numpy())


def as_task(run: Any) -> Generator[Call, Any, Any]:
    """Runs a task to its end; a plain function's result is passed on as it is."""
    if not isinstance(run, Generator):
        return run
    return (yield from run)
