"""An adapter file to the changes that it makes in one model. Knows safetensors and names; knows no request."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from webui.engine.adapters.configs import Configs, beside
from webui.engine.adapters.deltas import Change, change_of
from webui.engine.adapters.names import BIASES, Names, Target, split
from webui.engine.adapters.rotations import TurnedInputs
from webui.engine.formats.hashing import stamp_of
from webui.engine.formats.header import read_header, said
from webui.engine.tensors import read_tensors
from webui.errors import ModelFileError

__all__ = ["LoadedAdapter", "read", "version_of"]


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter as the networks of one load of a model take it. `hash` are the first 12 hex digits of its body's
    SHA-256, as kohya and A1111 write it. Two of the same file, in the same version, for the same networks are the same:
    `serial` is that of `Networks`, `version` as of `version_of`. `note` says what of it had no place, and what had to
    be guessed."""

    model: str
    serial: int
    name: str
    path: Path
    version: str
    hash: str
    changes: Mapping[Target, Change] = field(compare=False, repr=False)
    note: str = field(default="", compare=False)

    @property
    def bytes(self) -> int:
        return sum(t.nbytes for change in self.changes.values() for t in change.tensors().values())


def version_of(path: Path) -> str:
    """What tells versions of an adapter file apart, and of the config beside it; "" where it is gone."""
    config = beside(path)
    told = [path] if config is None or not config.is_file() else [path, config]
    try:
        return "/".join(map(stamp_of, told))
    except OSError:
        return ""


def read(
    path: Path,
    name: str,
    model: tuple[str, int],
    networks: Mapping[str, nn.Module],
    names: Names,
    device: torch.device,
) -> LoadedAdapter:
    """The file at `path` for the `networks` of a model, which is told by its name and their serial, on `device`.

    `ModelFileError` names the file where it is damaged, is no adapter, or was made for another kind of model.
    """
    version = version_of(path)
    layers, configs = _layers(path)
    changes: dict[Target, Change] = {}
    homeless: list[str] = []
    for layer, parts in layers.items():
        weights = {part: tensor for part, tensor in parts.items() if part not in BIASES}
        bias = next((part for part in BIASES if part in parts), None)
        biases = {"diff": parts[bias]} if bias else {}
        for given, part in ((weights, "weight"), (biases, "diff_b")):
            if not given:
                continue
            target = names.find(layer, part)
            if target is None:
                homeless.append(layer)
                continue
            try:
                change = change_of(given, configs.of(target.network, target.module))
                _fits(change, _tensor(networks, target))
            except ValueError as fault:
                raise ModelFileError(f"{path.name}: {layer}: {fault}") from fault
            changes[target] = change.to(device)
    if not changes:
        raise ModelFileError(
            f"{path.name}: made for another kind of model than {model[0]!r}: none of its {len(layers)} layers is there"
        )
    notes = []
    if homeless:
        notes.append(f"{len(homeless)} of {len(layers)} layers have no place in {model[0]}")
    turned = [change for change in changes.values() if isinstance(change, TurnedInputs)]
    if turned and not configs.told:
        notes.append(f"OFT without its adapter_config.json, read as one {turned[0].kind}")
    note = f"{name}: {'; '.join(notes)}" if notes else ""
    digest = _hash(path)
    if version_of(path) != version:
        raise ModelFileError(f"{path.name}: has changed while it was loaded; try again")
    return LoadedAdapter(*model, name, path, version, digest, changes, note)


def _layers(path: Path) -> tuple[dict[str, dict[str, Tensor]], Configs]:
    """The file's tensors by layer and part, on the CPU, and what it says of the layers."""
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    file = read_header(path)
    configs = Configs(path, file.metadata)
    for key, tensor in read_tensors(file).items():
        layer, part = split(key)
        if part:
            found[layer][part] = tensor
    if not found:
        raise ModelFileError(f"{path.name}: holds no LoRA or anything like it")
    return found, configs


def _tensor(networks: Mapping[str, nn.Module], target: Target) -> Tensor:
    tensor = getattr(networks[target.network].get_submodule(target.module), target.parameter, None)
    if not isinstance(tensor, Tensor):
        raise ValueError(f"the model's layer has no {target.parameter}")
    return tensor


def _fits(change: Change, weight: Tensor) -> None:
    """Tries a change on shapes alone: `ValueError` where they do not fit."""
    meta = torch.device("meta")
    try:
        result = change.to(meta).changed(torch.empty(weight.shape, device=meta), 1.0)
    except RuntimeError as fault:
        raise ValueError(
            f"does not fit the model's layer of {list(weight.shape)}; was it made for another family of models?"
        ) from fault
    if result.shape != weight.shape:
        raise ValueError(
            f"made for a layer of {list(result.shape)}, the model's is {list(weight.shape)}; "
            "was it made for another family of models?"
        )


def _hash(path: Path) -> str:
    """The first 12 hex digits of the SHA-256 of what follows the header."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as fault:
        raise ModelFileError(f"{path.name}: cannot be read ({said(fault)})") from fault
    return digest.hexdigest()[:12]
