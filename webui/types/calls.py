"""Calls: the device work that a task yields, and the replies that it receives.

Shapes: C latent channels, h = H/8 and w = W/8 of a picture of W x H pixels, R the rows of one UNet call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from webui.types.models import Model

if TYPE_CHECKING:
    from torch import Tensor

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
    "Patch",
    "Row",
    "RunNetwork",
    "SizeConditioning",
    "TextCondition",
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
    """Encodes prompt and negative prompt; the reply is a `Condition`. `clip_skip` as in a request; `lora` is the
    engine's: the adapters that the prompt's tags name."""

    model: Model
    prompt: str
    negative_prompt: str
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


@dataclass(frozen=True, slots=True, eq=False)
class TextCondition:
    """`cond` and `uncond`, each [77 * chunks, D], padded to the same number of chunks.

    `pooled_cond` and `pooled_uncond` [P] stand for each text as a whole, for models that ask for it (Stable
    Diffusion XL; None for others). Change a text by `dataclasses.replace`, so that they stay. `notes` are sentences
    about words that were not read as they were meant.
    """

    cond: Tensor
    uncond: Tensor
    pooled_cond: Tensor | None = None
    pooled_uncond: Tensor | None = None
    notes: tuple[str, ...] = ()


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
    """`network(*inputs)`; the reply is what it gives, tensors in fp32 on the engine's device.

    Inputs are converted to the network's device and dtype. `step` of `steps` is for progress only.
    """

    network: Network
    inputs: tuple[Tensor, ...]
    step: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ControlNetwork:
    """A network that runs before the UNet and adds to it (ControlNet, T2I adapter).

    It is run once a UNet call, for all rows of all pictures that use it: `network(x, timesteps, context,
    **inputs)` with x [R, C, h, w] as the UNet sees it (scaled, without extra channels), timesteps [R], context
    [R, 77 * chunks, D], and `inputs` (each one tensor a picture, without a row dimension) stacked to [R, ...].
    It gives `(down, mid)`: one residual for each of the UNet's skip connections, and one for its middle.
    The residuals of a picture's rows are multiplied by `weight`. It works from `start` to `end`, fractions
    of the steps.
    """

    network: Network
    inputs: Mapping[str, Tensor]
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


class Patch:
    """A switch of the UNet's behaviour. Make it a frozen dataclass: equal patches share a batch.

    In `Denoise.patches` (or `Condition.patches`) it holds for whole UNet calls, which are then made for
    pictures with equal patches only. In `Row.patches` only `attention` counts, for that row; such rows share
    calls with any others.
    """

    __slots__ = ()

    def applied(self, unet: Any) -> AbstractContextManager[Any]:
        """Entered around each UNet call: what it changes of diffusers' `unet` it puts back on leaving."""
        return nullcontext()

    def touches(self, layer: str) -> bool:
        """Whether `attention` is asked for a layer, named as in diffusers: `attn1` at its end is
        self-attention, `attn2` cross-attention ("mid_block.attentions.0.transformer_blocks.0.attn1")."""
        return False

    def attention(
        self, layer: str, q: Tensor, k: Tensor, v: Tensor, attend: Callable[..., Tensor]
    ) -> Tensor:
        """What a layer's attention gives, [R, T, heads, d], instead of `attend(q, k, v)`; q [R, T, heads, d],
        k and v [R, S, heads, d]."""
        return attend(q, k, v)

    def towards(self, other: Patch | None, part: float) -> Patch | None:
        """What lies between this patch, at 0, and `other`, at 1; None is the model as it is. Patches with strengths
        mix them, as those of a prompt's LoRAs do; all others change half-way."""
        return self if part < 0.5 else other


# --- Denoising ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """What a sampler is steered by: the model, encoded texts, and what conditioners add.

    `inputs["concat"]` [K, h, w] are extra channels of the UNet's input (inpainting UNets). `size` is the
    (width, height) in pixels of what is being sampled, known from when `Studio.sample` begins. `size_conditioning` is
    what Stable Diffusion XL is told of the picture; None means `size`, uncropped.
    """

    model: Model
    text: TextCondition
    inputs: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))
    patches: tuple[Patch, ...] = ()
    control_networks: tuple[ControlNetwork, ...] = ()
    size: tuple[int, int] = (0, 0)
    size_conditioning: SizeConditioning | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One conditioning of a `Denoise` call.

    The reply's `denoised` is the weighted sum of the rows' predictions, so the weights sum to 1.
    `context` is [77 * chunks, D]. `role` tells which rows make up `cond` and `uncond` of the reply. `pooled` [P]
    is there for models that ask for it.
    """

    context: Tensor
    weight: float
    role: Literal["cond", "uncond", "other"] = "cond"
    patches: tuple[Patch, ...] = ()
    pooled: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Denoise(Call):
    """One prediction of the clean latent.

    `x` is [C, h, w] fp32 on the variance-exploding scale, `sigma` its noise level. `inputs` are named
    per-row tensors ("concat": [K, h, w], extra UNet channels). `patches` and `control_networks` change what the
    UNet does. `step` of `steps` is for progress only. `size_conditioning` as in `Condition`. The reply is a `Denoised`;
    where nobody reads its `cond` and `uncond`, `separate` is False: then they are None, and not recorded.
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


@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """`denoised` [C, h, w] fp32 after guidance; `cond` and `uncond` are None where no row has the role."""

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
