"""The adapters and textual inversions that are in memory, by model. Knows files and networks; knows no request."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from webui.catalog.library.family_detection import wrong_file
from webui.catalog.model_folders import AdapterFiles
from webui.engine.adapters import hypernetworks
from webui.engine.adapters.applying import AdapterStrengths, MergedWeightCache
from webui.engine.adapters.files import LoadedAdapter, read, version_of
from webui.engine.adapters.hypernetworks import Hypernetwork
from webui.engine.adapters.names import Names
from webui.engine.adapters.patch import LoraPatch
from webui.engine.families import family_of
from webui.engine.file_version import Version
from webui.engine.memory import out_of_memory
from webui.engine.networks import Networks
from webui.engine.text import inversions
from webui.engine.text.inversions import Inversion
from webui.engine.text.words import said
from webui.errors import ModelFileError, RequestError
from webui.types import LoadAdapters

__all__ = ["AdapterCache", "encoders"]

Loaded = LoadedAdapter | Hypernetwork
Key = tuple[int, Path]  # the serial of a model's networks, the adapter's file
RESIDENT_BYTES = 2 << 30
WITHOUT = "{}; the picture was made without it."
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
    """What models may wear. A file that was replaced is read again when it is asked for next; pictures that are being
    made keep what they were begun with. `load` may be called beside the thread that owns the device."""

    def __init__(self, adapter_files: AdapterFiles) -> None:
        self.merged = MergedWeightCache()
        self._files = adapter_files
        self._adapters: OrderedDict[Key, Loaded] = OrderedDict()
        self._inversions: dict[tuple[Path, tuple[int, ...]], tuple[Version, Inversion | str]] = {}
        self._names: dict[str, tuple[int, Names]] = {}
        self._loading = Lock()

    def resident(self, call: LoadAdapters, networks: Networks) -> LoraPatch | None:
        """What `call` asks for, if all of it is in memory. `RequestError` for a name that is no file."""
        asked, told = self._asked(call)
        found = [(self._current((networks.serial, one.path)), one) for one in asked]
        worn = [(adapter, one) for adapter, one in found if adapter is not None]
        return self._patch(worn, told) if len(worn) == len(found) else None

    def load(self, call: LoadAdapters, networks: Networks) -> LoraPatch:
        """Reads what is not in memory yet; raises as `files.read` does."""
        with self._loading:
            found: list[tuple[Loaded, Asked]] = []
            asked, told = self._asked(call)
            for one in asked:
                key = networks.serial, one.path
                adapter = self._current(key)
                if adapter is None:
                    try:
                        adapter = self._read(one, call.model.name, networks)
                    except ModelFileError as fault:
                        if one.path.exists():
                            raise
                        gone = f"<{one.kind}:{one.name}>: its file is gone"
                        if call.missing != "warn":
                            raise RequestError(f"{gone}; put it back", "prompt") from fault
                        told.append(WITHOUT.format(gone))
                        continue
                    self._drop(self._adapters.get(key))
                    self._adapters[key] = adapter
                    log.info("adapter %s is ready for %s", one.name, call.model.name)
                self._adapters.move_to_end(key)
                found.append((adapter, one))
            while self._bytes() > RESIDENT_BYTES and len(self._adapters) > len(found):
                self._adapters.popitem(last=False)
        return self._patch(found, told)

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
                told.append(WITHOUT.format(fault))
                continue
            if meant.left:
                told.append(
                    f"<{one.kind}:{one.name}>: “{meant.left}” is not known here and does nothing"
                )
            found.setdefault(meant.path, replace(one, path=meant.path))
        return list(found.values()), told

    def _read(self, one: Asked, model: str, networks: Networks) -> Loaded:
        of, place = (model, networks.serial), networks.placement
        path, name = one.path, one.name
        kind = "hypernetwork" if one.kind == "hypernet" else "lora"
        if what := wrong_file(kind, path):
            raise ModelFileError(f"{path.name}: {what}")
        try:
            if one.kind == "hypernet":
                return hypernetworks.read(path, name, of, networks.unet, place.device, place.dtype)
            parts = {"unet": networks.unet, **encoders(networks)}
            return read(path, name, of, parts, self._named(networks, parts), place.device)
        except (RuntimeError, IndexError, KeyError, TypeError, ValueError) as fault:
            if out_of_memory(fault):
                raise
            why = next(iter(str(fault).splitlines()), type(fault).__name__)
            raise ModelFileError(
                f"{path.name}: its tensors do not fit together ({why[:200]}); get it again"
            ) from fault

    def forget(self, model: str) -> None:
        """Drops what was read for a model that leaves the memory."""
        with self._loading:
            for key in [key for key, one in self._adapters.items() if one.model == model]:
                del self._adapters[key]
            self._names.pop(model, None)
            self.merged.forget(lambda adapter: adapter.model == model)

    def _current(self, key: Key) -> Loaded | None:
        """What was read of a file if that is still the same. One that is gone is no reason to let go of it."""
        found = self._adapters.get(key)
        return found if found and version_of(key[1]) in ("", found.version) else None

    def _drop(self, former: Loaded | None) -> None:
        if former is not None:
            del self._adapters[former.serial, former.path]
            self.merged.forget(lambda adapter: adapter == former)

    def _patch(self, found: Sequence[tuple[Loaded, Asked]], told: Sequence[str]) -> LoraPatch:
        loras = [(a, one) for a, one in found if isinstance(a, LoadedAdapter)]
        unet: AdapterStrengths = tuple((adapter, one.unet) for adapter, one in loras)
        text: AdapterStrengths = tuple((adapter, one.text) for adapter, one in loras)
        before = tuple((a, one.unet) for a, one in found if isinstance(a, Hypernetwork))
        return LoraPatch(unet, text, self.merged, before, tuple(told))

    def _bytes(self) -> int:
        return sum(adapter.bytes for adapter in self._adapters.values())

    def _named(self, networks: Networks, parts: Mapping[str, Any]) -> Names:
        """The names of a model's layers, found once for as long as the same networks are in memory."""
        known = self._names.get(networks.model.name)
        if known is None or known[0] != networks.serial:
            original = family_of(networks.model.kind).original_names(networks.unet)
            known = networks.serial, Names(parts, original)
            self._names[networks.model.name] = known
        return known[1]

    def inversions(
        self, networks: Networks, texts: Sequence[str]
    ) -> tuple[list[Inversion], tuple[str, ...]]:
        """The textual inversions whose words stand in `texts` and that fit the model, in the order of their names, and
        sentences about what is not used: a file that is made for another family, whose word is a plain word then, or
        a part of one.

        `ModelFileError` names one that is damaged.
        """
        files = self._files.embeddings()
        if not files:
            return [], ()
        widths = tuple(tower.width for tower in networks.text.towers)
        found = [self._inversion(name, files[name], widths) for name in said(files, texts)]
        notes = [one if isinstance(one, str) else one.note for one in found]
        return [one for one in found if isinstance(one, Inversion)], tuple(filter(None, notes))

    def _inversion(self, name: str, path: Path, widths: tuple[int, ...]) -> Inversion | str:
        """One that fits, or the sentence that says why it does not."""
        version, known = self._inversions.get((path, widths), (None, ""))
        if version is None or not version.holds():
            version = Version.of_file(path)
            try:
                known = inversions.read(path, name, widths)
            except inversions.OtherFamily as fault:
                known = f"{fault}; its name is a plain word there"
                log.warning(known)
            self._inversions[path, widths] = version, known
        return known


def encoders(networks: Networks) -> dict[str, Any]:
    """A model's text encoders by the names that adapters have for them."""
    names = family_of(networks.model.kind).about.texts
    return {name: tower.inner for name, tower in zip(names, networks.text.towers, strict=True)}
