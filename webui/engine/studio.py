"""What a task may ask for while it runs (`webui.types.Studio`): schedules, noise, sampling, pixels.

Drives a sampler's generator: each `(x, sigma)` that it yields becomes a `Denoise` call of the task, which goes
through the denoise wrappers, and the reply goes back as the denoised latent. Makes no device call itself.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from webui.engine import guidance
from webui.engine.conditions import same_length, with_residuals
from webui.engine.noise import Draws, between, source
from webui.engine.schedules import resolve
from webui.errors import EaselError, RequestError, Sentence
from webui.types import (
    UNCOND,
    Animation,
    Artifact,
    BrownianNoise,
    Call,
    Condition,
    Denoise,
    Denoised,
    File,
    GenerationRequest,
    Model,
    NormalNoise,
    Parts,
    Sampler,
    Sampling,
    Schedule,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

__all__ = ["PictureStudio", "as_artifact", "as_picture", "as_task", "gone"]


class PictureStudio:
    """One picture's studio. `index` is its place in the job; its seed is the request's plus that.

    `interrupted` is asked after each step whether its sampling ends with that; `broken_off` is the first step after
    which one did, and of how many. `wrapped` are the names of the denoise wrappers that stood around a call so far,
    `samplers` those of the samplers that were run, `schedules` those of the schedules that were asked.
    """

    def __init__(
        self,
        request: GenerationRequest,
        index: int,
        parts: Parts,
        device: torch.device,
        folder: Callable[[], Path] | None = None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.broken_off: tuple[int, int] | None = None
        self._interrupted = interrupted
        self._left: Tensor | None = None  # what a sampling that was broken off gave
        self.wrapped: set[str] = set()
        self.samplers: set[str] = set()
        self.schedules: set[str] = set()
        self._automatic: set[str] = set()  # the schedules that "automatic" was resolved to
        self._request = request
        self._index = index
        self._parts = parts
        self._device = device
        self._conditioners = [
            one for one in parts.conditioners if request.task in one.tasks or not one.tasks
        ]
        self._folder = folder

    @property
    def index(self) -> int:
        return self._index

    @property
    def folder(self) -> Path:
        if self._folder is None:
            raise EaselError(Sentence("there is no folder for files here"))
        return self._folder()

    @property
    def seed(self) -> int:
        return self._request.seed_of(self._index)

    def sigmas(
        self,
        model: Model,
        scheduler: str,
        steps: int,
        sampler: str,
        options: Mapping[str, Any] | None = None,
    ) -> list[float]:
        schedule = self._schedule(scheduler, sampler)
        self.schedules.add(schedule.name)
        if scheduler == "automatic":
            self._automatic.add(schedule.name)
        levels = model.sigmas
        given = read_options(schedule, self._asked(schedule, options or {}))
        return schedule.make(steps, levels[0], levels[-1], levels, **given)

    @property
    def scheduler(self) -> str:
        """The schedule that the request's is here. "automatic" stays where it came to another than the request's own
        sampler has, for one name would not give these samplings again."""
        request = self._request
        own = self._schedule(request.scheduler, request.sampler_name).name
        return own if self._automatic <= {own} else request.scheduler

    def noise(
        self, seed: int, shape: tuple[int, ...], *, subseed: int = 0, strength: float = 0.0
    ) -> Tensor:
        first = Draws(seed, self._device)(shape)
        if not strength:
            return first
        return between(first, Draws(subseed, self._device)(shape), strength)

    def first_noise(self, shape: tuple[int, ...]) -> Tensor:
        subseed, strength = self._request.subseed_of(self._index), self._request.subseed_strength
        return self.noise(self.seed, shape, subseed=subseed, strength=strength)

    def sampling(
        self,
        cond: Condition,
        *,
        sampler: str | None = None,
        scheduler: str | None = None,
        steps: int | None = None,
        sigmas: Sequence[float] | None = None,
        guidance_scale: float | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int | None = None,
    ) -> Sampling:
        request = self._request
        name = request.sampler_name if sampler is None else sampler
        chosen, given = self._sampler(name), dict(options or {})
        if sigmas is None:
            scheduler = request.scheduler if scheduler is None else scheduler
            steps = request.steps if steps is None else steps
            known = names_of(self._schedule(scheduler, name))
            of_schedule = {key: value for key, value in given.items() if key in known}
            sigmas = self.sigmas(cond.model, scheduler, steps, name, of_schedule)
            given = {k: v for k, v in given.items() if k in names_of(chosen) or k not in known}
        seed = self.seed if seed is None else seed
        brownian = chosen.noise == "brownian"
        return Sampling(
            sampler=name,
            sigmas=sigmas,
            conditions=(cond,),
            guidance_scale=request.cfg_scale if guidance_scale is None else guidance_scale,
            options=self._asked(chosen, given),
            noise=BrownianNoise(seed) if brownian else NormalNoise(seed),
        )

    def _asked(self, part: Sampler | Schedule, options: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a part's options: those of the request, then `options`, without what neither says."""
        asked = {one.name: self._request.value_of(one.name) for one in part.options}
        asked |= options
        return {name: value for name, value in asked.items() if value is not None}

    def _sampler(self, name: str) -> Sampler:
        if name not in self._parts.samplers:
            raise gone("sampler", name, "sampler_name")
        return self._parts.samplers[name]

    def _schedule(self, scheduler: str, sampler: str) -> Schedule:
        try:
            return resolve(scheduler, self._sampler(sampler), self._parts.schedules)
        except KeyError as missing:
            raise gone("schedule", missing.args[0], "scheduler") from missing

    def sample(self, sampling: Sampling, x: Tensor) -> Generator[Call, Any, Tensor]:
        if self._left is not None and x is self._left:  # the rest of what was broken off
            return x
        sampler, levels = self._sampler(sampling.sampler), list(sampling.levels)
        options = read_options(sampler, sampling.options)
        self.samplers.add(sampler.name)
        prepared = []
        for cond in sampling.conditions:
            cond = yield from self._prepared(cond, x.shape)
            prepared.append((yield from with_residuals(cond)))
        conditions = yield from same_length(prepared)
        made = range(sampling.start, sampling.start + len(levels) - 1)
        plan = guidance.Plan(conditions, sampling.guidance_scale, sampling.steps, made)
        noise = source(sampling.noise, x.shape, self._device)
        run = sampler.make(x, levels, noise, **options)
        step, reply = 0, None
        try:
            while True:
                x, sigma, *wants = run.send(reply)
                while step + 1 < len(made) and levels[step + 1] >= sigma:
                    step += 1
                cond, rows = plan.at(made[step], UNCOND in wants)
                call = Denoise(
                    cond.model,
                    x,
                    sigma,
                    rows,
                    cond.inputs,
                    cond.patches,
                    guidance.controlling(cond, made[step], sampling.steps),
                    step=sampling.done + step,
                    steps=sampling.total or len(made),
                    size_conditioning=cond.size_conditioning,
                )
                denoised: Denoised = yield from self._wrap(
                    call, 0, replace(call, separate=bool(wants))
                )
                if call.step + 1 < call.steps and self._interrupted():
                    self.broken_off = self.broken_off or (call.step + 1, call.steps)
                    self._left = denoised.denoised
                    return self._left
                reply = (denoised.denoised, denoised.uncond) if wants else denoised.denoised
        except StopIteration as stop:
            final: Tensor = stop.value
            return final
        finally:
            run.close()

    def same_length(self, *conditions: Condition) -> Generator[Call, Any, tuple[Condition, ...]]:
        return (yield from same_length(conditions))

    def _prepared(self, cond: Condition, shape: Sequence[int]) -> Generator[Call, Any, Condition]:
        """`cond` as the conditioners leave it."""
        scale = cond.model.downscale
        cond = replace(cond, size=(shape[-1] * scale, shape[-2] * scale))
        for conditioner in self._conditioners:
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


