"""Merges checkpoints tensor by tensor: weighted sum, add difference, a VAE baked in, another number format.

Files are read and written in pieces of a few megabytes, so that memory stays small whatever their size. Sums are made
in float32 and rounded once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from webui.catalog.formats.hashing import sha256_of
from webui.catalog.formats.header import (
    Header,
    TensorInfo,
    open_regular,
    read_header,
    said,
)
from webui.catalog.formats.layout import BITS
from webui.catalog.formats.numbers import FLOATS, decode, encode
from webui.catalog.formats.recipes import DTYPES, Recipe, metadata_of
from webui.catalog.formats.recognition import Recognised, recognise
from webui.catalog.formats.writing import Planned, Writer
from webui.errors import ModelFileError, Sentence

__all__ = ["Merged", "merge"]

PIECE = 1 << 20  # numbers at a time
TEXT, TEXT_DEEPER = "cond_stage_model.transformer.", "cond_stage_model.transformer.text_model."
VAE = {"ldm": "first_stage_model.", "diffusers": "vae."}


@dataclass(frozen=True, slots=True)
class Merged:
    """What was written: how many tensors were merged, taken as they were, and left out; `notes` are sentences."""

    path: Path
    sha256: str
    merged: int
    copied: int
    dropped: int
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Source:
    """An open checkpoint. `names` gives a tensor's place by its name in the commonest spelling."""

    header: Header
    file: BinaryIO
    kind: Recognised
    names: dict[str, TensorInfo] = field(init=False)

    def __post_init__(self) -> None:
        self.names = {_common(name): info for name, info in self.header.tensors.items()}

    def numbers(self, info: TensorInfo, start: int, count: int) -> NDArray[Any]:
        return decode(_read(self.header.path, self.file, info, start, count), info.dtype)


def merge(
    recipe: Recipe,
    target: Path,
    progress: Callable[[str, float], None] = lambda what, share: None,
    known_hash: Callable[[Path], str] = lambda path: "",
) -> Merged:
    """Writes the merge to `target`. `progress` hears what is done and the share of it (0..1); `known_hash` gives a
    file's SHA-256 where it is known already, else "".

    Raises `ModelFileError` for files that do not go together, before anything is written where that can be told.
    """
    with ExitStack() as stack:
        sources = [_opened(stack, path, recipe.vae is not None) for path in recipe.models]
        _check_together(sources)
        a = sources[0]
        plan, dropped = _plan(a, recipe)
        baked = {} if recipe.vae is None else _vae(stack, recipe.vae, a)
        prefix = VAE[a.kind.layout]
        if baked:
            plan = {name: one for name, one in plan.items() if not name.startswith(prefix)}
            plan |= {
                name: Planned(name, _dtype(info.dtype, recipe), info.shape)
                for name, (info, _, _) in baked.items()
            }
        hashes = [
            known_hash(path) or sha256_of(path, _hearing(progress, f"hashing {path.name}"))
            for path in recipe.models
        ]
        headers = [source.header for source in sources]
        metadata = metadata_of(recipe, target.stem, headers, hashes, a.kind.inpainting)
        writer = stack.enter_context(Writer(target, list(plan.values()), metadata))
        counts, bad = {"merged": 0, "copied": 0}, []
        whole = sum(math.prod(one.shape) for one in writer.order) or 1
        done = 0
        for one in writer.order:
            if one.name in baked:
                info, header, file = baked[one.name]
                pieces, how = _copied(header.path, file, info, one.dtype), "copied"
            else:
                pieces, how = _pieces(sources, one, recipe)
            counts[how] += 1
            for piece, finite in pieces:
                writer.write(piece)
                if not finite and one.name not in bad:
                    bad.append(one.name)
            done += math.prod(one.shape)
            progress("merging", done / whole)
    notes = _disagreeing(sources) if recipe.method != "none" else []
    notes += [
        Sentence("{name} has numbers that are infinite or none (NaN)", name=name)
        for name in bad[:5]
    ]
    if len(bad) > 5:
        notes.append(Sentence("and so have {number} more", number=len(bad) - 5))
    return Merged(target, writer.sha256, **counts, dropped=dropped, notes=tuple(notes))


