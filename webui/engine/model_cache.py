"""Which models stay in memory: as many as fit a budget of bytes, those used last. Knows sizes; knows no files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator

import torch

from webui.engine.file_version import Version
from webui.engine.networks import Networks
from webui.types import Model

__all__ = ["ModelCache", "free_bytes"]

SHARE = 0.6  # of the memory that is free at the start: the rest is for pictures
UNKNOWN = 8 << 30  # taken as free where the system does not tell


class ModelCache:
    """Models by name, the ones used longest ago first. At least one stays, however large it is.

    A model whose file was replaced stays beside the new one for the pictures that are being made with it, as the first
    to go. Reading (`get`, `current`, `of`, `in`) may happen on any thread, changes on one at a time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._networks: OrderedDict[str, Networks] = OrderedDict()
        self._versions: dict[str, Version] = {}
        self._former: list[Networks] = []

    def __contains__(self, name: str) -> bool:
        return name in self._networks

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._networks))

    @property
    def bytes(self) -> int:
        return sum(networks.bytes for networks in (*self._former, *list(self._networks.values())))

    def get(self, name: str) -> Networks | None:
        return self._networks.get(name)

    def current(self, name: str) -> Networks | None:
        """The model of that name if what is here is what its files hold now."""
        version = self._versions.get(name)
        return self.get(name) if version is None or version.holds() else None

    def of(self, model: Model) -> Networks | None:
        """The networks that `model` stands for, also where its file is another one by now."""
        found = self.get(model.name)
        here = [*([] if found is None else [found]), *self._former]
        return next((one for one in here if one.model is model or one.model == model), None)

    def used(self, name: str) -> Networks:
        """A model that is here, which is now the last one to go."""
        self._networks.move_to_end(name)
        return self._networks[name]

    def make_room(self, size: int, limit: int | None = None) -> list[str]:
        """Lets go of models until `size` more bytes fit into `limit`: of replaced ones, then of those used longest ago.
        Gives the names of those that are no longer here."""
        gone: list[str] = []
        limit = self.limit if limit is None else limit
        while self._networks and self.bytes + size > limit:
            if self._former:
                self._former = self._former[1:]
                continue
            name, _ = self._networks.popitem(last=False)
            self._versions.pop(name, None)
            gone.append(name)
        return gone

    def leave(self, but: Model | None) -> list[str]:
        """Lets go of every model but one, also of replaced ones. Gives the names of those that are no longer here."""
        self._former = [one for one in self._former if one.model == but]
        gone = [name for name, one in self._networks.items() if one.model != but]
        for name in gone:
            del self._networks[name]
            self._versions.pop(name, None)
        return gone

    def add(self, name: str, networks: Networks, version: Version | None = None) -> None:
        """Takes a model in. One of that name which is another by its files is set aside."""
        before = self._networks.get(name)
        if before is not None and before.model != networks.model:
            self._former = [*self._former, before]
        self._networks[name] = networks
        self._networks.move_to_end(name)
        if version is not None:
            self._versions[name] = version


def free_bytes(device: torch.device) -> int:
    """How many bytes models may take on `device` when nobody says: a share of what is free now."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
    elif device.type == "mps":
        free = torch.mps.recommended_max_memory()
    else:
        free = _available()
    return int(free * SHARE)


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
