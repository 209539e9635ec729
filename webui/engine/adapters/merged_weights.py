"""Weights that adapters have changed, kept between calls as parts of the cache of all that is in memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor

from webui.engine.adapters.names import Target
from webui.engine.part_cache import Part, PartCache

if TYPE_CHECKING:
    from webui.engine.adapters.applying import AdapterStrengths
    from webui.engine.adapters.files import LoadedAdapter
    from webui.engine.adapters.hypernetworks import Hypernetwork

__all__ = ["MergedWeightCache", "names_of"]

KIND = "merged weights"


class MergedWeightCache:
    """Changed weights by the adapters and strengths that they were made with. They can be made anew, so they push out
    nothing that was read from a file; a call that works with them may have some beyond the budget."""

    def __init__(self, parts: PartCache) -> None:
        self._parts = parts

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self._parts if part.kind == KIND)

    @contextmanager
    def using(self, uses: AdapterStrengths) -> Iterator[None]:
        """Around a call that works with these adapters: what is kept for them stays, and counts as used."""
        key = _key(uses)
        if uses and key not in self._parts:
            serial = uses[0][0].serial
            self._parts.add(Part(key, KIND, {}, 0, group=serial, movable=False))
        with self._parts.using([key] if uses else []):
            yield

    def find(self, uses: AdapterStrengths, target: Target) -> Tensor | None:
        """The weight that is kept for these adapters."""
        part = self._parts.find(_key(uses))
        found: Tensor | None = None if part is None else part.value.get(target)
        return found

    def keep(self, uses: AdapterStrengths, target: Target, weight: Tensor) -> None:
        """Keeps a weight if there is room, or room can be made of other adapters'."""
        if self._parts.grow(_key(uses), weight.nbytes):
            part = self._parts.find(_key(uses))
            assert part is not None
            part.value[target] = weight

    def forget(self, adapter: LoadedAdapter | Hypernetwork) -> None:
        """What was made with an adapter goes first: its file was replaced."""
        name = _name(adapter)
        for part in self._parts:
            if part.kind == KIND and any(one == name for one, _ in part.key[1]):  # type: ignore[index]
                self._parts.retire(part.key)


def _key(uses: AdapterStrengths) -> Hashable:
    return KIND, names_of(uses)


def names_of(uses: AdapterStrengths) -> tuple[Hashable, ...]:
    """What tells adapters and their strengths apart, without the adapters: what is kept by it keeps none in memory."""
    return tuple((_name(one), strength) for one, strength in uses)


def _name(adapter: LoadedAdapter | Hypernetwork) -> Hashable:
    return adapter.serial, adapter.path, adapter.version
