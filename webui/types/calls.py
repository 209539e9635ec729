"""Calls: the device work that a task yields, and the replies that it receives.

Shapes: C latent channels, h = H/8 and w = W/8 of a picture of W x H pixels, R the rows of one UNet call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from webui.types.models import Model
from webui.types.patches import Patch

if TYPE_CHECKING:
    from torch import Tensor

    from webui.prompt import Prompt

__all__ = [
    "Call",
    "Condition",
    "ControlNetwork",
    "Decode",
    "Denoise",
    "Denoised",
    "Encode",
    "EncodeText",
    "LoadAdapters",
    "LoadModel",
    "LoadNetwork",
    "LoadVae",
    "Network",
    "Residuals",
    "Row",
    "RunNetwork",
    "SizeConditioning",
    "Steps",
    "TextCondition",
    "holds",
    "unread",
]


class Call:
    """The device work that a task yields; one answers each. Subclasses are the kinds of it, frozen dataclasses that
    the engine's table of calls knows."""

    __slots__ = ()


# --- Models and texts -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadModel(Call):
    """Makes a model resident; the reply is a `Model`. Happens beside the loop, on a loading thread."""

    name: str


@dataclass(frozen=True, slots=True)
class EncodeText(Call):
    """Encodes prompt and negative prompt; the reply is a `Condition`. `clip_skip` as in a request. A task gives
    texts; the engine hands them on parsed, with the adapters that their tags name as `lora`."""

    model: Model
    prompt: str | Prompt
    negative_prompt: str | Prompt
    clip_skip: int = 1
    lora: Any = None


@dataclass(frozen=True, slots=True)
class LoadAdapters(Call):
    """Makes adapters (LoRA and its kin) ready for a model; the reply is a `Patch`. The engine yields it for the tags of
    a prompt. `wanted` are names with their strengths in the text encoders and in the U-Net, `hypernetworks` names with
    one strength. `missing` is the request's: what a name that is no file means."""

    model: Model
    wanted: tuple[tuple[str, float, float], ...]
    hypernetworks: tuple[tuple[str, float], ...] = ()
    missing: str = "refuse"


@dataclass(frozen=True, slots=True)
class LoadVae(Call):
    """Makes a VAE ready for a model; the reply is its name, or "" for the model's own. The engine yields it
    after a `LoadModel`. `name` is "automatic", "none" (the model's own) or a file's in models/VAE."""

    model: Model
    name: str


@dataclass(frozen=True, slots=True)
class SizeConditioning:
    """What Stable Diffusion XL is told about the picture that it makes, in pixels.

    `original` (width, height) is the size that a training picture had before it was shrunk, `crop` (left, top) what
    was cut off, `target` (width, height) what was left. The refiner is told how pleasing the picture is (1 to 10)
    in the place of `target`, for the prompt and for the negative prompt.
    """

    original: tuple[int, int]
    target: tuple[int, int]
    crop: tuple[int, int] = (0, 0)
    aesthetic: float = 6.0
    negative_aesthetic: float = 2.5


# --- Networks of extensions -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Network:
    """A network that an extension has loaded: its owner and the key it was loaded by, never its weights."""

    owner: str
    key: str


