"""The models that are in memory, by name: which networks a name means now, and which a handle means. Knows no files;
the part cache says which of their parts are there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from webui.engine.file_version import Version
from webui.engine.networks import Networks
from webui.engine.part_cache import Part, PartCache
from webui.engine.preparing import prepared
from webui.types import Model

__all__ = ["ModelCache", "free_bytes", "free_now", "host_bytes"]

SHARE = 0.6  # of the memory that is free at the start: the rest is for pictures
UNKNOWN = 8 << 30  # taken as free where the system does not tell


@dataclass(slots=True, eq=False)
class Loaded:
    """A model with the version of its files that it was read from; `fresh`: they were the same at the last look."""

    networks: Networks
    version: Version | None = None
    fresh: bool = True


class ModelCache:
    """Models whose parts are in the part cache, in full or for now in part. One whose file was replaced stays for the
    pictures that are being made with it. Reading may happen on any thread, changes on one at a time."""

    def __init__(self, parts: PartCache) -> None:
        self._parts = parts
        self._loaded: dict[str, Loaded] = {}
        self._former: tuple[Networks, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self._loaded

    def __iter__(self) -> Iterator[str]:
        """The names, the model that was used longest ago first."""
        used = {part.group: part.used for part in self._parts if part.base}
        known = list(self._loaded.items())
        known.sort(key=lambda item: used.get(item[1].networks.serial, 0))
        return iter([name for name, _ in known])

    @property
    def bytes(self) -> int:
        """What models take, wherever their parts are."""
        return sum(part.bytes for part in self._parts if part.base)

    def get(self, name: str) -> Networks | None:
        """The newest model of that name."""
        found = self._loaded.get(name)
        return None if found is None else found.networks

    def current(self, name: str) -> Networks | None:
        """The model of that name if it can be used as it is: all of it in memory and known, its files the same."""
        found = self._loaded.get(name)
        if found is None or not found.fresh or not prepared(found.networks):
            return None
        return found.networks if self.whole(found.networks) else None

    def of(self, model: Model) -> Networks | None:
        """The networks that `model` stands for, also where its file is another one by now."""
        found = self.get(model.name)
        here = [*([] if found is None else [found]), *self._former]
        return next((one for one in here if one.model is model or one.model == model), None)

    def version(self, networks: Networks) -> Version | None:
        """The version of the files that networks were read from; None where these are no longer there."""
        found = self._loaded.get(networks.model.name)
        return found.version if found is not None and found.networks is networks else None

    def whole(self, networks: Networks) -> bool:
        """Whether all parts of a model are in memory."""
        return all((kind, networks.serial) in self._parts for kind in networks.kinds)

    def add(self, name: str, networks: Networks, version: Version | None = None) -> None:
        """Takes a model in, with its parts that are read. Another one of that name is set aside."""
        before = self._loaded.get(name)
        if before is not None and before.networks is not networks:
            self._former = (*self._former, before.networks)
            for kind in before.networks.kinds:
                self._parts.retire((kind, before.networks.serial))
        self._loaded[name] = Loaded(networks, version)
        self.fill(networks)

    def fill(self, networks: Networks) -> None:
        """Takes in the parts of a model that have been read."""
        modules = networks.modules()
        for kind, size in networks.sizes().items():
            key = kind, networks.serial
            if key not in self._parts:
                module = modules[kind]
                place = networks.placement.arrival
                again = self.version(networks) is not None
                part = Part(key, kind, module, size, place, networks.serial, base=True, again=again)
                self._parts.add(part)

    def look(self) -> None:
        """Looks whether files were replaced. Asks the disk: beside the thread that owns the device."""
        for found in list(self._loaded.values()):
            found.fresh = found.version is None or found.version.holds()

    def left(self, part: Part) -> None:
        """A part of a model has left the memory: its weights with it, and the model with its last part."""
        for name, found in list(self._loaded.items()):
            if found.networks.serial == part.group:
                found.networks.empty(part.kind)
                if not self._any(found.networks):
                    del self._loaded[name]
        for networks in self._former:
            if networks.serial == part.group:
                networks.empty(part.kind)
        self._former = tuple(networks for networks in self._former if self._any(networks))

    def _any(self, networks: Networks) -> bool:
        return any((kind, networks.serial) in self._parts for kind in networks.kinds)


def free_bytes(device: torch.device) -> int:
    """How many bytes parts may take on `device` when nobody says: a share of what is free now."""
    return int(free_now(device) * SHARE)


def free_now(device: torch.device) -> int:
    """The bytes that are free on `device`."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory()
    else:
        free = _available()
    return free


def host_bytes(device: torch.device) -> int:
    """How many bytes may wait in the host's memory for `device`: none where it works in that memory itself."""
    return int(_available() * SHARE) if device.type == "cuda" else 0


def _available() -> int:
    """The memory that the system could give to programs now."""
    try:
        with open("/proc/meminfo", encoding="ascii") as told:
            for line in told:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    try:  # elsewhere: half of what there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return UNKNOWN
