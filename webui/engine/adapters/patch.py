"""Adapters as a patch of one request: what its calls are made with, and no other's."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from webui.engine.adapters import hypernetworks
from webui.engine.adapters.applying import AdapterStrengths, applied
from webui.engine.adapters.files import LoadedAdapter
from webui.engine.adapters.hypernetworks import Hypernetwork, HypernetworkUses
from webui.engine.adapters.merged_weights import MergedWeightCache, names_of
from webui.types import Model, Patch

__all__ = ["LoraPatch"]


@dataclass(frozen=True, slots=True)
class LoraPatch(Patch):
    """Adapters with their strengths in the U-Net and in the text encoders. Equal ones share a batch.

    `hashes` is what the infotext says of them, `notes` what of their files had no place in the model, and what is
    `told` of the tags. Hypernetworks are of the U-Net alone.
    """

    unet: AdapterStrengths
    text: AdapterStrengths
    merged: MergedWeightCache = field(compare=False, repr=False)
    hypernetworks: HypernetworkUses = ()
    told: tuple[str, ...] = field(default=(), compare=False)

    def key(self) -> str:
        """By the files' contents, so that it is the same after a restart."""
        loras = [(one.name, one.hash, strength) for one, strength in self.unet]
        texts = [strength for _, strength in self.text]
        others = [(one.name, one.version, strength) for one, strength in self.hypernetworks]
        return f"loras {loras} {texts} {others}"

    @property
    def text_key(self) -> Hashable:
        """What a text that was encoded with it is kept by: keeps no adapter in memory."""
        return names_of(self.text)

    def misfit(self, model: Model) -> str:
        uses: tuple[tuple[LoadedAdapter | Hypernetwork, float], ...]
        uses = (*self.unet, *self.hypernetworks)
        for one, _ in uses:
            if one.model != model.name:
                return (
                    f"{one.name!r} was loaded for model {one.model!r} and is used with {model.name!r}; encode the "
                    "prompt with the model that it is for"
                )
        return ""

    def __bool__(self) -> bool:
        """Whether there is anything that it changes."""
        return bool(self.unet or self.text or self.hypernetworks)

    @contextmanager
    def applied(self, unet: Any) -> Iterator[None]:
        with (
            applied("unet", unet, self.unet, self.merged),
            hypernetworks.applied(unet, self.hypernetworks),
        ):
            yield

    @contextmanager
    def encoding(self, encoders: Mapping[str, Any]) -> Iterator[None]:
        """Around the text encoders' call; `encoders` by their names, "text_encoder" and "text_encoder_2"."""
        with ExitStack() as undo:
            for name, encoder in encoders.items():
                undo.enter_context(applied(name, encoder, self.text, self.merged))
            yield

    def towards(self, other: Patch | None, part: float) -> Patch | None:
        """Every adapter of either, with strengths on the straight line between the two; 0 where one has none."""
        if other is not None and not isinstance(other, LoraPatch):
            return Patch.towards(self, other, part)
        ends = ((self, 1 - part), (other, part))
        there = [(one, share) for one, share in ends if one is not None and share]
        mixed = LoraPatch(
            _mixed([(one.unet, share) for one, share in there]),
            _mixed([(one.text, share) for one, share in there]),
            self.merged,
            _mixed([(one.hypernetworks, share) for one, share in there]),
        )
        return mixed if mixed.unet or mixed.hypernetworks else None

    @property
    def hashes(self) -> tuple[str, ...]:
        return tuple(f"{adapter.name}: {adapter.hash}" for adapter, _ in self.unet)

    @property
    def notes(self) -> tuple[str, ...]:
        notes = [one.note for one, _ in self.unet] + [one.note for one, _ in self.hypernetworks]
        return *self.told, *filter(None, notes)


def _mixed(ends: Sequence[tuple[Sequence[tuple[Any, float]], float]]) -> tuple[Any, ...]:
    """What is used at either end, each with its strengths by the ends' shares, added."""
    strengths: dict[Any, float] = {}
    for uses, share in ends:
        for used, strength in uses:
            strengths[used] = strengths.get(used, 0.0) + strength * share
    return tuple(strengths.items())
