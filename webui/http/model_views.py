"""Files of the models folders as JSON: in a list, one by one, and how they go into a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webui.sentences import with_keys
from webui.types.library import ModelDetails, ModelFile

__all__ = ["FileDetail", "FileList", "FileView", "detail", "view"]

TAGS = {"lora": "lora", "hypernetwork": "hypernet"}  # what prompts call them
NOTES = ("description", "activation_text", "negative_text", "notes", "vae")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """A file in the models folders. `kind` is "checkpoint", "lora", "embedding", "hypernetwork", "vae", "controlnet" or
    "upscaler". `preview` is the address of a picture, "" where there is none; `insert` and `insert_negative` what goes
    into the prompts to use it, "" for what is used otherwise; `problem` why it cannot be used, null where it can, and
    `problem_said` its key and values for a page in another language.
    `size` is in bytes, `modified` in seconds since 1970."""

    id: str
    kind: str
    name: str
    file: str
    family: str
    inpainting: bool
    size: int
    modified: float
    hash: str
    preview: str
    insert: str
    insert_negative: str
    problem: str | None
    problem_said: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDetail(FileView):
    """A file with what is known and said of it. `prediction` is the user's word ("" where nobody said), `predicts`
    what holds; `vaes` are the names that `vae` can be, beside "". `tags` are the words of a LoRA's training pictures
    with how often they came. `can_note` and `can_preview` are why nothing can be kept, "" where it can."""

    path: str
    sha256: str
    predicts: str
    prediction: str
    description: str
    activation_text: str
    negative_text: str
    preferred_weight: float | None
    notes: str
    vae: str
    vaes: list[str]
    tags: list[tuple[str, int]]
    metadata: dict[str, str]
    tensors: int
    can_note: str
    can_preview: str


@dataclass(frozen=True, slots=True)
class FileList:
    """A page of files. `next` is the next page's `after`, "" at the end; `total` counts all that were found, `counts`
    those of each kind that fit the words; `locked` is why who asks may change nothing, "" where they may; `version`
    is that of `/api/models/version`."""

    files: list[FileView]
    next: str
    total: int
    counts: dict[str, int]
    version: int
    locked: str


def _shown(name: str) -> str:
    """A file's name as JSON can carry it: one may be of any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _insert(file: ModelFile) -> str:
    """What goes into a prompt to use a file, "" for what is used otherwise."""
    if file.problem is not None:
        return ""
    words = file.notes.activation_text.strip()
    if file.kind == "embedding":
        return file.name
    tag = TAGS.get(file.kind)
    if tag is None:
        return ""
    weight = 1.0 if file.notes.preferred_weight is None else file.notes.preferred_weight
    return f"<{tag}:{file.name}:{weight:g}>" + (f" {words}" if words else "")


def _told(file: ModelFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "kind": file.kind,
        "name": file.name,
        "file": _shown(file.path.name),
        "family": file.family,
        "inpainting": file.inpainting,
        "size": file.size,
        "modified": file.modified,
        "hash": file.hash,
        "preview": f"api/models/files/{file.id}/preview?v={file.stamp}" if file.stamp else "",
        "insert": (insert := _insert(file)),
        "insert_negative": file.notes.negative_text.strip() if insert else "",
        "problem": file.problem,
        "problem_said": with_keys(file.problem),
    }


def view(file: ModelFile) -> FileView:
    return FileView(**_told(file))


def detail(file: ModelFile, details: ModelDetails, vaes: list[str], locked: str) -> FileDetail:
    """`vaes` are the names of the VAEs that there are, `locked` why who asks may change nothing."""
    notes = file.notes
    return FileDetail(
        **_told(file),
        path=_shown(file.path.name if locked else str(file.path)),
        sha256=file.sha256,
        predicts=file.prediction or "",
        prediction=notes.prediction or "",
        **{name: getattr(notes, name) for name in NOTES},
        preferred_weight=notes.preferred_weight,
        vaes=vaes if file.kind == "checkpoint" else [],
        tags=list(details.tags),
        metadata=dict(details.metadata),
        tensors=details.tensors,
        can_note=locked or details.can_note,
        can_preview=locked or details.can_preview,
    )
