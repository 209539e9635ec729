"""An adapter file to the changes that it makes in one model. Knows safetensors and names; knows no request."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from webui.catalog.formats.hashing import stamp_of
from webui.catalog.formats.header import read_header, said
from webui.engine.adapters.configs import Configs, beside
from webui.engine.adapters.deltas import Added, Change, change_of
from webui.engine.adapters.names import Names, Target
from webui.engine.adapters.parts import ALIASES, BIASES, split
from webui.engine.adapters.rotations import TurnedInputs
from webui.engine.read_tensors import read_tensors
from webui.errors import ModelFileError, Sentence
from webui.sentences import joined

__all__ = ["LoadedAdapter", "read", "version_of"]

PEFTS = "base_model.model."  # before the names that peft writes
SHOWN, LONGEST = 3, 80  # names in a note, and letters of each
# Parts that say how strong others are, and nothing without them.
ADDITIONS = frozenset({"alpha", "dora_scale", "magnitude", "rescale", "lora_mid"})
EMBEDDING = frozenset({"lora_embedding_A", "lora_embedding_B"})  # of which one alone is nothing


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
    changes: dict[Target, Change] = field(compare=False, repr=False)
    note: str = field(default="", compare=False)

    @property
    def bytes(self) -> int:
        return sum(t.nbytes for change in self.changes.values() for t in change.tensors().values())

    def to(self, device: torch.device) -> None:
        """Carries it to a device, in place."""
        self.changes.update({at: change.to(device) for at, change in self.changes.items()})


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
    layers, unknown, configs = _layers(path)
    changes: dict[Target, Change] = {}
    sources: dict[Target, str] = {}
    homeless: list[str] = []
    for layer, parts in layers.items():
        at = names.find(layer, "weight")
        if at is None:
            homeless.append(layer)
            continue
        if idle := _idle(layer, parts):
            unknown += idle
            continue
        try:
            made = _changes(at, parts, configs)
            for target, change in made.items():
                _fits(change, _tensor(networks, target))
                if target in changes:
                    raise ValueError(f"is the same layer of the model as {sources[target]}")
                changes[target], sources[target] = change.to(device), layer
        except ValueError as fault:
            raise ModelFileError(
                Sentence("{file}: {layer}: {why}", file=path.name, layer=layer, why=fault)
            ) from fault
    if not changes:
        like = Sentence("; its keys are like {keys}", keys=_some(homeless)) if homeless else ""
        raise ModelFileError(
            Sentence(
                "{file}: made for another kind of model than {model}: none of its {number} layers is there{like}",
                file=path.name,
                model=repr(model[0]),
                number=len(layers),
                like=like,
            )
        )
    twice = "text_encoder_2" in networks and any(
        target.network == "text_encoder" and sources[target].startswith(PEFTS) for target in changes
    )
    notes = list(_notes(model[0], layers, changes, homeless, unknown, configs, twice))
    note = Sentence("{name}: {notes}", name=name, notes=joined("; ", notes)) if notes else ""
    digest = _hash(path)
    if version_of(path) != version:
        raise ModelFileError(
            Sentence("{file}: has changed while it was loaded; try again", file=path.name)
        )
    return LoadedAdapter(*model, name, path, version, digest, changes, note)


def _layers(path: Path) -> tuple[dict[str, dict[str, Tensor]], list[str], Configs]:
    """The file's tensors by layer and part, on the CPU, the keys that are no part, and what it says of the layers."""
    found: dict[str, dict[str, Tensor]] = defaultdict(dict)
    unknown: list[str] = []
    file = read_header(path)
    configs = Configs(path, file.metadata)
    for key, tensor in read_tensors(file).items():
        layer, part = split(key)
        if not part:
            unknown.append(key)
            continue
        name = ALIASES.get(part, part)
        if name in found[layer]:
            raise ModelFileError(
                Sentence(
                    "{file}: {layer}: has its {name} twice, the other time as {part}",
                    file=path.name,
                    layer=layer,
                    name=name,
                    part=repr(key),
                )
            )
        found[layer][name] = tensor
    if not any(map(_whole, found.values())):
        keys = _some(unknown or list(found))
        some = Sentence("; its keys are like {keys}", keys=keys) if unknown or found else ""
        raise ModelFileError(
            Sentence("{file}: holds no LoRA or anything like it{some}", file=path.name, some=some)
        )
    return found, unknown, configs


