"""What networks are told of a picture, as named tensors with a row for each row of a call.

`context` [R, T, D] are the texts, `pooled` [R, P] what stands for each as a whole, `sizes` [R, n] numbers about the
picture (the micro-conditioning of Podell et al. 2023), `mask` [R, T] which places of a text are looked at. Which of
them a network is given, its family says.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from webui.catalog.families import Family
from webui.engine.placement import Placement
from webui.errors import EaselError, Sentence
from webui.types import Model, Row, SizeConditioning

__all__ = ["conditioning", "numbers"]


def conditioning(
    family: Family,
    model: Model,
    place: Placement,
    rows: Sequence[Row],
    sizes: Sequence[SizeConditioning],
) -> dict[str, Tensor]:
    """The named tensors of `rows` for a model of `family`; `sizes` has one for each row.

    `EaselError` where a row lacks what the family's networks need.
    """
    if sentence := _misfit(model, rows):
        raise EaselError(sentence)
    texts = torch.stack([row.context for row in rows])
    named = {"context": texts.to(place.device, place.dtype)}
    if family.pooled:
        pooled = [row.pooled for row in rows if row.pooled is not None]
        if len(pooled) < len(rows):
            raise EaselError(
                Sentence(
                    "model {model} needs a pooled text with each text, and a text came "
                    "without one; change texts by dataclasses.replace, so that it stays",
                    model=repr(model.name),
                )
            )
        named["pooled"] = torch.stack(pooled).to(place.device, place.dtype)
    if family.sizes:
        told = tuple(
            numbers(size, family, row.role == "uncond")
            for row, size in zip(rows, sizes, strict=True)
        )
        named["sizes"] = _on(place.device, told).clone()  # whoever is given it may write on it
    if any(row.mask is not None for row in rows):
        named["mask"] = torch.stack([_looked_at(row) for row in rows])
    return named


def _misfit(model: Model, rows: Sequence[Row]) -> str:
    """A sentence where texts are not of the model's width, or not of one length; "" where they fit."""
    for row in rows:
        if row.context.shape != rows[0].context.shape or row.context.shape[-1] != model.context_dim:
            shapes = " and ".join(
                dict.fromkeys(str(tuple(one.context.shape)) for one in (rows[0], row))
            )
            return Sentence(
                "model {model} takes texts of one length and {context_dim} wide, and "
                "was given {shapes}; encode each text for the model that it steers",
                model=repr(model.name),
                context_dim=model.context_dim,
                shapes=shapes,
            )
        if model.pooled_dim and row.pooled is not None and len(row.pooled) != model.pooled_dim:
            return Sentence(
                "model {model} takes pooled texts of {pooled_dim} numbers, and was "
                "given {number}; encode each text for the model that it steers",
                model=repr(model.name),
                pooled_dim=model.pooled_dim,
                number=len(row.pooled),
            )
    return ""


def _looked_at(row: Row) -> Tensor:
    """Which places of its text a row is shown, [T]."""
    if row.mask is not None:
        return row.mask.to(row.context.device, torch.bool)
    return torch.ones(len(row.context), dtype=torch.bool, device=row.context.device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _on(device: torch.device, told: tuple[tuple[float, ...], ...]) -> Tensor:
    """Numbers on a device, sent there once: they stay the same over the steps of a sampling."""
    return torch.tensor(told, device=device, dtype=torch.float32)


def numbers(size: SizeConditioning, family: Family, negative: bool) -> tuple[float, ...]:
    """The numbers that the networks of `family` are told, heights before widths and tops before lefts. What is said of
    the negative prompt differs where it is how pleasing the picture is."""
    told: list[float] = []
    for field in family.sizes:
        if field == "aesthetic":
            told.append(size.negative_aesthetic if negative else size.aesthetic)
        else:
            told += getattr(size, field)[::-1]
    return tuple(told)
