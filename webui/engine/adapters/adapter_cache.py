"""The adapters that are in memory, by model. Knows files and networks; knows no request."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from webui.catalog.library.family_detection import wrong_file
from webui.catalog.model_folders import AdapterFiles
from webui.engine.adapters import hypernetworks
from webui.engine.adapters.applying import AdapterStrengths
from webui.engine.adapters.files import LoadedAdapter, read, version_of
from webui.engine.adapters.hypernetworks import Hypernetwork
from webui.engine.adapters.merged_weights import MergedWeightCache
from webui.engine.adapters.names import Names
from webui.engine.adapters.patch import LoraPatch
from webui.engine.families import family_of
from webui.engine.memory import out_of_memory
from webui.engine.networks import Networks
from webui.engine.part_cache import Part, PartCache
from webui.errors import ModelFileError, RequestError, Sentence
from webui.types import LoadAdapters

__all__ = ["AdapterCache", "encoders", "keys_of"]

Loaded = LoadedAdapter | Hypernetwork
REMEMBERED = 256  # calls whose files are known
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """An adapter that a call asks for by a tag's name, with its strengths; `path` is its file, once that is known."""

    kind: str
    name: str
    text: float
    unet: float
    path: Path = Path()


class AdapterCache:
    """Adapters by model and file. A file that was replaced is read again when it is asked for next; pictures that are
    being made keep what they were begun with. `load` and `look` may be called beside the thread that owns the
    device."""

    def __init__(self, adapter_files: AdapterFiles, parts: PartCache) -> None:
        self.merged = MergedWeightCache(parts)
        self._files = adapter_files
        self._parts = parts
        self._meant: OrderedDict[LoadAdapters, tuple[list[Asked], list[str]]] = OrderedDict()
        self._newest: dict[tuple[int, Path], Loaded] = {}  # by the serial of a model's networks
        self._fresh: set[tuple[int, Path]] = set()
        self._names: dict[int, Names] = {}
        self._loading = Lock()

    def resident(self, call: LoadAdapters, networks: Networks) -> LoraPatch | None:
        """What `call` asks for, if all of it is in memory, as the files were at the last look."""
        meant = self._meant.get(call)
        if meant is None:
            return None
        found = [(self._current((networks.serial, one.path)), one) for one in meant[0]]
        loaded = [(adapter, one) for adapter, one in found if adapter is not None]
        return self._patch(loaded, meant[1]) if len(loaded) == len(found) else None

    def load(self, call: LoadAdapters, networks: Networks) -> LoraPatch:
        """Reads what is not in memory yet; raises as `files.read` does, and `RequestError` for a name that is no
        file."""
        with self._loading:
            found: list[tuple[Loaded, Asked]] = []
            asked, told = self._asked(call)
            there = True
            for one in asked:
                of = networks.serial, one.path
                if not self._holds(of):
                    self._fresh.discard(of)
                adapter = self._current(of)
                if adapter is None:
                    try:
                        adapter = self._read(one, call.model.name, networks)
                    except ModelFileError as fault:
                        if one.path.exists():
                            raise
                        gone = Sentence(
                            "<{kind}:{one}>: its file is gone", kind=one.kind, one=one.name
                        )
                        if call.missing != "warn":
                            raise RequestError(
                                Sentence("{gone}; put it back", gone=gone), "prompt"
                            ) from fault
                        told.append(Sentence("{why}; the picture was made without it.", why=gone))
                        there = False
                        continue
                    self._take_in(of, adapter, networks)
                    log.info("adapter %s is ready for %s", one.name, call.model.name)
                found.append((adapter, one))
            if there:
                self._meant[call] = asked, told
                while len(self._meant) > REMEMBERED:
                    self._meant.popitem(last=False)
        return self._patch(found, told)

    def look(self) -> None:
        """Looks whether files were replaced, and whether the same names mean other files. Asks the disk."""
        for of in list(self._newest):
            if self._holds(of):
                self._fresh.add(of)
            else:
                self._fresh.discard(of)
        for call, meant in list(self._meant.items()):
            try:
                same = self._asked(call) == meant
            except RequestError:
                same = False  # who asks for it again is told
            if not same:
                self._meant.pop(call, None)

    def left(self, part: Part) -> None:
        """A part has left the memory."""
        if isinstance(part.value, LoadedAdapter | Hypernetwork):
            of = part.value.serial, part.value.path
            if self._newest.get(of) is part.value:
                del self._newest[of]
                self._fresh.discard(of)
        elif part.base:
            self._names.pop(part.group, None)  # type: ignore[call-overload]

    def _take_in(self, of: tuple[int, Path], adapter: Loaded, networks: Networks) -> None:
        before = self._newest.get(of)
        if before is not None and before != adapter:
            self._parts.retire(_key(before))
            self.merged.forget(before)
        self._newest[of] = adapter
        self._fresh.add(of)
        kind = "lora" if isinstance(adapter, LoadedAdapter) else "hypernetwork"
        place = networks.placement.arrival
        self._parts.add(Part(_key(adapter), kind, adapter, adapter.bytes, place, networks.serial))

    def _holds(self, of: tuple[int, Path]) -> bool:
        """Whether a file is what was read of it. One that is gone is no reason to let go of it."""
        found = self._newest.get(of)
        return found is not None and version_of(of[1]) in ("", found.version)

    def _current(self, of: tuple[int, Path]) -> Loaded | None:
        found = self._newest.get(of)
        return found if found is not None and of in self._fresh else None

    def _asked(self, call: LoadAdapters) -> tuple[list[Asked], list[str]]:
        """What a call asks for, each file once with its first strengths, and sentences about what is left out."""
        names = [
            *(Asked("lora", *one) for one in call.wanted),
            *(Asked("hypernet", name, weight, weight) for name, weight in call.hypernetworks),
        ]
        found: dict[Path, Asked] = {}
        told: list[str] = []
        warns = call.missing == "warn"
        for one in names:
            try:
                meant = self._files.meant(one.kind, one.name, hint=not warns)
            except RequestError as fault:
                if not warns:
                    raise
                told.append(Sentence("{why}; the picture was made without it.", why=fault))
                continue
            if meant.left:
                told.append(
                    Sentence(
                        "<{kind}:{one}>: “{left}” is not known here and does nothing",
                        kind=one.kind,
                        one=one.name,
                        left=meant.left,
                    )
                )
            found.setdefault(meant.path, replace(one, path=meant.path))
        return list(found.values()), told

    def _read(self, one: Asked, model: str, networks: Networks) -> Loaded:
        of, place = (model, networks.serial), networks.placement
        path, name = one.path, one.name
        kind = "hypernetwork" if one.kind == "hypernet" else "lora"
        if what := wrong_file(kind, path):
            raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
        try:
            if one.kind == "hypernet":
                return hypernetworks.read(path, name, of, networks.unet, place.read_on, place.dtype)
            parts = {"unet": networks.unet, **encoders(networks)}
            return read(path, name, of, parts, self._named(networks, parts), place.read_on)
        except (RuntimeError, IndexError, KeyError, TypeError, ValueError) as fault:
            if out_of_memory(fault):
                raise
            why = next(iter(str(fault).splitlines()), type(fault).__name__)
            raise ModelFileError(
                Sentence(
                    "{file}: its tensors do not fit together ({why}); get it again",
                    file=path.name,
                    why=why[:200],
                )
            ) from fault

    def _patch(self, found: Sequence[tuple[Loaded, Asked]], told: Sequence[str]) -> LoraPatch:
        loras = [(a, one) for a, one in found if isinstance(a, LoadedAdapter)]
        unet: AdapterStrengths = tuple((adapter, one.unet) for adapter, one in loras)
        text: AdapterStrengths = tuple((adapter, one.text) for adapter, one in loras)
        before = tuple((a, one.unet) for a, one in found if isinstance(a, Hypernetwork))
        return LoraPatch(unet, text, self.merged, before, tuple(told))

    def _named(self, networks: Networks, parts: Mapping[str, Any]) -> Names:
        """The names of a model's layers, found once for as long as the same networks are in memory."""
        known = self._names.get(networks.serial)
        if known is None:
            original = family_of(networks.model.kind).original_names(networks.unet)
            known = self._names[networks.serial] = Names(parts, original)
        return known


def keys_of(patch: object) -> list[Hashable]:
    """The keys of the parts that a patch works with, in the part cache."""
    if not isinstance(patch, LoraPatch):
        return []
    used: list[Loaded] = [one for one, _ in (*patch.unet, *patch.text)]
    used += [one for one, _ in patch.hypernetworks]
    return [_key(one) for one in used]


def _key(adapter: Loaded) -> Hashable:
    return "adapter", adapter.serial, adapter.path, adapter.version


def encoders(networks: Networks) -> dict[str, Any]:
    """A model's text encoders by the names that adapters have for them."""
    names = family_of(networks.model.kind).about.texts
    return {name: tower.inner for name, tower in zip(names, networks.text.towers, strict=True)}
