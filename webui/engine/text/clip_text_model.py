"""One text encoder: rows of tokens to hidden states. Knows CLIP's layers; knows no prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from webui.engine.text.tokenizer import Tokenizer

__all__ = ["ClipTextModel"]


@dataclass(frozen=True, slots=True, eq=False)
class ClipTextModel:
    """A transformers `CLIPTextModel` or `CLIPTextModelWithProjection` on its device, behind its tokenizer.

    `pad` fills up a text. `skip_layers` is how many layers from the end the family always leaves out: 0 reads the
    last one. `final_norm`: what is read goes through the final layer norm. `missing_layers` is how many layers beyond
    those the network itself lacks (Stable Diffusion 2 is shipped without the last one), so that clip skip counts as
    ever.
    """

    tokenizer: Tokenizer
    model: Any
    pad: int
    skip_layers: int = 0
    final_norm: bool = True
    missing_layers: int = 0

    @property
    def inner(self) -> Any:
        """The transformer itself, which one with a projection holds inside."""
        return getattr(self.model, "text_model", self.model)

    @property
    def width(self) -> int:
        return int(self.inner.config.hidden_size)

    @property
    def pooled_width(self) -> int:
        projection = getattr(self.model, "text_projection", None)
        return 0 if projection is None else int(projection.weight.shape[0])

    @property
    def places(self) -> int:
        """Tokens of one text, start and end included."""
        return int(self.inner.config.max_position_embeddings)

    def states(self, ids: Tensor, clip_skip: int, ends: Tensor) -> tuple[Tensor, Tensor | None]:
        """Hidden states [B, T, D] of token numbers [B, T], and what stands for each text as a whole [B, P].

        `clip_skip` counts as A1111 does, 1 is the last layer; the family's own layer is the latest one read.
        The second is None without a projection; it is read at the places `ends` [B], always after the last layer.
        """
        back = max(clip_skip - 1 - self.missing_layers, self.skip_layers)
        model = self.inner
        if back == 0 and self.final_norm:
            last: Tensor = model(input_ids=ids).last_hidden_state  # after the final layer norm
            return last, self._pooled(last, ends)
        output = model(input_ids=ids, output_hidden_states=True)
        layers = output.hidden_states  # of the embeddings and of every layer
        states: Tensor = layers[max(1, len(layers) - 1 - back)]
        if self.final_norm:
            states = model.final_layer_norm(states)
        return states, self._pooled(output.last_hidden_state, ends)

    def _pooled(self, last: Tensor, ends: Tensor) -> Tensor | None:
        projection = getattr(self.model, "text_projection", None)
        if projection is None:
            return None
        pooled: Tensor = projection(last[torch.arange(len(last), device=last.device), ends])
        return pooled
