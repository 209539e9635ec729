"""The frozen values that cross layers: requests, controls, calls, replies, samplers, tasks, job states.

Nothing here imports torch: the page builds on this module before torch is loaded. Tensors appear in
annotations only. Shapes: C latent channels, h = H/8 and w = W/8 of a picture of W x H pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from webui.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

# --- Controls: what a task asks of its user, as data --------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One value that a person sets. `name` is the request's field (or its key in `extras`).

    `default=None` means "the model's own default" (`webui.defaults`); a face shows that value.
    """

    name: str
    label: str
    info: str = ""
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Control):
    """Words; `lines` is the height of the box."""

    lines: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Control):
    """A number from `minimum` to `maximum`; whole when `whole`; `step` is the grid of the slider."""

    minimum: float
    maximum: float
    step: float = 1
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Control):
    """One of `choices` as (label, value) pairs, or of a registry named by `source`.

    `source` is "models", "samplers" or "schedules": the face asks the catalog when it draws.
    """

    choices: tuple[tuple[str, Any], ...] = ()
    source: Literal["", "models", "samplers", "schedules"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Control):
    """On or off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture(Control):
    """A picture that the user gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask(Control):
    """A mask painted over the picture control named `over`; white = repaint."""

    over: str = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed(Control):
    """A whole number; -1 draws one."""


@dataclass(frozen=True, slots=True)
class Group:
    """Controls that belong together; folded unless `open`."""

    label: str
    controls: tuple[Control, ...]
    open: bool = False


# --- Requests -----------------------------------------------------------------------------------

SIZE_MIN, SIZE_MAX, SIZE_STEP = 64, 2048, 8
STEPS_MAX, CFG_MAX, PICTURES_MAX = 150, 30.0, 16
SEED_MAX = 2**53 - 1  # what JSON carries exactly
PROMPT_MAX = 20_000  # characters
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

    Picture `i` of `batch_size` has seed `seed + i`. `image` is RGB, `mask` is L (white = repaint) and of
    the image's size. Names in `model`, `sampler_name` and `scheduler` are the registries' own spelling.
    A value out of range raises `RequestError` with its field.
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
        for name in ("prompt", "negative_prompt", "model", "sampler_name", "scheduler", "task"):
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
        if self.eta is not None:
            _number("eta", self.eta, 0, 1)
        _whole("mask_blur", self.mask_blur, 0, 64)
        _whole("inpainting_fill", self.inpainting_fill, 0, len(FILLS) - 1)
        _whole("inpaint_full_res_padding", self.inpaint_full_res_padding, 0, 256)
        for name in ("inpaint_full_res", "inpainting_mask_invert"):
            if not isinstance(getattr(self, name), bool):
                raise RequestError(f"{name} {getattr(self, name)!r}: give true or false", name)

    def seed_of(self, index: int) -> int:
        """The seed of picture `index`."""
        return self.seed + index


