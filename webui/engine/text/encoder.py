"""A model's text encoders: prompt and negative prompt to the tensors that a U-Net attends to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from webui.engine.text.chunks import Chunk, count, framed, weighted
from webui.engine.text.inversions import Inversion, embedded
from webui.engine.text.tokenizer import Tokenizer
from webui.engine.text.tower import Tower
from webui.engine.text.words import Words
from webui.types import TextCondition

__all__ = ["TextEncoder"]


class TextEncoder:
    """One text encoder or several side by side. Belongs to the thread that owns the device.

    D is the sum of their widths, and a chunk is as many tokens as they have places (77), two of them for start and end.
    `zeros`: an empty negative prompt counts as zeros rather than as an empty text.
    """

    def __init__(self, *towers: Tower, zeros: bool = False) -> None:
        self.towers = towers
        self.zeros = zeros
        self.chunk = towers[0].places - 2

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
        return max(tower.pooled_width for tower in self.towers)

    def count(self, text: str) -> int:
        """How many places `text` takes, start and end not counted. Any thread may ask."""
        return count(self.tokenizer, text, self.chunk)

    @torch.inference_mode()
    def encode(
        self,
        prompt: str,
        negative: str,
        clip_skip: int = 1,
        inversions: Sequence[Inversion] = (),
    ) -> TextCondition:
        """Both texts as [77 * chunks, D] in the models' dtype on their device, and what stands for each as a whole.
        The names of `inversions` are words that are vectors.

        The shorter text is filled up with chunks of the empty prompt. `clip_skip` counts layers from the end, as
        A1111 does: 1 is the last, or the last that the family uses.
        """
        sides: list[tuple[Tensor, Tensor]] = []
        pooled: tuple[Tensor, Tensor] | None = None
        texts = (prompt, negative)
        known = [
            Words(tower.tokenizer, inversions) if inversions else tower.tokenizer
            for tower in self.towers
        ]
        most = max(len(weighted(words, text, self.chunk)) for words in known for text in texts)
        for number, (tower, words) in enumerate(zip(self.towers, known, strict=True)):
            vectors = [one.vectors[number] for one in inversions]
            with embedded(tower.inner, torch.cat(vectors)) if vectors else nullcontext():
                states, whole = _encoded(tower, words, texts, most, self.chunk, clip_skip)
            sides.append((states[0], states[1]))
            if whole is not None:
                pooled = whole[0], whole[1]
        cond, uncond = (torch.cat(parts, dim=-1) for parts in zip(*sides, strict=True))
        nothing = self.zeros and not negative.strip()
        if nothing:
            uncond = torch.zeros_like(uncond)
        if pooled is None:
            return TextCondition(cond, uncond)
        return TextCondition(
            cond, uncond, pooled[0], torch.zeros_like(pooled[1]) if nothing else pooled[1]
        )


def _encoded(
    tower: Tower,
    known: Tokenizer | Words,
    texts: Sequence[str],
    most: int,
    size: int,
    clip_skip: int,
) -> tuple[Tensor, Tensor | None]:
    """Each text as [most * 77, D], and [texts, P] where the tower has a projection: of a text's first chunk."""
    rows: list[Chunk] = []  # [texts * most]
    for text in texts:
        chunks = weighted(known, text, size)
        rows += [*chunks, *(Chunk() for _ in range(most - len(chunks)))]
    device = tower.model.device
    ids = [framed(chunk.ids, size, known.start, known.end, tower.pad) for chunk in rows]
    ends = torch.tensor([1 + len(chunk.ids) for chunk in rows], device=device)
    states, pooled = tower.states(torch.tensor(ids, device=device), clip_skip, ends)
    if not all(chunk.plain for chunk in rows):
        states = torch.stack(
            [_emphasised(state, chunk) for state, chunk in zip(states, rows, strict=True)]
        )
    return states.reshape(len(texts), most * states.shape[1], -1), (
        None if pooled is None else pooled[::most]
    )


def _emphasised(states: Tensor, chunk: Chunk) -> Tensor:
    """A chunk's states [77, D] times its tokens' weights, with the mean that they had before."""
    if chunk.plain:
        return states
    weights = torch.ones(len(states), device=states.device)
    weights[1 : 1 + len(chunk.weights)] = torch.tensor(chunk.weights, device=states.device)
    weighed = states.float() * weights[:, None]
    return (weighed * (states.float().mean() / weighed.mean())).to(states.dtype)
