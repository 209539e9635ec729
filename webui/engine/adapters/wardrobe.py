"""The adapters and textual inversions that are in memory, by model. Knows files and networks; knows no request."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from webui.engine.adapters import hypernetworks
from webui.engine.adapters.applying import Kept, Uses
from webui.engine.adapters.files import LoadedAdapter, read, version_of
from webui.engine.adapters.hypernetworks import Hypernetwork
from webui.engine.adapters.names import Names, original_names
from webui.engine.adapters.patch import Adapted
from webui.engine.adapters.shelf import Shelf
from webui.engine.loading import Networks
from webui.engine.text import inversions
from webui.engine.text.inversions import Inversion
from webui.engine.versions import Version
from webui.types import LoadAdapters

__all__ = ["Wardrobe", "encoders"]

Loaded = LoadedAdapter | Hypernetwork
Key = tuple[int, Path]  # the serial of a model's networks, the adapter's file
RESIDENT_BYTES = 2 << 30
log = logging.getLogger(__name__)


class Wardrobe:
    """What models may wear. A file that was replaced is read again when it is asked for next; pictures that are being
    made keep what they were begun with. `load` may be called beside the thread that owns the device."""

    def __init__(self, shelf: Shelf) -> None:
        self.kept = Kept()
        self._shelf = shelf
        self._adapters: OrderedDict[Key, Loaded] = OrderedDict()
        self._inversions: dict[tuple[Path, tuple[int, ...]], tuple[Version, Inversion | None]] = {}
        self._names: dict[str, tuple[int, Names]] = {}
        self._loading = Lock()

    def resident(self, call: LoadAdapters, networks: Networks) -> Adapted | None:
        """What `call` asks for, if all of it is in memory. `RequestError` for a name that is no file."""
        found = []
        for kind, name in _asked(call):
            adapter = self._current((networks.serial, self._shelf.tagged(kind, name)))
            if adapter is None:
                return None
            found.append(adapter)
        return self._adapted(call, found)

    def load(self, call: LoadAdapters, networks: Networks) -> Adapted:
        """Reads what is not in memory yet; raises as `files.read` does."""
        with self._loading:
            found = []
            for kind, name in _asked(call):
                key = networks.serial, self._shelf.tagged(kind, name)
                adapter = self._current(key)
                if adapter is None:
                    adapter = self._read(kind, name, key[1], call.model.name, networks)
                    self._drop(self._adapters.get(key))
                    self._adapters[key] = adapter
                    log.info("adapter %s is ready for %s", name, call.model.name)
                self._adapters.move_to_end(key)
                found.append(adapter)
            while self._bytes() > RESIDENT_BYTES and len(self._adapters) > len(found):
                self._adapters.popitem(last=False)
        return self._adapted(call, found)

    def _read(self, kind: str, name: str, path: Path, model: str, networks: Networks) -> Loaded:
        of, place = (model, networks.serial), networks.placement
        if kind == "hypernet":
            return hypernetworks.read(path, name, of, networks.unet, place.device, place.dtype)
        parts = {"unet": networks.unet, **encoders(networks)}
        return read(path, name, of, parts, self._named(networks, parts), place.device)

    def forget(self, model: str) -> None:
        """Drops what was read for a model that leaves the memory."""
        with self._loading:
            for key in [key for key, one in self._adapters.items() if one.model == model]:
                del self._adapters[key]
            self._names.pop(model, None)
            self.kept.forget(lambda adapter: adapter.model == model)

    def _current(self, key: Key) -> Loaded | None:
        """What was read of a file if that is still the same. One that is gone is no reason to let go of it."""
        found = self._adapters.get(key)
        return found if found and version_of(key[1]) in ("", found.version) else None

    def _drop(self, former: Loaded | None) -> None:
        if former is not None:
            del self._adapters[former.serial, former.path]
            self.kept.forget(lambda adapter: adapter == former)

    def _adapted(self, call: LoadAdapters, found: Sequence[Loaded]) -> Adapted:
        loras = [one for one in found if isinstance(one, LoadedAdapter)]
        others = [one for one in found if isinstance(one, Hypernetwork)]
        unet: Uses = tuple((a, w[2]) for a, w in zip(loras, call.wanted, strict=True))
        text: Uses = tuple((a, w[1]) for a, w in zip(loras, call.wanted, strict=True))
        before = tuple((h, w[1]) for h, w in zip(others, call.hypernetworks, strict=True))
        return Adapted(unet, text, self.kept, before)

    def _bytes(self) -> int:
        return sum(adapter.bytes for adapter in self._adapters.values())

    def _named(self, networks: Networks, parts: Mapping[str, Any]) -> Names:
        """The names of a model's layers, found once for as long as the same networks are in memory."""
        known = self._names.get(networks.model.name)
        if known is None or known[0] != networks.serial:
            layers = int(networks.unet.config.layers_per_block)
            known = networks.serial, Names(parts, original_names(networks.unet, layers))
            self._names[networks.model.name] = known
        return known[1]

    def inversions(self, networks: Networks, texts: Sequence[str]) -> list[Inversion]:
        """The textual inversions whose words stand in `texts` and that fit the model, in the order of their names.

        A file that is made for another family is told in the log, once, and its word is a plain word. `ModelFileError`
        names one that is damaged.
        """
        files = self._shelf.embeddings()
        if not files:
            return []
        said = inversions.pattern(list(files))
        words = {word.lower() for text in texts for word in said.findall(text)}
        widths = tuple(tower.width for tower in networks.text.towers)
        wanted = sorted(name for name in files if name.lower() in words)
        found = [self._inversion(name, files[name], widths) for name in wanted]
        return [one for one in found if one is not None]

    def _inversion(self, name: str, path: Path, widths: tuple[int, ...]) -> Inversion | None:
        version, known = self._inversions.get((path, widths), (None, None))
        if version is None or not version.holds():
            version = Version.of_file(path)
            try:
                known = inversions.read(path, name, widths)
            except inversions.OtherFamily as fault:
                log.warning("%s; its name is a plain word there", fault)
                known = None
            self._inversions[path, widths] = version, known
        return known


def _asked(call: LoadAdapters) -> list[tuple[str, str]]:
    """Kind and name of all that a call asks for."""
    return [
        *(("lora", name) for name, _, _ in call.wanted),
        *(("hypernet", name) for name, _ in call.hypernetworks),
    ]


def encoders(networks: Networks) -> dict[str, Any]:
    """A model's text encoders by the names that adapters have for them."""
    if networks.model.kind == "sdxl-refiner":
        return {"text_encoder_2": networks.text.towers[0].inner}
    names = ("text_encoder", "text_encoder_2")
    return {name: tower.inner for name, tower in zip(names, networks.text.towers, strict=False)}