def _disagreeing(sources: list[_Source]) -> list[str]:
    """A sentence where files say that their U-Nets predict different things: their merge predicts neither."""
    said = {one.header.path.name: one.kind.prediction for one in sources if one.kind.prediction}
    if len(set(said.values())) < 2:
        return []
    told = ", ".join(f"{name} {prediction}" for name, prediction in said.items())
    first = sources[0].kind.prediction or "what A predicts"
    return [
        Sentence(
            "the models predict different things ({told}); the merge is taken to predict {first}",
            told=told,
            first=first,
        )
    ]


def _opened(stack: ExitStack, path: Path, without_vae: bool) -> _Source:
    header = read_header(path)
    kind = recognise(header, without_vae=without_vae)
    return _Source(header, _open(stack, path), kind)


def _open(stack: ExitStack, path: Path) -> BinaryIO:
    descriptor, _ = open_regular(path)
    return stack.enter_context(open(descriptor, "rb"))


def _check_together(sources: list[_Source]) -> None:
    first = sources[0]
    for other in sources[1:]:
        what, which = other.kind, first.kind
        if (what.kind, what.context_dim) != (which.kind, which.context_dim):
            raise ModelFileError(
                Sentence(
                    "{path} is {family}, {path2} is {family2}; only models of one family "
                    "can be merged",
                    path=other.header.path.name,
                    family=what.family,
                    path2=first.header.path.name,
                    family2=which.family,
                )
            )
        if what.layout != which.layout:
            raise ModelFileError(
                Sentence(
                    "{path} has the {layout} layout, {path2} the {layout2} one; they "
                    "cannot be merged",
                    path=other.header.path.name,
                    layout=what.layout,
                    path2=first.header.path.name,
                    layout2=which.layout,
                )
            )


def _plan(a: _Source, recipe: Recipe) -> tuple[dict[str, Planned], int]:
    """The tensors of the result by name, before a VAE is baked in, and how many of A's are left out."""
    discard = re.compile(recipe.discard) if recipe.discard else None
    plan = {}
    for name, info in a.header.tensors.items():
        if name.startswith("model_ema.") or (discard and discard.search(name)):
            continue
        plan[name] = Planned(name, _dtype(info.dtype, recipe), info.shape)
    if not plan:
        raise ModelFileError(Sentence("nothing is left after what was to be discarded"))
    return plan, len(a.header.tensors) - len(plan)


def _dtype(own: str, recipe: Recipe) -> str:
    if own not in FLOATS:
        return own
    if recipe.dtype is not None:
        return DTYPES[recipe.dtype]
    return "F16" if own.startswith("F8") else own


def _common(name: str) -> str:
    """Older checkpoints have their text encoder's weights one level higher."""
    return TEXT + name.removeprefix(TEXT_DEEPER) if name.startswith(TEXT_DEEPER) else name


# --- One tensor -----------------------------------------------------------------------------------

Pieces = Iterator[tuple[bytes, bool]]  # bytes, and whether all numbers in them are finite


def _pieces(sources: list[_Source], one: Planned, recipe: Recipe) -> tuple[Pieces, str]:
    """The bytes of a tensor of the result, and whether it is "merged" or "copied"."""
    a = sources[0]
    info = a.header.tensors[one.name]
    others = [source.names.get(_common(one.name)) for source in sources[1:]]
    floats = info.dtype in FLOATS and all(o is None or o.dtype in FLOATS for o in others)
    if not floats or not others or others[0] is None:
        return _copied(a.header.path, a.file, info, one.dtype), "copied"
    there = [(source, found) for source, found in zip(sources[1:], others, strict=True) if found]
    for source, found in there:
        if found.shape != info.shape and not _wider(info.shape, found.shape):
            raise ModelFileError(
                Sentence(
                    "{path}: {one} has shape {shape}, in {path2} it is {shape2}",
                    path=source.header.path.name,
                    one=repr(one.name),
                    shape=found.shape,
                    path2=a.header.path.name,
                    shape2=info.shape,
                )
            )
    if any(found.shape != info.shape for _, found in there):
        return _channels(a, info, there, one, recipe), "merged"
    return _flat(a, info, there, one, recipe), "merged"


def _flat(
    a: _Source,
    info: TensorInfo,
    there: list[tuple[_Source, TensorInfo]],
    one: Planned,
    recipe: Recipe,
) -> Pieces:
    count = math.prod(info.shape)
    for start in range(0, count, PIECE):
        size = min(PIECE, count - start)
        others = [source.numbers(found, start, size) for source, found in there]
        yield _encoded(_mixed(a.numbers(info, start, size), others, recipe), one)


