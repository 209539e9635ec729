"""What the engine is made of, built-in or an extension's alike: samplers, schedules, tasks and what goes around them.

All are values that name a function. Functions called "a task" here are generators that yield calls and receive
their replies; where there is nothing to yield, a plain function that returns the result will do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from webui.types.calls import Call, Condition, Denoise
from webui.types.controls import Control, Group, Text, flat
from webui.types.models import Model
from webui.types.requests import GenerationRequest
from webui.types.sampling import Sampling

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

__all__ = [
    "UNCOND",
    "Animation",
    "Artifact",
    "Conditioner",
    "File",
    "NoiseSource",
    "Parts",
    "Places",
    "PostProcessor",
    "Sampler",
    "SamplerRun",
    "Schedule",
    "Studio",
    "Task",
    "TaskRun",
    "Upscaler",
    "Wrapper",
]

SUFFIX = re.compile(r"(?:\.[a-z0-9]{1,16}){1,2}")
MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")
UNCOND = "uncond"  # a sampler that yields (x, sigma, UNCOND) receives (denoised, uncond)

NoiseSource: TypeAlias = "Callable[[float, float], Tensor]"
SamplerRun: TypeAlias = "Generator[tuple[Any, ...], Any, Tensor]"
TaskRun: TypeAlias = "Generator[Call, Any, Any]"


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler: `make(x, sigmas, noise, **options)` is a generator that yields `(x, sigma)`, receives
    the denoised latent and returns the final one. See docs/samplers.md.

    `schedule` is what `automatic` means for it. `options` are controls, whose values `make` gets by their names where
    they are not None; every face draws and reads them, and the infotext tells them. `noise` is what
    `noise(sigma, sigma_next)` gives it: "normal", independent draws, or "brownian", the increments of a path that does
    not depend on the number of steps.
    """

    name: str
    make: Callable[..., SamplerRun]
    schedule: str = "uniform"
    aliases: tuple[str, ...] = ()
    options: tuple[Control, ...] = ()
    noise: Literal["normal", "brownian"] = "normal"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A noise schedule: `make(n, sigma_min, sigma_max, model_sigmas, **options)` gives n sigmas,
    descending, and a final 0.0. `label` is what menus show. `options` are controls as a sampler's."""

    name: str
    make: Callable[..., list[float]]
    label: str = ""
    aliases: tuple[str, ...] = ()
    options: tuple[Control, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of job: `make(request, studio)` is a task that returns a picture (PIL, or what `Decode`
    replied), an `Animation` or a `File`. One run makes one of them.

    Its `controls` are drawn by every face; `label` names its tab, `info` says what it does in a line.
    `samples`: it runs a sampler, so the controls of conditioners and denoise wrappers belong to it. `suffix` is
    that of the `File` that it makes, for who gives it a name.
    """

    name: str
    label: str
    make: Callable[[GenerationRequest, Studio], TaskRun]
    controls: tuple[Control | Group, ...] = ()
    info: str = ""
    samples: bool = True
    suffix: str = ""

    def flat_controls(self) -> tuple[Control, ...]:
        """Its controls, groups opened, in order."""
        return flat(self.controls)

    def prompts(self, request: GenerationRequest) -> dict[str, str]:
        """The texts of `request` that are read as prompts, by the names of their controls: prompt and negative prompt,
        then the task's others."""
        found = {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
        for control in self.flat_controls():
            if isinstance(control, Text) and control.prompt:
                text = request.value_of(control.name)
                if text is not None:
                    found[control.name] = text
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Animation:
    """A moving picture: RGB frames of one size, each shown for `frame_ms`; `loop` plays it for ever."""

    frames: tuple[Image, ...]
    frame_ms: int = 100
    loop: bool = True
    format: Literal["webp", "gif"] = "webp"


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """A file of any kind. `content` are its bytes, or where the task wrote it in its `Studio.folder`; `suffix` is the
    ending of its name (".zip"), `media_type` what browsers are told that it is."""

    suffix: str
    content: bytes | Path
    media_type: str = "application/octet-stream"

    def __post_init__(self) -> None:
        if not SUFFIX.fullmatch(self.suffix):
            raise ValueError(f'suffix {self.suffix!r}: give one like ".zip" or ".tar.gz"')
        if not MEDIA_TYPE.fullmatch(self.media_type):
            raise ValueError(f'media_type {self.media_type!r}: give one like "application/zip"')

    @property
    def bytes(self) -> int:
        """Its size."""
        path = self.content
        return path.stat().st_size if isinstance(path, Path) else len(path)


Artifact: TypeAlias = "Image | Animation | File"  # what a task makes


@dataclass(frozen=True, slots=True)
class Conditioner:
    """Adds to what a sampler is steered by: `prepare(request, studio, cond)` is a task that returns the
    changed `Condition`, or None to leave it (a plain function may say so at once).

    It runs at the start of every sampling, in the order (`priority`, extension's name), after the prompts
    are encoded; `cond.size` is then known. Its `controls` appear in a group named `label` (or `name`) in the
    tabs of `tasks`, empty meaning every task that samples.
    """

    name: str
    prepare: Callable[[GenerationRequest, Studio, Condition], Any]
    controls: tuple[Control, ...] = ()
    label: str = ""
    tasks: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class PostProcessor:
    """Changes finished pictures: `process(picture, request, studio)` is a task from an RGB picture to an
    RGB picture, or None to leave it. Frames of an animation are given one by one.

    Several run in the order (`priority`, extension's name). Controls and `tasks` as a `Conditioner`'s; empty
    `tasks` means every task.
    """

    name: str
    process: Callable[[Image, GenerationRequest, Studio], Any]
    controls: tuple[Control, ...] = ()
    label: str = ""
    tasks: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Upscaler:
    """A way to make pictures larger: `upscale(picture, scale, studio)` is a task from an RGB picture to a
    larger one. What it returns is brought to exactly `scale` times the size by Lanczos."""

    name: str
    upscale: Callable[[Image, float, Studio], Any]
    label: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A `wrap_denoise` hook as the engine sees it: `wrap(call, request)` is a task that answers `call`
    with a `Denoised`, or None to let the call pass. `name` is the extension's."""

    name: str
    wrap: Callable[[Denoise, GenerationRequest], Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """All that the engine is made of, by the names that requests use; lists are in the order they run."""

    tasks: Mapping[str, Task]
    samplers: Mapping[str, Sampler]
    schedules: Mapping[str, Schedule]
    upscalers: Mapping[str, Upscaler] = field(default_factory=lambda: MappingProxyType({}))
    conditioners: Sequence[Conditioner] = ()
    postprocessors: Sequence[PostProcessor] = ()
    wrappers: Sequence[Wrapper] = ()


@dataclass(frozen=True, slots=True)
class Places:
    """Where files lie. `models_dirs` are searched in order.

    `wrong(kind, path)` gives a sentence where the file at `path`, in the folder of a `kind` ("controlnet", "upscaler",
    "lora", "vae", "embedding", "hypernetwork"), is something else or does not work here, None where nothing speaks
    against it. It reads the header alone, and raises `ModelFileError` for a damaged file.
    """

    data_dir: Path
    models_dirs: tuple[Path, ...]
    outputs_dir: Path
    wrong: Callable[[str, Path], str | None] = lambda kind, path: None

    def files(self, folder: str, *suffixes: str) -> list[Path]:
        """Every file under `folder` of any models folder whose name ends in one of `suffixes` (".safetensors"),
        by name; of two with one name the first."""
        found: dict[str, Path] = {}
        for models in self.models_dirs:
            for path in sorted((models / folder).rglob("*")):
                if path.suffix.lower() in suffixes and path.is_file():
                    found.setdefault(path.relative_to(models / folder).as_posix(), path)
        return [found[name] for name in sorted(found)]


class Studio(Protocol):
    """What a task may ask for while it runs. One a picture.

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

    @property
    def folder(self) -> Path:
        """A folder of this picture's own, empty when it is first asked for. What a task wrote there before a restart
        is there after it; it goes when the picture is saved or its job has ended."""
        ...

    def sigmas(
        self,
        model: Model,
        scheduler: str,
        steps: int,
        sampler: str,
        options: Mapping[str, Any] | None = None,
    ) -> list[float]:
        """The schedule's noise levels, descending, then 0.0. `automatic` is the sampler's usual one. `options` of the
        schedule add to the request's."""
        ...

    def noise(
        self, seed: int, shape: tuple[int, ...], *, subseed: int = 0, strength: float = 0.0
    ) -> Tensor:
        """Unit Gaussian noise, drawn on the CPU: the first draw of `seed`, with a `strength` above 0 that much of the
        first draw of `subseed` in it."""
        ...

    def first_noise(self, shape: tuple[int, ...]) -> Tensor:
        """The noise that this picture starts from, by the request's seed and its variation."""
        ...

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
        """The sampling that the request means, but for what is given. `options` of the sampler and of the schedule add
        to the request's (None is their own usual value), `seed` is that of the noise on its way (the picture's own)."""
        ...

    def sample(self, sampling: Sampling, x: Tensor) -> Generator[Call, Any, Tensor]:
        """Denoises `x` [C, h, w], at noise level `sampling.levels[0]`, as `sampling` says, and returns the latent at
        its last level.

        Conditioners prepare each of its conditions first; every call goes through the denoise wrappers.
        """
        ...

    def same_length(self, *conditions: Condition) -> Generator[Call, Any, tuple[Condition, ...]]:
        """The conditions with all texts filled up to the longest one's chunks, by chunks of the empty text."""
        ...

    def upscale(self, name: str, picture: Image, scale: float) -> Generator[Call, Any, Image]:
        """`picture` at `scale` times its size by the upscaler of that name."""
        ...

    def pixels(self, picture: Image) -> Tensor:
        """An RGB picture as [3, H, W] in -1..1, an L picture (a mask) as [1, H, W] in 0..1."""
        ...

    def picture(self, decoded: Tensor) -> Image:
        """What `Decode` replied, or what `pixels` gave for an RGB picture, as an RGB picture."""
        ...