def names_of(part: Sampler | Schedule) -> Set[str]:
    """The names of a sampler's or schedule's options."""
    return {control.name for control in part.options}


def read_options(part: Sampler | Schedule, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a sampler's or schedule's `make` gets by name, each as its control reads it."""
    known = {control.name: control for control in part.options}
    for name in given:
        if name not in known:
            kind, has = type(part).__name__.lower(), ", ".join(known) or "none"
            raise ValueError(f"{kind} {part.name!r} has no option {name!r}; it has: {has}")
    return {name: known[name].read(value) for name, value in given.items() if value is not None}


def as_artifact(result: Tensor | Picture | Animation | File, studio: PictureStudio) -> Artifact:
    """What a task returned: a picture as in `as_picture`, or a file, which lies in the folder of its `studio`."""
    if not isinstance(result, File):
        return as_picture(result)
    path = result.content
    if isinstance(path, Path):
        folder = studio.folder.resolve()
        if folder not in path.resolve().parents or not path.is_file():
            raise EaselError(
                Sentence(
                    "the task gave {path}, which is no file in the folder that it was given",
                    path=path,
                )
            )
    return result


def gone(kind: str, name: str, field: str) -> RequestError:
    """Why a job of an earlier start, or of a task that names it, cannot be made."""
    return RequestError(
        Sentence(
            "there is no {kind} {name}: switch on the extension that brings it, or ask for another",
            kind=kind,
            name=repr(name),
        ),
        field,
    )


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