def _channels(
    a: _Source,
    info: TensorInfo,
    there: list[tuple[_Source, TensorInfo]],
    one: Planned,
    recipe: Recipe,
) -> Pieces:
    """The first convolution of inpainting and plain models: the channels that both have are merged."""
    own = a.numbers(info, 0, math.prod(info.shape)).reshape(info.shape).copy()
    tensors = [
        source.numbers(found, 0, math.prod(found.shape)).reshape(found.shape)
        for source, found in there
    ]
    width = min(tensor.shape[1] for tensor in [own, *tensors])
    own[:, :width] = _mixed(own[:, :width], [tensor[:, :width] for tensor in tensors], recipe)
    yield _encoded(own, one)


def _mixed(own: NDArray[Any], others: list[NDArray[Any]], recipe: Recipe) -> NDArray[Any]:
    alpha = recipe.alpha
    mixed: NDArray[Any] = own
    if recipe.method == "weighted-sum":
        mixed = own * (1 - alpha) + others[0] * alpha
    elif len(others) == 2:  # what C has not is not changed
        mixed = own + (others[0] - others[1]) * alpha
    return mixed


def _encoded(numbers: NDArray[Any], one: Planned) -> tuple[bytes, bool]:
    try:
        return encode(numbers, one.dtype), bool(np.isfinite(numbers).all())
    except OverflowError as fault:
        raise ModelFileError(
            Sentence("{one}: {why}; use bf16 or fp32", one=one.name, why=fault)
        ) from fault


def _copied(path: Path, file: BinaryIO, info: TensorInfo, dtype: str) -> Pieces:
    """A tensor as it is, in `dtype`."""
    count = math.prod(info.shape)
    for start in range(0, count, PIECE):
        size = min(PIECE, count - start)
        data = _read(path, file, info, start, size)
        if info.dtype not in FLOATS:
            yield data, True
        else:
            yield _encoded(decode(data, info.dtype), Planned(str(path.name), dtype, info.shape))


def _read(path: Path, file: BinaryIO, info: TensorInfo, start: int, count: int) -> bytes:
    bits = BITS[info.dtype]
    try:
        file.seek(info.start + start * bits // 8)
        data = file.read(count * bits // 8)
    except OSError as fault:
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault
    if len(data) != count * bits // 8:
        raise ModelFileError(Sentence("{file}: became shorter while it was read", file=path.name))
    return data


def _wider(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes are those of the first convolution of an inpainting and a plain model."""
    if len(one) != 4 or len(other) != 4 or (one[0], *one[2:]) != (other[0], *other[2:]):
        return False
    few, many = sorted((one[1], other[1]))
    return many == 2 * few + 1


# --- The VAE --------------------------------------------------------------------------------------


def _vae(
    stack: ExitStack, path: Path, a: _Source
) -> dict[str, tuple[TensorInfo, Header, BinaryIO]]:
    """The tensors of the VAE at `path` (a VAE's file or a checkpoint) by their names in the result."""
    header = read_header(path)
    file = _open(stack, path)
    starts = [s for s in VAE.values() if any(name.startswith(s) for name in header.tensors)]
    start = starts[0] if starts else ""
    parts = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
    found = {
        name.removeprefix(start): info
        for name, info in header.tensors.items()
        if name.removeprefix(start).startswith(parts) and name.startswith(start)
    }
    if not any(name.startswith("decoder.conv_out.") for name in found):
        raise ModelFileError(Sentence("{file}: holds no VAE", file=path.name))
    new = start == VAE["diffusers"] or any("_blocks." in name for name in found)
    theirs = "diffusers" if new else "ldm"
    if theirs != a.kind.layout:
        raise ModelFileError(
            Sentence(
                "{file} has the {theirs} layout, {path} the {layout} one; get the VAE "
                "in the checkpoint's layout",
                file=path.name,
                theirs=theirs,
                path=a.header.path.name,
                layout=a.kind.layout,
            )
        )
    prefix = VAE[a.kind.layout]
    for name, info in found.items():
        own = a.header.shape(prefix + name)
        if own is not None and own != info.shape:
            raise ModelFileError(
                Sentence(
                    "{file}: {name} has shape {shape}, the checkpoint's is {own}",
                    file=path.name,
                    name=repr(name),
                    shape=info.shape,
                    own=own,
                )
            )
    return {prefix + name: (info, header, file) for name, info in found.items()}


def _hearing(progress: Callable[[str, float], None], what: str) -> Callable[[int, int], None]:
    return lambda done, size: progress(what, done / max(size, 1))
