"""A request: everything that one accepted job needs to know, frozen and complete."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from webui.errors import RequestError
from webui.types.controls import PROMPT_MAX, SEED_MAX
from webui.types.values import has_picture, plain

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "CFG_MAX",
    "CLIP_SKIP_MAX",
    "FILLS",
    "MISSING",
    "PICTURES_MAX",
    "SIZE_MAX",
    "SIZE_MIN",
    "SIZE_STEP",
    "STEPS_MAX",
    "GenerationRequest",
]

CLIP_SKIP_MAX = 12
SIZE_MIN, SIZE_MAX, SIZE_STEP = 64, 2048, 8
STEPS_MAX, CFG_MAX, PICTURES_MAX = 150, 30.0, 16
MISSING = ("refuse", "warn")  # what a tag without a file does
FILLS = ("fill", "original", "latent noise", "latent nothing")  # A1111's numbers 0 to 3


def _whole(name: str, value: object, low: int, high: int, what: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name} {value!r}: give a whole number from {low} to {high}", name)
    if not low <= value <= high:
        raise RequestError(f"{name} {value}: use {low} to {high}{what}", name)


def _number(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or value in (math.inf, -math.inf) or value != value:  # the last is NaN
        raise RequestError(f"{name} {value!r}: give a number from {low:g} to {high:g}", name)
    assert isinstance(value, int | float)
    if not low <= value <= high:
        raise RequestError(f"{name} {value!r}: use {low:g} to {high:g}", name)


def _size(name: str, value: object) -> None:
    _whole(name, value, SIZE_MIN, SIZE_MAX, f" in steps of {SIZE_STEP}")
    assert isinstance(value, int)
    if value % SIZE_STEP:
        low = value - value % SIZE_STEP
        near = " or ".join(str(v) for v in (low, low + SIZE_STEP) if SIZE_MIN <= v <= SIZE_MAX)
        raise RequestError(f"{name} {value}: use a multiple of {SIZE_STEP} ({near})", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One accepted request, complete: no value is left open and nothing reads settings after it.

    Picture `i` of `batch_size` has seed `seed + i`; with a `subseed_strength` above 0 all have `seed`, and picture `i`
    has that much of the noise of `subseed + i` in it. `clip_skip` is how many layers from the text encoder's end are
    read, as A1111 counts: 1 is the last. `vae` is "automatic" (the one that goes with the model), "none" (the one
    inside it) or a file's name in models/VAE. `missing` is what a LoRA's or hypernetwork's tag does whose file is not
    here: "refuse" the request, or "warn": the picture is made without it and says so. `image` is RGB, `mask` is L
    (white = repaint) and of the image's size.
    Names in `model`, `sampler_name` and `scheduler` are the registries' own spelling.
    `extras` are the values of extensions' controls by name: plain JSON and pictures, whatever was given (a tuple is a
    list). A value out of range raises `RequestError` with its field; `dataclasses.replace` checks again.
    """

    task: str
    model: str
    sampler_name: str
    seed: int
    steps: int
    cfg_scale: float
    width: int
    height: int
    prompt: str = ""
    negative_prompt: str = ""
    scheduler: str = "automatic"
    batch_size: int = 1
    eta: float | None = None  # None: the sampler's own
    subseed: int = 0
    subseed_strength: float = 0.0
    clip_skip: int = 1
    vae: str = "automatic"
    missing: str = "refuse"
    image: Image | None = None
    mask: Image | None = None
    denoising_strength: float = 0.75
    mask_blur: int = 4
    inpainting_fill: int = 1
    inpaint_full_res: bool = False
    inpaint_full_res_padding: int = 32
    inpainting_mask_invert: bool = False
    extras: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name in (
            "prompt",
            "negative_prompt",
            "model",
            "sampler_name",
            "scheduler",
            "task",
            "vae",
        ):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise RequestError(f"{name} {value!r}: give text", name)
            if len(value) > PROMPT_MAX:
                raise RequestError(
                    f"{name}: {len(value)} characters; use at most {PROMPT_MAX}", name
                )
        _size("width", self.width)
        _size("height", self.height)
        _whole("steps", self.steps, 1, STEPS_MAX)
        _whole("batch_size", self.batch_size, 1, PICTURES_MAX)
        _whole("seed", self.seed, 0, SEED_MAX - PICTURES_MAX, " (-1 draws one)")
        _number("cfg_scale", self.cfg_scale, 0, CFG_MAX)
        _number("denoising_strength", self.denoising_strength, 0, 1)
        _whole("subseed", self.subseed, 0, SEED_MAX - PICTURES_MAX, " (-1 draws one)")
        _number("subseed_strength", self.subseed_strength, 0, 1)
        _whole("clip_skip", self.clip_skip, 1, CLIP_SKIP_MAX)
        if self.missing not in MISSING:
            raise RequestError(f"missing {self.missing!r}: use {' or '.join(MISSING)}", "missing")
        if self.eta is not None:
            _number("eta", self.eta, 0, 1)
        _whole("mask_blur", self.mask_blur, 0, 64)
        _whole("inpainting_fill", self.inpainting_fill, 0, len(FILLS) - 1)
        _whole("inpaint_full_res_padding", self.inpaint_full_res_padding, 0, 256)
        for name in ("inpaint_full_res", "inpainting_mask_invert"):
            if not isinstance(getattr(self, name), bool):
                raise RequestError(f"{name} {getattr(self, name)!r}: give true or false", name)
        object.__setattr__(self, "extras", MappingProxyType(_extras(self.extras)))

    def without_pictures(self) -> GenerationRequest:
        """The same request, light enough to be kept: pictures, those in `extras` too, are None."""
        extras = {k: None if has_picture(v) else v for k, v in self.extras.items()}
        return replace(self, image=None, mask=None, extras=MappingProxyType(extras))

    def value_of(self, control: str) -> Any:
        """The value of a control: the field of that name, or what `extras` has; None where nobody gave one."""
        own = control in self.__dataclass_fields__ and control != "extras"
        return getattr(self, control) if own else self.extras.get(control)

    def seed_of(self, index: int) -> int:
        """The seed of picture `index`."""
        return self.seed if self.subseed_strength else self.seed + index

    def subseed_of(self, index: int) -> int:
        """The seed of the noise that is mixed into that of picture `index`."""
        return self.subseed + index


def _extras(given: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise RequestError(f"extras {given!r}: give a JSON object", "extras")
    found = {}
    for name, value in given.items():
        try:
            found[name] = plain(value)
        except ValueError as wrong:
            raise RequestError(f"{name} holds {wrong}", name) from None
    return found
