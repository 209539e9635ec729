"""Models as they are listed, and as tasks see them once they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

__all__ = ["Example", "Model", "ModelCard", "ModelFacts", "ModelMemory", "ModelNotes"]


@dataclass(frozen=True, slots=True)
class ModelNotes:
    """What people wrote about a model, beside its file or on the page. `vae` names the VAE it goes with, "" its own.

    `prediction` and `zero_snr` are None where nobody said; `defaults` and `prompts` are as on `ModelCard`.
    """

    description: str = ""
    activation_text: str = ""
    negative_text: str = ""
    preferred_weight: float | None = None
    notes: str = ""
    vae: str = ""
    sd_version: str = ""
    prediction: str | None = None
    zero_snr: bool | None = None
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """What a model makes of one of its example prompts: a small picture, and its seed (None: not told)."""

    picture: Path
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as it is listed, told without loading a weight.

    `layout` is "folder" (diffusers), or of a single file "ldm" (the original keys) or "diffusers". `family` is the
    name that people know, `kind` the key of what decides how it is loaded: "sd1" and "sd2" (and their like), "sdxl" or
    "sdxl-refiner". `prediction` is what the UNet gives ("epsilon", "v_prediction", "sample", see `parameterisation`),
    None where only a call of it can tell; `zero_snr` says that its schedule ends in pure noise. `defaults` are the
    model's own values of request fields; `prompts` are example prompts, `examples` what becomes of them, where
    the model brings it. `side` is how wide and high the published models of its family paint, in pixels, 0 of a
    relative of theirs; `refines`: it works out another model's pictures. `problem`, where there is one, is the sentence
    why it cannot be used.

    `weights` is the file that stands for the model: itself, or of a folder the U-Net's. `size` (bytes), `modified`
    (seconds since 1970), `fingerprint` (of the header and samples, kept when the file is renamed) and `sha256` (""
    while unknown) are that file's. `parts` are those inside of "unet", "vae", "text_encoder", "text_encoder_2";
    `context_dim` is the width of the texts that the U-Net sees. `preview` is a picture beside it.
    """

    name: str
    path: Path
    family: str = ""
    latent_channels: int = 4
    inpainting: bool = False  # a UNet that also sees mask and masked picture (9 channels)
    layout: str = "folder"
    kind: str = "sd1"
    prediction: str | None = None
    zero_snr: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prompts: tuple[str, ...] = ()
    problem: str | None = None
    examples: Mapping[str, Example] = field(default_factory=lambda: MappingProxyType({}))
    context_dim: int = 768
    parts: frozenset[str] = frozenset()
    weights: Path | None = None
    size: int = 0
    modified: float = 0.0
    fingerprint: str = ""
    sha256: str = ""
    preview: Path | None = None
    side: int = 0
    refines: bool = False
    notes: ModelNotes = field(default_factory=ModelNotes)

    @property
    def hash(self) -> str:
        """The short form of `sha256` that people know: its first 10 hex digits, "" while unknown."""
        return self.sha256[:10]


class ModelFacts(Protocol):
    """What is remembered of a model that its file does not say."""

    def prediction(self, card: ModelCard) -> str | None:
        """What the U-Net predicts, as the user or an earlier probe said."""
        ...

    def remember_prediction(self, card: ModelCard, prediction: str) -> None:
        """Keeps what a probe found."""
        ...

    def keep_sha256(self, path: str, stamp: str, sha256: str) -> None:
        """Keeps the hash of a file, of the version that has this stamp."""
        ...

    def used(self, card: ModelCard) -> None:
        """Notes that the model was loaded now."""
        ...


class ModelMemory(ModelFacts, Protocol):
    """What the list of models keeps between calls and starts. `stamp` tells versions of one file apart.

    Every method may be called by any thread.
    """

    @property
    def version(self) -> int:
        """Grows whenever `sha256`, `notes` or `prediction` would answer something else."""
        ...

    def headers(self) -> Mapping[str, tuple[str, str]]:
        """What was kept of files' headers, by path: the stamp and a JSON text."""
        ...

    def keep_headers(self, rows: Mapping[str, tuple[str, str]]) -> None: ...

    def sha256(self, path: str, stamp: str) -> str:
        """The hash of that version of the file, "" while unknown."""
        ...

    def notes(self, fingerprint: str) -> ModelNotes | None:
        """What the user said on the page about a model."""
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model as tasks see it: what shapes and noise levels it works at, never its weights.

    `sigmas` are the training noise levels, ascending, on the variance-exploding scale. `prediction` is what the
    UNet gives ("epsilon", "v_prediction" or "sample", see `parameterisation`), `context_dim` the width D of its texts.
    `hash` is the first 10 hex digits of the UNet file's SHA-256, "" while unknown. `kind` as on `ModelCard`;
    `pooled_dim` is the width P of what stands for a whole text, 0 for models that do not ask for it. `parts` tells
    versions of a folder's files apart, "" for a single file. `remarks` are sentences about what is not used of its
    files; they are told on its pictures.
    """

    name: str
    latent_channels: int
    inpainting: bool
    sigmas: tuple[float, ...]
    downscale: int = 8
    hash: str = ""
    prediction: str = "epsilon"
    context_dim: int = 768
    kind: str = "sd1"
    pooled_dim: int = 0
    parts: str = ""
    remarks: tuple[str, ...] = ()

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """The shape (C, h, w) of the latent of a picture of `width` x `height` pixels."""
        return (self.latent_channels, height // self.downscale, width // self.downscale)