@dataclass(frozen=True, slots=True)
class LoadNetwork(Call):
    """Makes a network of an extension's own resident; the reply is a `Network`.

    `owner` is the extension's name, for errors. `key` says which network this is (a file's path): one key
    is built once. `build()` runs on the loading thread and gives a `torch.nn.Module` with its weights, on
    the CPU; device, dtype, attention kernel and memory are then the engine's. `float32`: always run in that.
    """

    owner: str
    key: str
    build: Callable[[], Any] = field(compare=False)
    float32: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RunNetwork(Call):
    """`network(*inputs, **named)`; the reply is what it gives, tensors in fp32 on the engine's device.

    Inputs are converted to the network's device and dtype. `step` of `steps` is for progress only.
    """

    network: Network
    inputs: tuple[Tensor, ...] = ()
    step: int = 0
    steps: int = 0
    named: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """What a control network adds to the UNet; what it leaves out, adds nothing. Each [R, C, h, w] of its place.

    `skips`: one for each of the UNet's skip connections, from its input on, None where nothing is added (a ControlNet's
    down residuals). `middle` is for its middle block. `blocks`: one for each block of its way down, added before the
    block halves the size (a T2I adapter's features).
    """

    skips: Sequence[Tensor | None] = ()
    middle: Tensor | None = None
    blocks: Sequence[Tensor | None] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ControlNetwork:
    """A network that runs before the UNet and adds to it (ControlNet, T2I adapter).

    It is run once a UNet call, for all rows of all pictures that use it: `network(x, timesteps, conditioning,
    **inputs)` with x [R, C, h, w] as the UNet sees it (scaled, without extra channels), timesteps [R], and `inputs`
    (each one tensor a picture, without a row dimension) stacked to [R, ...]. `conditioning` has what the UNet is told
    beside x: "context" [R, 77 * chunks, D], for Stable Diffusion XL "pooled" [R, P] and "sizes" [R, 6], and "mask"
    [R, 77 * chunks] where a text has one. It gives `Residuals`, which are multiplied by `weight`, and works from
    `start` to `end`, fractions of the steps.

    One that sees only its inputs is run `once`, when a sampling begins: `network(**inputs)`, each [1, ...]; the engine
    keeps what it gives in `residuals`.
    """

    network: Network
    inputs: Mapping[str, Tensor]
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    once: bool = False
    residuals: Residuals | None = None


# --- What steers a sampling -----------------------------------------------------------------------

Steps: TypeAlias = "range | tuple[float, float]"
"""Some of a sampling's steps: their numbers from 0, or fractions of all of them, from the first up to but without the
second, so that (0.0, 0.4) and (0.4, 1.0) share no step and leave none out."""
EVERY: tuple[float, float] = (0.0, 1.0)


def holds(steps: Steps, step: int, count: int) -> bool:
    """Whether step number `step` of `count` is among `steps`."""
    if isinstance(steps, range):
        return step in steps
    return steps[0] <= step / count < steps[1]