def _whole(parts: Mapping[str, Tensor]) -> bool:
    """Whether there is anything in these parts that changes a layer."""
    names = set(parts) - ADDITIONS
    return bool(names - EMBEDDING or EMBEDDING <= names)


def _idle(layer: str, parts: Mapping[str, Tensor]) -> list[str]:
    """The keys of parts that change nothing by themselves, where nothing else of the layer is known."""
    return [] if _whole(parts) else [f"{layer}.{part}" for part in parts]


def _changes(at: Target, parts: Mapping[str, Tensor], configs: Configs) -> dict[Target, Change]:
    """What a layer's parts make of its weight and its bias. `ValueError` where they are no whole."""
    config = configs.of(at.network, at.module)
    weights = {part: tensor for part, tensor in parts.items() if part not in BIASES}
    found: dict[Target, Change] = {}
    scale = 1.0
    if weights:
        found[at] = change = change_of(weights, config)
        if isinstance(change, Added):
            scale = change.scale
    biases = [part for part in BIASES if part in parts]
    if len(biases) > 1:
        raise ValueError(f"changes its bias twice, by {' and '.join(biases)}")
    for part in biases:
        value = change_of({"whole" if part == "whole_bias" else "diff": parts[part]})
        if part == "up_bias":
            if not weights:
                raise ValueError("lora_up is missing")
            value = Added("difference", {"diff": parts[part]}, scale)
        found[at._replace(parameter="bias")] = value
    return found


def _notes(
    model: str,
    layers: Mapping[str, Mapping[str, Tensor]],
    changes: Mapping[Target, Change],
    homeless: Sequence[str],
    unknown: Sequence[str],
    configs: Configs,
    twice: bool,
) -> Iterator[str]:
    """What of the file is not used, and what had to be guessed, in a few words each. `twice` is whether peft's names
    may mean layers of either of two text encoders."""
    if homeless:
        yield Sentence(
            "{number} of {number2} layers have no place in {model}: {some}",
            number=len(homeless),
            number2=len(layers),
            model=model,
            some=_some(homeless),
        )
    if unknown:
        yield Sentence(
            "{count} not known here and not used: {some}",
            count=_count(unknown, "tensor"),
            some=_some(unknown),
        )
    kinds = list(changes.values())
    turned = [change for change in kinds if isinstance(change, TurnedInputs)]
    if turned and not configs.told:
        yield Sentence(
            "OFT without its adapter_config.json, read as one {kind}", kind=turned[0].kind
        )
    guessed = [one for one in kinds if isinstance(one, Added) and one.kind != "difference"]
    if guessed and not configs.told and any(layer.startswith(PEFTS) for layer in layers):
        yield Sentence(
            "peft's without its adapter_config.json, read as one whose alpha is its rank"
        )
    silent = [one for one in kinds if isinstance(one, Added) and _hides_its_root(one)]
    if silent and configs.rooted:
        yield Sentence(
            "trained with rs_lora, which {count} cannot say, and read without it",
            count=_count(silent, "layer"),
        )
    if twice:
        yield Sentence(
            "its text layers are taken for the first text encoder's, its names do not say whose"
        )
    if idle := [one for one in kinds if isinstance(one, Added) and one.scale == 0]:
        yield Sentence("{count} without effect, by an alpha of 0", count=_count(idle, "layer"))


def _hides_its_root(change: Added) -> bool:
    """Whether LyCORIS writes the same alpha for this kind however the rank divides it."""
    return change.kind == "glora" or {"lokr_w1", "lokr_w2"} <= change.parts.keys()


def _count(things: Sequence[object], name: str) -> str:
    number = len(things)
    if name == "tensor":
        return Sentence("1 tensor") if number == 1 else Sentence("{number} tensors", number=number)
    return Sentence("1 layer") if number == 1 else Sentence("{number} layers", number=number)


def _some(names: Sequence[str]) -> str:
    """The first of many names."""
    told = ", ".join(name[:LONGEST] for name in names[:SHOWN])
    return told if len(names) <= SHOWN else f"{told} ..."


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
    except (RuntimeError, IndexError) as fault:  # what no check of ours has foreseen
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
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault
    return digest.hexdigest()[:12]
