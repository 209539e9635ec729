"""Conditions made ready for a sampling: texts of one length, and control networks that are run once."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from webui.errors import ExtensionError, Sentence
from webui.types import Call, Condition, EncodeText, Residuals, RunNetwork, TextCondition

__all__ = ["same_length", "with_residuals"]


def same_length(
    conditions: Sequence[Condition],
) -> Generator[Call, Any, tuple[Condition, ...]]:
    """The conditions with all texts of a model filled up to the same number of places, so that they fit into one call
    of the UNet, and the calls of all steps have one shape.

    A text is filled up with chunks of the empty text, encoded as the text was; one of zeros with zeros. One with a mask
    is filled up with what is not looked at. `ValueError` where it cannot be.
    """
    longest: dict[str, int] = {}
    for cond in conditions:
        known = longest.get(cond.model.name, 0)
        longest[cond.model.name] = max([known, *(len(text.context) for text in cond.texts)])
    chunks: dict[EncodeText, Tensor] = {}
    found = []
    for cond in conditions:
        length, texts = longest[cond.model.name], []
        for text in cond.texts:
            if len(text.context) < length:
                text = yield from _filled(text, length, chunks)
            texts.append(text)
        found.append(replace(cond, texts=tuple(texts)))
    return tuple(found)


def _filled(
    text: TextCondition, length: int, chunks: dict[EncodeText, Tensor]
) -> Generator[Call, Any, TextCondition]:
    context, lacking = text.context, length - len(text.context)
    nothing = context.new_zeros(lacking, context.shape[1])
    if text.mask is not None:
        mask = torch.cat([text.mask, text.mask.new_zeros(lacking)])
        return replace(text, context=torch.cat([context, nothing]), mask=mask)
    if not context.any():  # an empty negative prompt of Stable Diffusion XL
        return replace(text, context=torch.cat([context, nothing]))
    if text.source is None:
        raise ValueError(
            f"a text of {len(context)} places is to be filled up to {length}, and does not say how it was encoded; "
            "make it by dataclasses.replace of what EncodeText gives, or give it a mask"
        )
    empty = replace(text.source, prompt="", negative_prompt="")
    if empty not in chunks:
        chunks[empty] = (yield empty).conds[0].context
    chunk = chunks[empty]
    if lacking % len(chunk):
        raise ValueError(
            f"a text of {len(context)} places cannot be filled up to {length} by chunks of {len(chunk)}"
        )
    return replace(text, context=torch.cat([context, *[chunk] * (lacking // len(chunk))]))


def with_residuals(cond: Condition) -> Generator[Call, Any, Condition]:
    """`cond` with what those of its control networks give that are run once."""
    found = []
    for control in cond.control_networks:
        if control.once and control.residuals is None:
            inputs = {name: tensor[None] for name, tensor in control.inputs.items()}
            given = yield RunNetwork(control.network, named=inputs)
            if not isinstance(given, Residuals):
                owner, what = control.network.owner, f"network {control.network.key}"
                raise ExtensionError(
                    owner, what, Sentence("gave {name}; give Residuals", name=type(given).__name__)
                )
            control = replace(control, residuals=given)
        found.append(control)
    return replace(cond, control_networks=tuple(found))
