"""Calls that stand for several: a task yields the simple one, the engine makes what it takes.

A prompt's `<lora:...>` becomes adapters that are loaded, a text that is encoded with them, and a patch of the U-Net.
The VAE is the one that the request names. A large picture is decoded in tiles, each a call, so that others' steps go on
in between. No task knows of any of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from webui.engine.adapters.patch import LoraPatch
from webui.engine.tiling import VaeTile, tiled
from webui.engine.vae import TILED_ABOVE
from webui.errors import ModelFileError, RequestError, Sentence
from webui.prompt import Prompt, Tag, parse
from webui.types import (
    Call,
    Condition,
    Decode,
    Denoise,
    Encode,
    EncodeText,
    LoadAdapters,
    LoadModel,
    LoadVae,
    Model,
)

__all__ = ["Account", "expanded"]

HASHES = "Lora hashes"  # in the infotext, as A1111 has it
USUAL = 4  # strengths of adapters either side of 0
log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Account:
    """What the calls of a picture come to beside it: `notes` for its infotext, `warnings` told on it, the models whose
    UNets were called for it (`sampled`, by name, in that order), and the one whose VAE was used last."""

    notes: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    sampled: dict[str, Model] = field(default_factory=dict)
    decoded: Model | None = None

    def uses_vae(self, model: Model, name: str) -> None:
        """The picture came through the VAE of that name, "" for the model's own."""
        self.decoded = model
        if name:
            self.notes["VAE"] = name
        else:
            self.notes.pop("VAE", None)

    @property
    def model(self) -> Model | None:
        """The model that the infotext names first: the first that sampled, else the one of the VAE."""
        return next(iter(self.sampled.values()), self.decoded)


def expanded(
    run: Generator[Call, Any, Any],
    vae: str,
    account: Account,
    missing: str = "refuse",
    read: Callable[[str], Prompt] = parse,
) -> Generator[Call, Any, Any]:
    """Forwards the calls of a picture's task. `vae` and `missing` are the request's; `read` gives a text as it was
    parsed."""
    chosen: dict[str, str] = {}  # the VAE of each model by the models' names, "" for its own
    strong: list[str] = []  # tags with unusual strengths
    reply: Any = None
    try:
        while True:
            call = run.send(reply)
            match call:
                case LoadModel():
                    reply = yield call
                    account.warnings += [
                        one for one in reply.remarks if one not in account.warnings
                    ]
                    chosen[reply.name] = yield LoadVae(reply, vae)
                    account.uses_vae(reply, chosen[reply.name])
                case EncodeText():
                    prompt, negative = _read(call.prompt, read), _read(call.negative_prompt, read)
                    tags = prompt.tags if isinstance(call.prompt, str) else ()
                    strong += [
                        f"<{tag.kind}:{tag.name}>"
                        for tag in tags
                        if max(abs(tag.text), abs(tag.unet)) > USUAL
                    ]
                    _tell(_remarks(call, prompt, negative), account.warnings)
                    call = replace(call, prompt=prompt, negative_prompt=negative)
                    reply = yield from _encoded(call, tags, account, missing)
                case Denoise():
                    account.sampled.setdefault(call.model.name, call.model)
                    reply = yield call
                case Decode():
                    name = chosen.get(call.model.name, "")
                    account.uses_vae(call.model, name)
                    try:
                        reply = yield from _decoded(replace(call, vae=name))
                    except ModelFileError as fault:
                        if not strong:
                            raise
                        raise RequestError(
                            Sentence(
                                "prompt: the picture came to no numbers; the strength of {strong} is "
                                "too large",
                                strong=strong[0],
                            ),
                            "prompt",
                        ) from fault
                case Encode():
                    reply = yield replace(call, vae=chosen.get(call.model.name, ""))
                case _:
                    reply = yield call
    except StopIteration as stop:
        return stop.value
    finally:
        run.close()


def _read(text: str | Prompt, read: Callable[[str], Prompt]) -> Prompt:
    return read(text) if isinstance(text, str) else text


def _remarks(call: EncodeText, prompt: Prompt, negative: Prompt) -> list[str]:
    """What is said of the tags in a call's texts; of one that was handed on parsed it was said before."""
    told: list[str] = []
    if isinstance(call.prompt, str):
        told += prompt.notes()
    if isinstance(call.negative_prompt, str):
        told += negative.notes(negative=True)
    return told


def _encoded(
    call: EncodeText, tags: Sequence[Tag], account: Account, missing: str
) -> Generator[Call, Any, Condition]:
    """Parsed texts, encoded with the adapters that `tags` name."""
    lora: LoraPatch | None = None
    if tags:
        loras = tuple((tag.name, tag.text, tag.unet) for tag in tags if tag.kind == "lora")
        others = tuple((tag.name, tag.unet) for tag in tags if tag.kind == "hypernet")
        lora = yield LoadAdapters(call.model, loras, others, missing)
        _tell(lora.notes, account.warnings)
        _note_hashes(account.notes, lora)
    cond: Condition = yield replace(call, lora=lora) if lora else call
    _tell(cond.notes, account.warnings)
    return cond.changed(patches=(lora,)) if lora else cond


def _note_hashes(notes: dict[str, Any], lora: LoraPatch) -> None:
    """Those of every text of a picture, each once."""
    former = notes.get(HASHES, "")
    known = former.split(", ") if former else []
    if told := [*known, *(one for one in lora.hashes if one not in known)]:
        notes[HASHES] = ", ".join(told)


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
