"""Calls that stand for several: a task yields the simple one, the engine makes what it takes.

A prompt's `<lora:...>` becomes adapters that are loaded, a text that is encoded with them, and a patch of the U-Net.
The VAE is the one that the request names. A large picture is decoded in tiles, each a call, so that others' steps go on
in between. No task knows of any of it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

import torch

from webui.engine.adapters.patch import LoraPatch
from webui.engine.adapters.tags import extract_network_tags
from webui.engine.tiling import VaeTile, tiled
from webui.engine.vae import TILED_ABOVE
from webui.errors import ModelFileError, RequestError
from webui.types import (
    Call,
    Condition,
    Decode,
    Encode,
    EncodeText,
    LoadAdapters,
    LoadModel,
    LoadVae,
)

__all__ = ["expanded"]

USUAL = 4  # strengths of adapters either side of 0
log = logging.getLogger(__name__)


def expanded(
    run: Generator[Call, Any, Any],
    vae: str,
    notes: dict[str, Any],
    warnings: list[str],
    missing: str = "refuse",
) -> Generator[Call, Any, Any]:
    """Forwards the calls of a picture's task. `vae` and `missing` are the request's; `notes` gets what the infotext is
    to say, `warnings` the sentences that are told on the picture."""
    chosen = ""  # the VAE's name; the model's own has none
    strong: list[str] = []  # tags with unusual strengths
    reply: Any = None
    try:
        while True:
            call = run.send(reply)
            match call:
                case LoadModel():
                    reply = yield call
                    warnings.extend(one for one in reply.remarks if one not in warnings)
                    chosen = yield LoadVae(reply, vae)
                    if chosen:
                        notes["VAE"] = chosen
                case EncodeText():
                    strong += [
                        f"<{tag.kind}:{tag.name}>"
                        for tag in extract_network_tags(call.prompt)[1]
                        if max(abs(tag.text), abs(tag.unet)) > USUAL
                    ]
                    reply = yield from _encoded(call, notes, warnings, missing)
                case Decode():
                    try:
                        reply = yield from _decoded(replace(call, vae=chosen))
                    except ModelFileError as fault:
                        if not strong:
                            raise
                        raise RequestError(
                            f"prompt: the picture came to no numbers; the strength of {strong[0]} is too large",
                            "prompt",
                        ) from fault
                case Encode():
                    reply = yield replace(call, vae=chosen)
                case _:
                    reply = yield call
    except StopIteration as stop:
        return stop.value
    finally:
        run.close()


def _encoded(
    call: EncodeText, notes: dict[str, Any], warnings: list[str], missing: str
) -> Generator[Call, Any, Condition]:
    """The texts without tags, encoded with the adapters that the prompt's tags name."""
    prompt, tags, faults = extract_network_tags(call.prompt)
    negative, idle, more = extract_network_tags(call.negative_prompt)
    told = [*faults, *more, *(note for tag in tags for note in tag.notes)]
    told += [
        f"<{tag.kind}:{tag.name}> in the negative prompt does nothing; write it into the prompt."
        for tag in idle
    ]
    call = replace(call, prompt=prompt, negative_prompt=negative)
    lora: LoraPatch | None = None
    if tags:
        loras = tuple((tag.name, tag.text, tag.unet) for tag in tags if tag.kind == "lora")
        others = tuple((tag.name, tag.unet) for tag in tags if tag.kind == "hypernet")
        lora = yield LoadAdapters(call.model, loras, others, missing)
        told += lora.notes
        if lora.unet:
            notes["Lora hashes"] = lora.hashes
    _tell(told, warnings)
    if not lora:
        plain: Condition = yield call
        _tell(plain.text.notes, warnings)
        return plain
    cond: Condition = yield replace(call, lora=lora)
    _tell(cond.text.notes, warnings)
    return replace(cond, patches=(*cond.patches, lora))


def _tell(sentences: Iterable[str], warnings: list[str]) -> None:
    """Each once, however often a picture's texts are encoded."""
    for sentence in sentences:
        if sentence not in warnings:
            log.warning(sentence)
            warnings.append(sentence)


def _decoded(call: Decode) -> Generator[Any, Any, Any]:
    scale = call.model.downscale
    if call.latent.shape[-1] * call.latent.shape[-2] * scale**2 <= TILED_ABOVE:
        return (yield call)
    tiles = tiled("decode", call.latent[None], scale)
    try:
        tile = next(tiles)
        while True:
            tile = tiles.send((yield VaeTile(call.model, call.vae, tile)))
    except StopIteration as stop:
        pixels = stop.value
    levels = ((pixels[0] / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).cpu()