@dataclass(frozen=True, slots=True, eq=False)
class TextCondition:
    """One encoded text, and how it steers: as `role`, with `weight` among others, at `steps`.

    `context` is [77 * chunks, D]; texts of one sampling are filled up to the same number of chunks when it begins.
    `pooled` [P] stands for the text as a whole, for models that ask for it (Stable Diffusion XL; None for others).
    `patches` change the UNet for this text alone, as those of its LoRAs do. `mask` [77 * chunks] is True where the
    UNet may look; None is everywhere. `source` is the call that encoded it.

    With texts of role "cond" and weights w and the guidance scale s the prediction is uncond + s * (the sum of
    w * (cond - uncond)); the weights of those of role "uncond" are shares. Change a text by `dataclasses.replace`,
    so that the rest stays.
    """

    context: Tensor
    role: Literal["cond", "uncond"] = "cond"
    weight: float = 1.0
    steps: Steps = EVERY
    pooled: Tensor | None = None
    patches: tuple[Patch, ...] = ()
    mask: Tensor | None = None
    source: EncodeText | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What a sampler is steered by: the model, encoded texts, and what conditioners add.

    `inputs["concat"]` [K, h, w] are extra channels of the UNet's input (inpainting UNets). `patches` are those of
    every text. `size` is the (width, height) in pixels of what is being sampled, known from when `Studio.sample`
    begins. `size_conditioning` is what Stable Diffusion XL is told of the picture; None means `size`, uncropped.
    `steps` are those of a sampling at which it holds, where a `Sampling` has several. `notes` are sentences about
    words that were not read as they were meant.
    """

    model: Model
    texts: tuple[TextCondition, ...]
    inputs: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    patches: tuple[Patch, ...] = ()
    control_networks: tuple[ControlNetwork, ...] = ()
    size: tuple[int, int] = (0, 0)
    size_conditioning: SizeConditioning | None = None
    steps: Steps = EVERY
    notes: tuple[str, ...] = ()

    @property
    def conds(self) -> tuple[TextCondition, ...]:
        """The texts that say what the picture shows."""
        return tuple(text for text in self.texts if text.role == "cond")

    @property
    def unconds(self) -> tuple[TextCondition, ...]:
        """The texts that say what it should not show."""
        return tuple(text for text in self.texts if text.role == "uncond")

    def changed(self, **values: Any) -> Condition:
        """It with fields of every text changed: `cond.changed(steps=(0.5, 1.0))`."""
        return replace(self, texts=tuple(replace(text, **values) for text in self.texts))

    def and_texts(self, texts: Iterable[TextCondition]) -> Condition:
        """It with further texts."""
        return replace(self, texts=(*self.texts, *texts))


def unread(model: Model, inputs: Mapping[str, Any]) -> str:
    """Which of the inputs of a `Condition` or `Denoise` the network does not read, as a sentence; "" where it reads
    all."""
    reads = ("concat",) if model.inpainting else ()
    for name in sorted(inputs):
        if name not in reads:
            return f"inputs {name!r}, which model {model.name!r} does not read; it reads {', '.join(reads) or 'none'}"
    return ""


# --- Denoising ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One conditioning of a `Denoise` call.

    The reply's `denoised` is the weighted sum of the rows' predictions, so the weights sum to 1.
    `context` is [77 * chunks, D]. `role` tells which rows make up `cond` and `uncond` of the reply. `pooled` [P]
    is there for models that ask for it. `mask` [77 * chunks] is True where the UNet may look at `context`; None is
    everywhere. `share` is how much it counts among the rows of its role in the reply's `cond` or `uncond`; None is as
    much as it weighs. Make a row from another by `dataclasses.replace`.
    """

    context: Tensor
    weight: float
    role: Literal["cond", "uncond", "other"] = "cond"
    patches: tuple[Patch, ...] = ()
    pooled: Tensor | None = None
    mask: Tensor | None = None
    share: float | None = None

    @property
    def counts(self) -> float:
        """Its part among the rows of its role, which need not sum to 1."""
        return self.weight if self.share is None else self.share


@dataclass(frozen=True, slots=True, eq=False)
class Denoise(Call):
    """One prediction of the clean latent.

    `x` is [C, h, w] fp32 on the variance-exploding scale, `sigma` its noise level. `inputs` are what the UNet of an
    inpainting model sees beside it ("concat": [K, h, w], extra channels); others are refused. `patches` and
    `control_networks` change what the UNet does. `step` of `steps` is for progress only. `size_conditioning` as in
    `Condition`. The reply is a `Denoised`; where nobody reads its `cond` and `uncond`, `separate` is False: then they
    are None, and not recorded.
    """

    model: Model
    x: Tensor
    sigma: float
    rows: tuple[Row, ...]
    inputs: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    patches: tuple[Patch, ...] = ()
    control_networks: tuple[ControlNetwork, ...] = ()
    step: int = 0
    steps: int = 1
    size_conditioning: SizeConditioning | None = None
    separate: bool = True

    @property
    def guidance_scale(self) -> float:
        """The scale of classifier-free guidance that its rows' weights come to; 1 is without."""
        return 1 - math.fsum(row.weight for row in self.rows if row.role == "uncond")


@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """`denoised` [C, h, w] fp32 after guidance; `cond` and `uncond` are what the rows of that role predict together,
    by their shares of its weight, and None where no row has the role."""

    denoised: Tensor
    cond: Tensor | None = None
    uncond: Tensor | None = None


# --- Pictures and latents -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Encode(Call):
    """Picture to latent by the VAE: `pixels` [3, H, W] fp32 in -1..1; the reply is the posterior's
    mean times the scaling factor, [C, h, w] fp32. `vae` is filled in by the engine."""

    model: Model
    pixels: Tensor
    vae: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Decode(Call):
    """Latent [C, h, w] to picture by the VAE; the reply is [H, W, 3] uint8 on the CPU. `vae` is filled in by the
    engine."""

    model: Model
    latent: Tensor
    vae: str = ""
