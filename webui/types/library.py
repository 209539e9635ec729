"""Everything in the models folders as the page tells of it, and what is fetched into them from a model hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from webui.types.models import ModelNotes

__all__ = [
    "FOLDERS",
    "Download",
    "DownloadState",
    "DownloadsFace",
    "HubFile",
    "HubListing",
    "LibraryFace",
    "ModelDetails",
    "ModelFile",
]

# The kinds of files, in the order in which they are told, and the folder that a new file of each belongs into.
FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "checkpoint": "Stable-diffusion",
        "lora": "Lora",
        "embedding": "embeddings",
        "hypernetwork": "hypernetworks",
        "vae": "VAE",
        "controlnet": "ControlNet",
        "upscaler": "ESRGAN",
    }
)

DownloadState = Literal["waiting", "running", "verifying", "paused", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file (or a diffusers folder) in the models folders. `id` is of its path and stays while that stays.

    `kind` is a key of `FOLDERS`; `name` is what menus and prompts call it. `family` is the kind of model that it is, or
    that it is made for, "" where nobody can tell. `stamp` changes with the preview and is "" where there is none.
    `prediction` is what a checkpoint's U-Net predicts, as far as that is known. `problem` is the sentence why it cannot
    be used, None where it can. `size` in bytes, `modified` in seconds since 1970.
    """

    id: str
    kind: str
    name: str
    path: Path
    family: str = ""
    inpainting: bool = False
    size: int = 0
    modified: float = 0.0
    sha256: str = ""
    fingerprint: str = ""
    preview: Path | None = None
    stamp: str = ""
    prediction: str | None = None
    problem: str | None = None
    notes: ModelNotes = field(default_factory=ModelNotes)

    @property
    def hash(self) -> str:
        """The short form of `sha256`: its first 10 hex digits, "" while unknown."""
        return self.sha256[:10]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDetails:
    """What only a look into the file tells. `metadata` is the safetensors header's own, long values cut; `tags` are the
    words that training pictures had most often, with how often; `tensors` counts what is in the file."""

    metadata: Mapping[str, str]
    tags: Sequence[tuple[str, int]] = ()
    tensors: int = 0
    can_note: str = ""  # why notes cannot be kept, "" where they can
    can_preview: str = ""  # why no preview can be written, "" where one can


class LibraryFace(Protocol):
    """The models folders as page and API see them; any thread may call it. `RequestError` for an unknown id."""

    def files(self) -> Sequence[ModelFile]:
        """All of them, by kind and name. What was asked a moment ago may be told again."""
        ...

    def get(self, file: str) -> ModelFile: ...

    def details(self, file: str) -> ModelDetails: ...

    def change(self, file: str, values: Mapping[str, Any]) -> ModelFile:
        """Keeps what the user says: fields of `ModelNotes` by name. `RequestError` names the one that is wrong."""
        ...

    def set_preview(self, file: str, png: bytes) -> ModelFile:
        """Writes a picture beside the file. `EaselError` where the folder cannot be written."""
        ...

    def rescan(self) -> Sequence[ModelFile]:
        """`files`, looked at anew."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a repository. `sha256` is "" for small files, whose `blob` (git's SHA-1 of them) is known instead."""

    path: str
    size: int
    sha256: str = ""
    blob: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubListing:
    """What a repository offers: `files` that can be taken one by one, and `folder`, the files of a whole diffusers
    folder where it is one. `refused` counts pickled files; `revision` is the commit that the list is of."""

    repo: str
    revision: str
    files: tuple[HubFile, ...]
    folder: tuple[HubFile, ...] = ()
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Something that is fetched. `target` is its path below the models folder, with "/" between; `done` and `size` are
    bytes, `speed` bytes a second. `problem` is the sentence why it failed."""

    id: str
    repo: str
    revision: str
    kind: str
    target: str
    files: tuple[HubFile, ...]
    state: DownloadState = "waiting"
    done: int = 0
    speed: float = 0.0
    problem: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class DownloadsFace(Protocol):
    """What is fetched from the hub; any thread may call it. Those that change something raise `EaselError`."""

    @property
    def locked(self) -> str:
        """Why nothing can be fetched, "" where it can."""
        ...

    @property
    def folder(self) -> Path:
        """The models folder that files go into."""
        ...

    def known(self) -> Sequence[Mapping[str, Any]]:
        """The short list of well-known open models."""
        ...

    def all(self) -> Sequence[Download]: ...

    def look(self, repo: str) -> HubListing:
        """What a repository offers; asks the hub."""
        ...

    def add(self, repo: str, kind: str, path: str) -> Download:
        """Takes a file of a repository, or all of a diffusers folder where `path` is ""; asks the hub."""
        ...

    def pause(self, download: str) -> Download: ...

    def resume(self, download: str) -> Download:
        """Lets a paused or failed one go on where it stands."""
        ...

    def remove(self, download: str) -> None:
        """Forgets one; what is not whole goes with it."""
        ...
