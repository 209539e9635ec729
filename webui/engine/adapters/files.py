"""An adapter file to the changes that it makes in one model. Knows safetensors and names; knows no request."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from webui.engine.adapters.configs import Configs
from webui.engine.adapters.deltas import Change, change_of
from webui.engine.adapters.names import BIASES, Names, Target, split
from webui.errors import ModelFileError

__all__ = ["LoadedAdapter", "read"]


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """An adapter as one model takes it. `hash` are the first 12 hex digits of its body's SHA-256, as kohya and A1111
    write it; two of the same model, name and hash are the same. `note` says what of it had no place."""

    model: str
    name: str
    hash: str
    changes: Mapping[Target, Change] = field(compare=False, repr=False)
    note: str = field(default="", compare=False)

    @property
    def bytes(self) -> int:
        return sum(t.nbytes for change in self.changes.values() for t in change.tensors().values())


def read(
    path: Path,
    name: str,
    model: str,
    networks: Mapping[str, nn.Module],
    names: Names,
    device: torch.device,
) -> LoadedAdapter:
    """The file at `path` for the `networks` of a model, on `device`.

    `ModelFileError` names the file where it is damaged, is no adapter, or was made for another kind of model.
    """
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
                raise ModelFileError(f"{path}: {layer}: {fault}") from fault
            changes[target] = change.to(device)
    if not changes:
        raise ModelFileError(
            f"{path}: made for another kind of model than {model!r}: none of its {len(layers)} layers is there"
        )
    note = ""
    if homeless:
        note = f"{name}: {len(homeless)} of {len(layers)} layers have no place in {model}"
    return LoadedAdapter(model, name, _hash(path), changes, note)


def _layers(path: Path) -> tuple[dict[str, dict[str, Tensor]], Configs]:
    """The file's tensors by layer and part, on the CPU, and what it says of the layers."""
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            configs = Configs(path, file.metadata() or {})
            for key in file.keys():
                layer, part = split(key)
                if part:
                    found[layer][part] = file.get_tensor(key)
    except (OSError, SafetensorError) as fault:
        raise ModelFileError(f"{path}: cannot be read ({fault})") from fault
    if not found:
        raise ModelFileError(f"{path}: holds no LoRA or anything like it")
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
            f"does not fit the model's layer of {list(weight.shape)}; "
            f"was it made for another family of models? ({str(fault).splitlines()[0]})"
        ) from fault
    if result.shape != weight.shape:
        raise ValueError(
            f"made for a layer of {list(result.shape)}, this one is {list(weight.shape)}"
        )


def _hash(path: Path) -> str:
    """The first 12 hex digits of the SHA-256 of what follows the header."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]
