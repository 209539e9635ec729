"""Reads models into memory, and the parts of one that had to make room: beside the thread that owns the device, and
without running a network. Knows lists, files and room; knows no call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from webui.engine.capacity import Capacity
from webui.engine.file_version import Version, is_as_listed
from webui.engine.loading import Opened, opened
from webui.engine.memory import out_of_memory
from webui.engine.model_cache import ModelCache, free_now
from webui.engine.networks import Networks
from webui.engine.part_cache import PartCache, Place
from webui.engine.placement import Placement
from webui.errors import CapacityError, RequestError, Sentence
from webui.types import ModelCard, ModelFacts

__all__ = ["ModelReader", "replaced"]

log = logging.getLogger(__name__)


class ModelReader:
    """Models by their names in a list, into a cache. One at a time: who calls holds the lock of what reads. `facts` is
    what is remembered of models that their files do not say."""

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        placement: Placement,
        parts: PartCache,
        model_cache: ModelCache,
        facts: ModelFacts | None,
        capacity: Capacity,
    ) -> None:
        self.placement = placement
        self.parts = parts
        self.model_cache = model_cache
        self._list_models = list_models
        self._facts = facts
        self._capacity = capacity

    def read(self, name: str, progress: Callable[[float], None]) -> Networks:
        """A model's networks, of its file as it is now: those in memory where that is the same. `progress` hears how
        much has arrived, from 0 to 1. `RequestError` where no such model is listed, `ModelFileError` for a bad file,
        `CapacityError` where it does not fit."""
        before = self.model_cache.get(name)
        if before is not None:
            version = self.model_cache.version(before)
            if version is None or version.holds():
                return self.completed(before, progress)
        card = self._current_card(name)
        if card is None:
            raise RequestError(
                Sentence("model {name} is no longer there", name=repr(name)), "model"
            )
        version = Version.of(card)  # asked first: a file that changes meanwhile is read again
        fresh = opened(card, self.placement)  # a bad file costs no other model its place
        networks = self._with_room(card.name, fresh, lambda: fresh.read(self._facts, progress))
        networks.model = replace(networks.model, parts=version.parts)
        networks.source, networks.capacity = fresh, self._capacity
        if before is not None:
            log.info("the files of %s were replaced", name)
        self.model_cache.add(name, networks, version)
        if self._facts is not None:
            self._facts.used(card)
        return networks

    def completed(self, networks: Networks, progress: Callable[[float], None]) -> Networks:
        """A model with those parts read again that had to make room."""
        lacking = [kind for kind in networks.kinds if (kind, networks.serial) not in self.parts]
        if lacking:
            source, version = networks.source, self.model_cache.version(networks)
            if source is None or version is None or not version.holds():
                raise replaced(networks.model.name)
            self._with_room(
                networks.model.name, source, lambda: source.read_again(lacking, progress), networks
            )
            self.model_cache.fill(networks)
        for key in networks.keys:
            self.parts.use(key)
        return networks

    def _with_room(
        self,
        name: str,
        source: Opened,
        read: Callable[[], Networks | None],
        networks: Networks | None = None,
    ) -> Networks:
        """What `read` gives, after room was made for it: so much as it takes, and where that does not suffice all, of
        pictures too that can have theirs read again."""
        place: Place = self.placement.arrival
        size = source.bytes - (0 if networks is None else sum(networks.sizes().values()))
        group = None if networks is None else networks.serial
        for all_of_it in (False, True):
            if all_of_it:
                gone = self.parts.put_away(lambda part: group is not None and part.group == group)
            else:
                gone = self.parts.make_room(size, place, group)
            if gone:
                names = dict.fromkeys(one.kind for one in gone)
                log.info("made room for %s: %d parts (%s)", name, len(gone), ", ".join(names))
            del gone  # so that they are gone while the next is read
            try:
                found = read()
                return found or networks  # type: ignore[return-value]
            except (RuntimeError, MemoryError, OSError) as error:
                if not out_of_memory(error):
                    raise
                log.warning("model %s: %s", name, error)
        raise self._too_large(name, source.bytes)

    def _too_large(self, name: str, size: int) -> CapacityError:
        device = self.placement.device
        return CapacityError(
            Sentence(
                "model {name} does not fit into the memory of {device}: it takes "
                "{size} GB, and {free_now} GB are free; take a smaller model, or half "
                "precision (--dtype)",
                name=repr(name),
                device=device,
                size=f"{size / 1e9:.1f}",
                free_now=f"{free_now(device) / 1e9:.1f}",
            )
        )

    def card(self, name: str) -> ModelCard | None:
        """As it was last listed."""
        return next((card for card in self._list_models() if card.name == name), None)

    def _current_card(self, name: str) -> ModelCard | None:
        """The card of the file that is there now, which a list made a moment ago may not know."""
        card = self.card(name)
        if card is None or is_as_listed(card):
            return card
        anew = getattr(self._list_models, "anew", self._list_models)
        return next((card for card in anew() if card.name == name), None)


def replaced(name: str, what: str = "model") -> RequestError:
    return RequestError(
        Sentence(
            "the file of {what} {name} was replaced while a picture was made with "
            "it; make it again",
            what=what,
            name=repr(name),
        ),
        what.lower(),
    )