# --- Models -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as it is listed, told without loading a weight.

    `defaults` are the model's own values of request fields; `prompts` are example prompts. `problem`,
    where there is one, is the sentence why it cannot be used.
    """

    name: str
    path: Path
    family: str = ""
    latent_channels: int = 4
    inpainting: bool = False  # a UNet that also sees mask and masked picture (9 channels)
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prompts: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model as tasks see it: what shapes and noise levels it works at, never its weights.

    `sigmas` are the training noise levels, ascending, on the variance-exploding scale.
    `hash` is the first 10 hex digits of the UNet file's SHA-256, "" while unknown.
    """

    name: str
    latent_channels: int
    inpainting: bool
    sigmas: tuple[float, ...]
    downscale: int = 8
    hash: str = ""

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """The shape (C, h, w) of the latent of a picture of `width` x `height` pixels."""
        return (self.latent_channels, height // self.downscale, width // self.downscale)


# --- Calls: the device work that a task yields, and what it receives ------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One conditioning of a `Denoise` call.

    The reply's `denoised` is the weighted sum of the rows' predictions, so the weights sum to 1.
    `context` is [77 * chunks, D]. `role` tells which rows make up `cond` and `uncond` of the reply.
    """

    context: Tensor
    weight: float
    role: Literal["cond", "uncond", "other"] = "cond"


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Makes a model resident; the reply is a `Model`. Happens beside the loop, on a loading thread."""

    name: str


@dataclass(frozen=True, slots=True)
class EncodeText:
    """Encodes prompt and negative prompt; the reply is a `Condition`."""

    model: Model
    prompt: str
    negative_prompt: str


@dataclass(frozen=True, slots=True, eq=False)
class TextCondition:
    """`cond` and `uncond`, each [77 * chunks, D], padded to the same number of chunks."""

    cond: Tensor
    uncond: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What a sampler is steered by: the model, encoded texts, and named per-row tensors.

    `inputs["concat"]` [K, h, w] are extra channels of the UNet's input (inpainting UNets).
    """

    model: Model
    text: TextCondition
    inputs: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    patches: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Denoise:
    """One prediction of the clean latent.

    `x` is [C, h, w] fp32 on the variance-exploding scale, `sigma` its noise level. `inputs` are named
    per-row tensors ("concat": [K, h, w], extra UNet channels). `patches` are hashable switches of UNet
    or attention behaviour. `step` of `steps` is for progress only. The reply is a `Denoised`.
    """

    model: Model
    x: Tensor
    sigma: float
    rows: tuple[Row, ...]
    inputs: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    patches: tuple[Any, ...] = ()
    step: int = 0
    steps: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """`denoised` [C, h, w] fp32 after guidance; `cond` and `uncond` are None where no row has the role."""

    denoised: Tensor
    cond: Tensor | None = None
    uncond: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """Picture to latent by the VAE: `pixels` [3, H, W] fp32 in -1..1; the reply is the posterior's
    mean times the scaling factor, [C, h, w] fp32."""

    model: Model
    pixels: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Decode:
    """Latent [C, h, w] to picture by the VAE; the reply is [H, W, 3] uint8 on the CPU."""

    model: Model
    latent: Tensor


Call: TypeAlias = LoadModel | EncodeText | Denoise | Encode | Decode

# --- Samplers, schedules, tasks -------------------------------------------------------------------

UNCOND = "uncond"  # a sampler that yields (x, sigma, UNCOND) receives (denoised, uncond)

NoiseSource: TypeAlias = "Callable[[float, float], Tensor]"
SamplerRun: TypeAlias = "Generator[tuple[Any, ...], Any, Tensor]"


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler: `make(x, sigmas, noise, **options)` is a generator that yields `(x, sigma)`, receives
    the denoised latent and returns the final one. See docs/samplers.md.

    `schedule` is what `automatic` means for it. `options` are the names of keyword arguments that the
    request may set ("eta"). `calls(steps)` says how many calls a run makes, or None when it cannot tell.
    """

    name: str
    make: Callable[..., SamplerRun]
    schedule: str = "uniform"
    aliases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    calls: Callable[[int], int | None] = lambda steps: steps


@dataclass(frozen=True, slots=True)
class Schedule:
    """A noise schedule: `make(n, sigma_min, sigma_max, model_sigmas, **options)` gives n sigmas,
    descending, and a final 0.0. `label` is what menus show."""

    name: str
    make: Callable[..., list[float]]
    label: str = ""
    aliases: tuple[str, ...] = ()


TaskRun: TypeAlias = "Generator[Call, Any, Any]"


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of job: `make(request, studio)` is a generator that yields calls, receives their replies
    and returns a picture (PIL, or what `Decode` replied). One run makes one picture.

    Its `controls` are drawn by every face; `label` names its tab, `info` says what it does in a line.
    """

    name: str
    label: str
    make: Callable[[GenerationRequest, Studio], TaskRun]
    controls: tuple[Control | Group, ...] = ()
    info: str = ""

    def flat_controls(self) -> tuple[Control, ...]:
        """Its controls, groups opened, in order."""
        found: list[Control] = []
        for item in self.controls:
            found.extend(item.controls if isinstance(item, Group) else (item,))
        return tuple(found)


class Studio(Protocol):
    """What a task may ask for while it runs: arithmetic that needs no device call. One a picture.

    Tensors that it gives are fp32 on the device, so that a task imports no torch.
    """

    @property
    def index(self) -> int:
        """Which picture of the job this is, from 0."""
        ...

    @property
    def seed(self) -> int:
        """This picture's own seed."""
        ...

    def sigmas(self, model: Model, scheduler: str, steps: int) -> list[float]:
        """The schedule's noise levels, descending, then 0.0. `automatic` is the sampler's usual one."""
        ...

    def noise(self, seed: int, shape: tuple[int, ...]) -> Tensor:
        """Unit Gaussian noise, drawn on the CPU: the first draw of `seed`; a sampler's draws follow it."""
        ...

    def sample(
        self, sampler_name: str, x: Tensor, sigmas: Sequence[float], cond: Condition
    ) -> Generator[Call, Any, Tensor]:
        """Runs a sampler from `x` [C, h, w] with classifier-free guidance; returns the final latent."""
        ...

    def pixels(self, picture: Image) -> Tensor:
        """An RGB picture as [3, H, W] in -1..1, an L picture (a mask) as [1, H, W] in 0..1."""
        ...

    def picture(self, decoded: Tensor) -> Image:
        """What `Decode` replied, as an RGB picture."""
        ...


# --- Jobs as faces see them -----------------------------------------------------------------------

JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class SavedPicture:
    """A finished picture on disk. `parameters` is its infotext."""

    path: Path
    seed: int
    width: int
    height: int
    parameters: str


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A picture as it leaves the engine, before it is on disk; all that an infotext needs.

    `scheduler` is the schedule that `automatic` resolved to. `seconds` counts the job so far.
    """

    job: str
    request: GenerationRequest
    index: int
    seed: int
    picture: Image
    model: Model
    scheduler: str
    seconds: float


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at one moment. `version` grows with every change, so that `wait` can say "newer than".

    `position` is 0 when it runs, else its place in the queue from 1. `step` of `steps` is the slowest
    picture's; `progress` is 0..1 over all pictures. `note` tells what is being waited for ("" when
    nothing is), `error` why it failed. `seconds` counts from its first call.
    """

    id: str
    state: JobState
    version: int
    request: GenerationRequest
    position: int = 0
    step: int = 0
    steps: int = 0
    progress: float = 0.0
    eta_s: float | None = None
    seconds: float = 0.0
    note: str = ""
    error: str | None = None
    pictures: tuple[SavedPicture, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class EngineFace(Protocol):
    """The engine as page, API and command line see it. Every method returns at once but `wait`, and
    may be called from any thread. An unknown job id raises `RequestError`."""

    def submit(self, request: GenerationRequest) -> str:
        """Queues a job and gives its id."""
        ...

    def status(self, job_id: str) -> JobStatus: ...

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        """The status as soon as its version is above `after`, or after `timeout_s` seconds."""
        ...

    def cancel(self, job_id: str) -> None:
        """Ends the job at its next call; pictures that are finished stay."""
        ...

    def preview(self, job_id: str) -> Image | None:
        """What the first unfinished picture looks like now, at picture size (at most 512 pixels)."""
        ...

    def models(self) -> Sequence[ModelCard]:
        """Every model found, the default one first; needs no torch."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Device, dtype, attention in use and why, versions; before torch is loaded each value
        is what is being waited for."""
        ...
