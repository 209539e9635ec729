"""A model's text encoders: prompt and negative prompt to the tensors that a U-Net attends to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from webui.engine.text.chunks import Chunk, count, weighted, with_special_tokens
from webui.engine.text.clip_text_model import ClipTextModel
from webui.engine.text.inversions import Inversion, embedded
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.text.words import Words
from webui.errors import EaselError, RequestError, Sentence
from webui.prompt import Prompt, parse
from webui.types import Condition, EncodeText, TextCondition

__all__ = ["SLICE", "EncodedTexts", "TextEncoder"]

SLICE = 8  # chunks of one call: those of prompt and negative prompt of up to four each


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """A prompt and its negative prompt, `cond` and `uncond` each [77 * chunks, D], padded to the same number of chunks.

    `pooled_cond` and `pooled_uncond` [P] stand for each text as a whole, None for models that do not ask for it.
    `notes` are sentences about words that were not read as they were meant.
    """

    cond: Tensor
    uncond: Tensor
    pooled_cond: Tensor | None = None
    pooled_uncond: Tensor | None = None
    notes: tuple[str, ...] = ()

    def condition(self, call: EncodeText) -> Condition:
        """The reply to the call that they were encoded for."""
        cond = TextCondition(self.cond, "cond", pooled=self.pooled_cond, source=call)
        uncond = TextCondition(self.uncond, "uncond", pooled=self.pooled_uncond, source=call)
        return Condition(call.model, (cond, uncond), notes=self.notes)


class TextEncoder:
    """One text encoder or several side by side; none for a model whose texts are handed in as they are. Belongs to the
    thread that owns the device.

    D is the sum of their widths, and a chunk is as many tokens as they have places (77), two of them for start and end.
    `zeros`: an empty negative prompt counts as zeros rather than as an empty text.
    """

    def __init__(self, *towers: ClipTextModel, zeros: bool = False) -> None:
        self.towers = towers
        self.zeros = zeros
        self.chunk = towers[0].places - 2 if towers else 0

    @property
    def tokenizer(self) -> Tokenizer:
        return self.towers[0].tokenizer

    @property
    def model(self) -> Any:
        """The network of the first text encoder."""
        return self.towers[0].model

    @property
    def width(self) -> int:
        return sum(tower.width for tower in self.towers)

    @property
    def pooled_width(self) -> int:
        """The width P of what stands for a whole text, 0 where no tower has a projection."""
        return max((tower.pooled_width for tower in self.towers), default=0)

    def count(self, text: str) -> int:
        """How many places `text` takes, start and end not counted. Any thread may ask."""
        return count(self.tokenizer, parse(text).pieces(), self.chunk)

    @torch.inference_mode()
    def encode(
        self,
        prompt: str | Prompt,
        negative: str | Prompt,
        clip_skip: int = 1,
        inversions: Sequence[Inversion] = (),
    ) -> EncodedTexts:
        """What `encoding` comes to, without a pause."""
        run = self.encoding(prompt, negative, clip_skip, inversions)
        while True:
            try:
                next(run)
            except StopIteration as stop:
                done: EncodedTexts = stop.value
                return done

    def encoding(
        self,
        prompt: str | Prompt,
        negative: str | Prompt,
        clip_skip: int = 1,
        inversions: Sequence[Inversion] = (),
        worn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Generator[None, None, EncodedTexts]:
        """Both texts as [77 * chunks, D] in the models' dtype on their device, and what stands for each as a whole;
        pauses after each `SLICE` of chunks, so that a long text holds nobody up. Each is encoded in `worn()`. The names
        of `inversions` are words that are vectors, in a prompt that was parsed with them.

        The shorter text is filled up with chunks of the empty prompt. `clip_skip` counts layers from the end, as
        A1111 does: 1 is the last, or the last that the family uses.
        """
        if not self.towers:
            raise EaselError(
                Sentence("this model reads no text: its texts are handed in as they are")
            )
        sides: list[tuple[Tensor, Tensor]] = []
        pooled: tuple[Tensor, Tensor] | None = None
        known = [
            Words(tower.tokenizer, inversions) if inversions else tower.tokenizer
            for tower in self.towers
        ]
        names = [one.name for one in inversions]
        prompts = [
            parse(text, names) if isinstance(text, str) else text for text in (prompt, negative)
        ]
        there = known[0].known if isinstance(known[0], Words) else ()
        pieces = [one.pieces(there) for one in prompts]
        both = [[weighted(words, text, self.chunk) for text in pieces] for words in known]
        most = max(len(text) for texts in both for text in texts)
        for number, (tower, words, texts) in enumerate(zip(self.towers, known, both, strict=True)):
            rows = [chunk for text in texts for chunk in [*text, *_empty(most - len(text))]]
            index, distinct = _distinct(rows)
            vectors = [one.vectors[number] for one in inversions]
            found: list[tuple[Tensor, Tensor | None]] = []
            for first in range(0, len(distinct), SLICE):
                if found or number:
                    yield
                beside = embedded(tower.inner, torch.cat(vectors)) if vectors else nullcontext()
                with worn(), beside:
                    part = distinct[first : first + SLICE]
                    found.append(_encoded(tower, words, part, self.chunk, clip_skip))
            states = torch.cat([part for part, _ in found])[index]  # [2 * most, 77, D]
            sides.append((states[:most].flatten(0, 1), states[most:].flatten(0, 1)))
            wholes = [whole for _, whole in found if whole is not None]
            if wholes:  # a text's first chunk stands for it
                whole = torch.cat(wholes)[index]
                pooled = whole[0], whole[most]
        cond, uncond = (torch.cat(parts, dim=-1) for parts in zip(*sides, strict=True))
        nothing = self.zeros and not prompts[1].words.strip()
        if nothing:
            uncond = torch.zeros_like(uncond)
        if pooled is None:
            return EncodedTexts(cond, uncond)
        return EncodedTexts(
            cond, uncond, pooled[0], torch.zeros_like(pooled[1]) if nothing else pooled[1]
        )


def _empty(count: int) -> list[Chunk]:
    return [Chunk() for _ in range(count)]


def _distinct(rows: list[Chunk]) -> tuple[list[int], list[Chunk]]:
    """Where each row is found among those that are to be encoded: all, or, of a long text, each once (the chunks that
    fill up the shorter text are alike)."""
    if len(rows) <= SLICE:
        return list(range(len(rows))), rows
    places: dict[tuple[tuple[int, ...], tuple[float, ...]], int] = {}
    index = [places.setdefault((tuple(row.ids), tuple(row.weights)), len(places)) for row in rows]
    return index, [Chunk(list(ids), list(weights)) for ids, weights in places]


def _encoded(
    tower: ClipTextModel, known: Tokenizer | Words, rows: Sequence[Chunk], size: int, clip_skip: int
) -> tuple[Tensor, Tensor | None]:
    """Chunks as [rows, 77, D], and [rows, P] where the tower has a projection."""
    device = tower.model.device
    ids = [
        with_special_tokens(chunk.ids, size, known.start, known.end, tower.pad) for chunk in rows
    ]
    ends = torch.tensor([1 + len(chunk.ids) for chunk in rows], device=device)
    states, pooled = tower.states(torch.tensor(ids, device=device), clip_skip, ends)
    if not all(chunk.plain for chunk in rows):
        weighed = [_emphasised(state, chunk) for state, chunk in zip(states, rows, strict=True)]
        states = torch.stack(weighed)
    return states, pooled


def _emphasised(states: Tensor, chunk: Chunk) -> Tensor:
    """A chunk's states [77, D] times its tokens' weights, with the mean that they had before."""
    if chunk.plain:
        return states
    weights = torch.ones(len(states), device=states.device)
    weights[1 : 1 + len(chunk.weights)] = torch.tensor(chunk.weights, device=states.device)
    weighed = states.float() * weights[:, None]
    ratio = states.float().mean() / weighed.mean()
    if ratio.isfinite():  # else there is no mean that could stay
        weighed = weighed * ratio
    weighed = weighed.to(states.dtype)
    if not weighed.isfinite().all() and states.isfinite().all():
        raise RequestError(
            Sentence("prompt: its weights are too large, or cancel each other; use smaller ones"),
            "prompt",
        )
    return weighed
