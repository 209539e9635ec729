"""The text encoder: prompt and negative prompt to the tensors that a U-Net attends to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from webui.engine.text.chunks import cut, framed
from webui.engine.text.tokenizer import Tokenizer
from webui.types import TextCondition

__all__ = ["TextEncoder"]


class TextEncoder:
    """CLIP's text model behind its tokenizer. Belongs to the thread that owns the device.

    `model` is a transformers `CLIPTextModel` on its device; D is its width, and a chunk is as many tokens as it has
    positions (77), two of them for start and end.
    """

    def __init__(self, tokenizer: Tokenizer, model: Any) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.chunk = int(model.config.max_position_embeddings) - 2

    def count(self, text: str) -> int:
        """How many tokens `text` has, start and end not counted. Any thread may ask."""
        return len(self.tokenizer.tokens(text))

    @torch.inference_mode()
    def encode(self, prompt: str, negative: str) -> TextCondition:
        """Both texts as [77 * chunks, D] in the model's dtype on its device.

        The shorter text is filled up with chunks of the empty prompt.
        """
        texts = [self._pieces(prompt), self._pieces(negative)]
        most = max(map(len, texts))
        ids = [self._framed([*pieces, *[[]] * (most - len(pieces))]) for pieces in texts]
        rows = torch.tensor(ids, device=self.model.device).flatten(0, 1)  # [2 * most, 77]
        states: Tensor = self.model(input_ids=rows).last_hidden_state  # after the final layer norm
        cond, uncond = states.reshape(2, most * rows.shape[1], -1)
        return TextCondition(cond, uncond)

    def _pieces(self, text: str) -> list[list[int]]:
        return cut(self.tokenizer.tokens(text), self.chunk, self.tokenizer.comma)

    def _framed(self, pieces: Sequence[Sequence[int]]) -> list[list[int]]:
        known = self.tokenizer
        return [framed(piece, self.chunk, known.start, known.end, known.pad) for piece in pieces]
