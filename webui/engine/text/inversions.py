"""Textual inversion (Gal et al. 2022): a word in a prompt that stands for learned vectors instead of tokens.

The word is the file's name. It becomes as many token numbers beyond the vocabulary as it has vectors; the text
encoder's embedding layer answers those with the vectors, for the length of a call.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from webui.catalog.formats.header import read_header, said
from webui.catalog.formats.pickles import convert
from webui.catalog.library.family_detection import wrong_pickle, wrong_place
from webui.engine.read_tensors import read_tensors
from webui.engine.text.chunks import BEYOND
from webui.errors import ModelFileError, Sentence

__all__ = ["Inversion", "OtherFamily", "embedded", "read"]

MOST = 1000  # vectors of one word
# What the file of a family with two text encoders calls them.
NAMES = {"clip_l": 0, "clip_g": 1, "text_encoders_0": 0, "text_encoders_1": 1}


class OtherFamily(ModelFileError):
    """A textual inversion that is whole, and made for text encoders of other widths."""


@dataclass(frozen=True, slots=True, eq=False)
class Inversion:
    """A word's vectors for each text encoder, [n, D] each, equally many. `note` says what of its file is not used."""

    name: str
    vectors: tuple[Tensor, ...]
    note: str = ""

    @property
    def count(self) -> int:
        return len(self.vectors[0])


def read(path: Path, name: str, widths: Sequence[int]) -> Inversion:
    """The textual inversion at `path` for text encoders of these widths.

    Files of A1111, diffusers and of trainers for Stable Diffusion XL. A pickled one is read without being run. One that
    is damaged raises `ModelFileError`, one that was made for another family `OtherFamily`.
    """
    tensors = _tensors(path)
    numbers = {key: tensor for key, tensor in tensors.items() if tensor.is_floating_point()}
    used = sorted((key for key in numbers if key in NAMES), key=lambda key: NAMES[key])
    if len({NAMES[key] for key in used}) < len(used):
        raise ModelFileError(
            Sentence(
                "{file}: has vectors of one text encoder twice: {used}",
                file=path.name,
                used=", ".join(used),
            )
        )
    if not used:
        # The only tensor that can be vectors, whatever its name ("emb_params", "string_to_param.*", "<it>").
        used = [key for key, tensor in numbers.items() if tensor.dim() in (1, 2)][:1]
    found = [numbers[key] for key in used]
    if any(tensor.dim() not in (1, 2) for tensor in found):
        raise ModelFileError(Sentence("{file}: holds no textual inversion", file=path.name))
    vectors = tuple(one[None] if one.dim() == 1 else one for one in found)
    sizes = [one.shape[-1] for one in vectors]
    if not vectors or len({len(one) for one in vectors}) > 1 or not 1 <= len(vectors[0]) <= MOST:
        raise ModelFileError(Sentence("{file}: holds no textual inversion", file=path.name))
    if sizes != list(widths):
        raise OtherFamily(
            Sentence(
                "{file}: a textual inversion of width {widths}; this model's text encoder has {own}",
                file=path.name,
                widths=" and ".join(map(str, sizes)),
                own=" and ".join(map(str, widths)),
            )
        )
    left = [key for key in numbers if key not in used]
    note: str = ""
    if left:
        some = ", ".join(key[:80] for key in left[:3])
        facts = {"file": path.name, "number": len(left), "some": some}
        if len(left) == 1:
            note = Sentence("{file}: {number} tensor not known here and not used: {some}", **facts)
        else:
            note = Sentence("{file}: {number} tensors not known here and not used: {some}", **facts)
    return Inversion(name, tuple(one.float() for one in vectors), note)


def _tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix.lower() == ".safetensors":
            header = read_header(path)
            if what := wrong_place("embedding", header):
                raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
            return read_tensors(header)
        if what := wrong_pickle("embedding", path):
            raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
        with tempfile.TemporaryDirectory() as folder:
            converted = convert(path, Path(folder) / path.name)  # whose faults have the file's name
            return read_tensors(read_header(converted.path))
    except OSError as fault:  # of the temporary folder
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault


@contextmanager
def embedded(model: Any, vectors: Tensor) -> Iterator[None]:
    """A text encoder whose embedding answers numbers from `BEYOND` on with the rows of `vectors` [n, D]."""
    layer = model.get_input_embeddings()
    own = layer.__dict__.get("forward")  # of an adapter that changes it for this call, too
    plain = own or partial(type(layer).forward, layer)
    rows = vectors.to(layer.weight.device, layer.weight.dtype)

    def forward(ids: Tensor) -> Tensor:
        beyond = ids >= BEYOND
        states: Tensor = plain(ids.masked_fill(beyond, 0))
        return torch.where(beyond[..., None], rows[(ids - BEYOND).clamp_min(0)], states)

    layer.__dict__["forward"] = forward
    try:
        yield
    finally:
        del layer.__dict__["forward"]
        if own is not None:
            layer.__dict__["forward"] = own
