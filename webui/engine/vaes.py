"""VAEs of their own files, in the place of the one inside a model. Knows files and networks; knows no request.

"automatic" is the file beside the model's own (`name.vae.safetensors`), else the one in models/VAE that the model's
notes name, else the model's own.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
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
from webui.engine.networks import Networks, weight_bytes
from webui.engine.part_cache import Part, PartCache
from webui.engine.weight_loading import Weight, check, fill
from webui.errors import ModelFileError, RequestError, Sentence
from webui.types import LoadVae, ModelCard

__all__ = ["AUTOMATIC", "NONE", "VaeName", "Vaes"]

AUTOMATIC, NONE = "automatic", "none"
log = logging.getLogger(__name__)


class VaeName(str):
    """The name of a VAE that was loaded from `path`: a picture that decodes with it gets the file that was there then.
    Of "automatic" it is the name of a file that models/VAE need not have."""

    __slots__ = ("key", "path")
    key: tuple[Hashable, ...]
    path: Path

    def keys(self, networks: Networks) -> tuple[Hashable, Hashable]:
        """Its key, and that of the same file read for these networks, where the model has been read again since."""
        return self.key, ("vae", networks.serial, *self.key[2:])


class Vaes:
    """VAEs by model and file. One whose file was replaced is read again for the next request; pictures that are being
    made go on with what they were begun with. `load` may be called beside the thread that owns the device."""

    def __init__(self, adapter_files: AdapterFiles, parts: PartCache) -> None:
        self._files = adapter_files
        self._parts = parts
        self._newest: dict[tuple[int, Path], Version] = {}  # by the serial of a model's networks
        self._fresh: set[tuple[int, Path]] = set()
        self._loading = Lock()

    def chosen(self, call: LoadVae, card: ModelCard | None) -> tuple[str, Path] | None:
        """The VAE that a call means, its name and its file; None for the model's own. `RequestError` where there is no
        such file. Asks the disk."""
        if call.name == NONE:
            return None
        known = self._files.vaes()
        if call.name != AUTOMATIC:
            if call.name not in known:
                raise RequestError(
                    Sentence("vae {call} is no longer in models/VAE", call=repr(call.name)), "vae"
                )
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

    def resident(self, networks: Networks, path: Path) -> tuple[Hashable, ...] | None:
        """The key of a file's VAE if it is in memory, as the file was at the last look."""
        of = networks.serial, path
        key = _key(of, self._newest[of]) if of in self._fresh and of in self._newest else None
        return key if key in self._parts else None

    def load(self, path: Path, networks: Networks) -> tuple[Hashable, ...]:
        """The key of the VAE of a file as it is now, for a model, read if it has to be. `ModelFileError` names the file
        where it is damaged or made for another family."""
        with self._loading:
            of = networks.serial, path
            version, before = Version.of_file(path), self._newest.get(of)
            key = _key(of, version)
            if key not in self._parts:
                vae = _loaded(path, networks)
                if before is not None and before != version:
                    self._parts.retire(_key(of, before))
                size, place = weight_bytes(vae), networks.placement.arrival
                self._parts.add(Part(key, "vae", vae, size, place, networks.serial))
            self._newest[of] = version
            self._fresh.add(of)
            return key

    def newest(self, networks: Networks, path: Path) -> tuple[Hashable, ...] | None:
        """The key of the VAE that was read last of a file."""
        version = self._newest.get((networks.serial, path))
        return None if version is None else _key((networks.serial, path), version)

    def worn(self, networks: Networks, key: Hashable) -> Networks:
        """A model with this VAE, which is in memory, for its own."""
        part = self._parts.find(key)
        assert part is not None
        return replace(networks, vae=part.value, has_vae=True)

    def look(self) -> None:
        """Looks whether files were replaced. Asks the disk."""
        for of, version in list(self._newest.items()):
            if _key(of, version) not in self._parts:
                self._newest.pop(of, None)
                self._fresh.discard(of)
            elif not version.holds():
                self._fresh.discard(of)
            else:
                self._fresh.add(of)


def _key(of: tuple[int, Path], version: Version) -> tuple[Hashable, ...]:
    return "vae", *of, version.stamp


def _config(path: Path, networks: Networks, weights: Mapping[str, Weight]) -> dict[str, Any]:
    """The config of a VAE for a model that has none to go by, told from its own shapes."""
    try:
        config = vae_config(networks.vae.config, {name: one.shape for name, one in weights.items()})
    except (KeyError, IndexError) as fault:
        raise ModelFileError(
            Sentence("{file}: its tensors make no VAE ({why})", file=path.name, why=fault)
        ) from fault
    model, levels = networks.model, len(config["block_out_channels"])
    if (config["latent_channels"], 2 ** (levels - 1)) != (model.latent_channels, model.downscale):
        raise ModelFileError(
            Sentence(
                "{file}: a VAE of another family than {model}", file=path.name, model=model.name
            )
        )
    return config


def _loaded(path: Path, networks: Networks) -> Any:
    with IMPORTING:
        from diffusers import AutoencoderKL

    placement = networks.placement
    header = read_header(path)
    if what := wrong_place("vae", header):
        raise ModelFileError(Sentence("{file}: {what}", file=path.name, what=what))
    weights = vae_weights(header)
    config = networks.vae.config if networks.has_vae else _config(path, networks, weights)
    with torch.device("meta"):
        vae = AutoencoderKL.from_config(config)
    check(vae, weights, path.name)
    fill(vae, weights, placement.read_on, placement.vae_dtype)
    attention.install(vae, placement.attention, None)
    log.info("VAE %s is ready", path.name)
    return vae
