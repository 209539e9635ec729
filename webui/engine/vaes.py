"""VAEs of their own files, in the place of the one inside a model. Knows files and networks; knows no request.

"automatic" is the file beside the model's own (`name.vae.safetensors`), else the one in models/VAE that the model's
notes name, else the model's own.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from webui.catalog.formats.header import read_header
from webui.catalog.library.family_detection import wrong_place
from webui.catalog.model_folders import AdapterFiles
from webui.engine import attention
from webui.engine.families.keys import vae_weights
from webui.engine.families.single import vae_config
from webui.engine.file_version import Version
from webui.engine.importing import IMPORTING
from webui.engine.networks import Networks
from webui.engine.weight_loading import Weight, check, fill
from webui.errors import ModelFileError, RequestError
from webui.types import LoadVae, ModelCard

__all__ = ["AUTOMATIC", "NONE", "Vaes"]

AUTOMATIC, NONE = "automatic", "none"
RESIDENT = 2  # VAEs kept in memory
Key = tuple[str, int, Path]  # the model's name, the serial of its networks, the VAE's file
log = logging.getLogger(__name__)


class Vaes:
    """VAEs by model and file. One whose file was replaced is read again for the next request; until then pictures that
    are being made go on with it. `load` may be called beside the thread that owns the device."""

    def __init__(self, adapter_files: AdapterFiles) -> None:
        self._files = adapter_files
        self._vaes: OrderedDict[Key, tuple[Version, Any]] = OrderedDict()
        self._loading = Lock()

    def chosen(self, call: LoadVae, card: ModelCard | None) -> tuple[str, Path] | None:
        """The VAE that a call means, its name and its file; None for the model's own. `RequestError` where there is no
        such file."""
        if call.name == NONE:
            return None
        known = self._files.vaes()
        if call.name != AUTOMATIC:
            if call.name not in known:
                raise RequestError(f"vae {call.name!r} is no longer in models/VAE", "vae")
            return call.name, known[call.name]
        if card is None:
            return None
        beside = card.path.with_name(f"{card.path.stem}.vae.safetensors")
        if card.layout != "folder" and beside.is_file():
            return beside.name, beside
        noted = card.notes.vae
        for name, path in known.items():
            if noted and noted.lower() in (name.lower(), path.name.lower(), path.stem.lower()):
                return name, path
        return None

    def resident(self, networks: Networks, path: Path) -> bool:
        return self._current(_key(networks, path)) is not None

    def load(self, path: Path, networks: Networks) -> Any:
        """The VAE of a file as it is now, for a model, read if it has to be. `ModelFileError` names the file where it
        is damaged or made for another family."""
        with self._loading:
            key = _key(networks, path)
            found = self._current(key)
            if found is None:
                version = Version.of_file(path)
                found = _loaded(path, networks)
                self._vaes[key] = version, found
                while len(self._vaes) > RESIDENT:
                    self._vaes.popitem(last=False)
            self._vaes.move_to_end(key)
            return found

    def forget(self, model: str) -> None:
        """Drops what was read for a model that leaves the memory."""
        with self._loading:
            for key in [key for key in self._vaes if key[0] == model]:
                del self._vaes[key]

    def worn(self, networks: Networks, path: Path) -> Networks:
        """A model with this VAE for its own, which is read again if it had to make room."""
        _, vae = self._vaes.get(_key(networks, path), (None, None))
        return replace(networks, vae=self.load(path, networks) if vae is None else vae)

    def _current(self, key: Key) -> Any:
        version, vae = self._vaes.get(key, (None, None))
        return vae if version is not None and version.holds() else None


def _key(networks: Networks, path: Path) -> Key:
    return networks.model.name, networks.serial, path


def _config(path: Path, networks: Networks, weights: Mapping[str, Weight]) -> dict[str, Any]:
    """The config of a VAE for a model that has none to go by, told from its own shapes."""
    try:
        config = vae_config(networks.vae.config, {name: one.shape for name, one in weights.items()})
    except (KeyError, IndexError) as fault:
        raise ModelFileError(f"{path.name}: its tensors make no VAE ({fault})") from fault
    model, levels = networks.model, len(config["block_out_channels"])
    if (config["latent_channels"], 2 ** (levels - 1)) != (model.latent_channels, model.downscale):
        raise ModelFileError(f"{path.name}: a VAE of another family than {model.name}")
    return config


def _loaded(path: Path, networks: Networks) -> Any:
    with IMPORTING:
        from diffusers import AutoencoderKL

    placement = networks.placement
    header = read_header(path)
    if what := wrong_place("vae", header):
        raise ModelFileError(f"{path.name}: {what}")
    weights = vae_weights(header)
    config = networks.vae.config if networks.has_vae else _config(path, networks, weights)
    with torch.device("meta"):
        vae = AutoencoderKL.from_config(config)
    check(vae, weights, path.name)
    fill(vae, weights, placement.device, placement.vae_dtype)
    attention.install(vae, placement.attention, None)
    log.info("VAE %s is ready", path.name)
    return vae
