"""Encoded texts, as parts of the cache of all that is in memory, and those that are being encoded."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from weakref import WeakValueDictionary

from webui.engine.part_cache import Part, PartCache
from webui.engine.text.encoder import EncodedTexts

__all__ = ["TEXT", "Encoding", "TextCache"]

TEXT = "encoded text"


class Encoding:
    """A text that is being encoded by `run`, a slice a step; `text` is what came of it, with `notes`, `fault` why
    nothing did."""

    def __init__(
        self,
        key: Hashable,
        run: Iterator[None],
        text: EncodedTexts | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.key = key
        self.notes = notes
        self.run = run
        self.text = text
        self.fault: Exception | None = None


class TextCache:
    """Texts by what was encoded, for a load of a model. Who asks for one that somebody is at shares it."""

    def __init__(self, parts: PartCache) -> None:
        self._parts = parts
        self.begun: WeakValueDictionary[Hashable, Encoding] = WeakValueDictionary()

    def find(self, key: Hashable) -> EncodedTexts | None:
        """The text of that key, which is a use of it."""
        found: EncodedTexts | None = self._parts.use((TEXT, key))
        return found

    def keep(self, serial: int, key: Hashable, text: EncodedTexts) -> EncodedTexts:
        """Keeps a text for the model whose networks have that serial; gives it."""
        tensors = (text.cond, text.uncond, text.pooled_cond, text.pooled_uncond)
        size = sum(tensor.nbytes for tensor in tensors if tensor is not None)
        self._parts.add(Part((TEXT, key), TEXT, text, size, group=serial, movable=False))
        return text
