"""The adapters and textual inversions that are in memory, by model. Knows files and networks; knows no request."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from webui.engine.adapters.applying import Kept, Uses
from webui.engine.adapters.files import LoadedAdapter, read
from webui.engine.adapters.names import Names, original_names
from webui.engine.adapters.patch import Adapted
from webui.engine.adapters.shelf import Shelf
from webui.engine.loading import Networks
from webui.engine.text import inversions
from webui.engine.text.inversions import Inversion
from webui.errors import ModelFileError
from webui.types import LoadAdapters

__all__ = ["Wardrobe", "encoders"]

Key = tuple[
    str, str, int, int
]  # model, path, size, time: another version of a file is another adapter
RESIDENT_BYTES = 2 << 30
log = logging.getLogger(__name__)


class Wardrobe:
    """What models may wear. `load` may be called beside the thread that owns the device."""

    def __init__(self, shelf: Shelf) -> None:
        self.kept = Kept()
        self._shelf = shelf
        self._adapters: OrderedDict[Key, LoadedAdapter] = OrderedDict()
        self._inversions: dict[Key, Inversion | None] = {}
        self._names: dict[str, tuple[int, Names]] = {}
        self._loading = Lock()

    def resident(self, call: LoadAdapters) -> Adapted | None:
        """What `call` asks for, if all of it is in memory. `RequestError` for a name that is no file."""
        keys = self._keys(call)
        if any(key not in self._adapters for key in keys):
            return None
        found = [self._adapters[key] for key in keys]
        unet: Uses = tuple((a, w[2]) for a, w in zip(found, call.wanted, strict=True))
        text: Uses = tuple((a, w[1]) for a, w in zip(found, call.wanted, strict=True))
        return Adapted(unet, text, self.kept)

    def load(self, call: LoadAdapters, networks: Networks) -> Adapted:
        """Reads what is not in memory yet; raises as `files.read` does."""
        with self._loading:
            parts = {"unet": networks.unet, **encoders(networks)}
            for (name, _, _), key in zip(call.wanted, self._keys(call), strict=True):
                if key not in self._adapters:
                    path = Path(key[1])
                    device = networks.placement.device
                    names = self._named(networks, parts)
                    self._adapters[key] = read(path, name, call.model.name, parts, names, device)
                    log.info("adapter %s is ready for %s", name, call.model.name)
                self._adapters.move_to_end(key)
            while self._bytes() > RESIDENT_BYTES and len(self._adapters) > len(call.wanted):
                self._adapters.popitem(last=False)
            found = self.resident(call)
        assert found is not None
        return found

    def forget(self, model: str) -> None:
        """Drops what was read for a model that leaves the memory."""
        with self._loading:
            for key in [key for key in self._adapters if key[0] == model]:
                del self._adapters[key]
            self._names.pop(model, None)
            self.kept.forget(model)

    def _bytes(self) -> int:
        return sum(adapter.bytes for adapter in self._adapters.values())

    def _keys(self, call: LoadAdapters) -> list[Key]:
        return [_key(call.model.name, self._shelf.lora(name)) for name, _, _ in call.wanted]

    def _named(self, networks: Networks, parts: Mapping[str, Any]) -> Names:
        """The names of a model's layers, found once for as long as the same networks are in memory."""
        known = self._names.get(networks.model.name)
        if known is None or known[0] != id(networks.unet):
            layers = int(networks.unet.config.layers_per_block)
            known = id(networks.unet), Names(parts, original_names(networks.unet, layers))
            self._names[networks.model.name] = known
        return known[1]

    def inversions(self, networks: Networks, texts: Sequence[str]) -> list[Inversion]:
        """The textual inversions whose words stand in `texts` and that fit the model, in the order of their names.

        A file that is damaged or made for another family is told in the log, once, and its word is a plain word.
        """
        files = self._shelf.embeddings()
        if not files:
            return []
        said = inversions.pattern(list(files))
        words = {word.lower() for text in texts for word in said.findall(text)}
        found = []
        for name in sorted(name for name in files if name.lower() in words):
            key = _key(networks.model.name, files[name])
            if key not in self._inversions:
                widths = [tower.width for tower in networks.text.towers]
                try:
                    self._inversions[key] = inversions.read(files[name], name, widths)
                except ModelFileError as fault:
                    log.warning("%s", fault)
                    self._inversions[key] = None
            known = self._inversions[key]
            if known is not None:
                found.append(known)
        return found


def encoders(networks: Networks) -> dict[str, Any]:
    """A model's text encoders by the names that adapters have for them."""
    if networks.model.kind == "sdxl-refiner":
        return {"text_encoder_2": networks.text.towers[0].inner}
    names = ("text_encoder", "text_encoder_2")
    return {name: tower.inner for name, tower in zip(names, networks.text.towers, strict=False)}


def _key(model: str, path: Path) -> Key:
    about = path.stat()
    return model, str(path), about.st_size, about.st_mtime_ns
