"""Hypernetworks: small networks in front of attention's keys and values, for the length of a call.

A file has two for each width that attention reads: one for what keys are made of, one for what values are made of. Each
adds to what it is given, x + strength * net(x), with a net of linear layers, an activation between them, and layer
norms. A1111 writes them as pickles (`.pt`), which are read without being run.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from webui.catalog.formats.header import Header, read_header, said
from webui.catalog.formats.pickles import HYPERNETWORK, convert
from webui.engine.adapters.files import version_of
from webui.engine.read_tensors import read_tensors
from webui.errors import ModelFileError, Sentence
from webui.sentences import joined

__all__ = ["Hypernetwork", "HypernetworkUses", "applied", "read"]

CONTEXTS = (768, 1024, 2048)  # widths of texts, each of one family alone
KEY = re.compile(r"(\d{1,5})\.([01])\.linear\.?(\d{1,3})\.(weight|bias)")
OLD = {
    ("1", True): 0,
    ("2", True): 1,
}  # "linear1", "linear2": before layers had numbers of their own
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leakyrelu": F.leaky_relu,
    "elu": F.elu,
    "celu": F.celu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "swish": F.hardswish,  # as A1111 has it
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "logsigmoid": F.logsigmoid,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "tanhshrink": F.tanhshrink,
}
PLAIN = ("linear", "identity", None)  # no activation
USED = ("activation_func", "activate_output", "is_layer_norm", "layer_structure")
# What else A1111 writes: of training, and of dropouts, which act in training alone.
HARMLESS = frozenset({
    "step", "name", "sd_checkpoint", "sd_checkpoint_name", "weight_initialization", "weight_init", "use_dropout",
    "dropout_structure", "last_layer_dropout", "optional_info", "optimizer_name", "optimizer_state_dict", "hash",
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One of the small networks: its layers in order, with their number, weight [O, I] of a linear layer or [D] of a
    norm, and bias. `activation` stands behind each linear layer, behind the last one where `to_the_end`."""

    layers: Sequence[tuple[Tensor, Tensor]]
    activation: Callable[[Tensor], Tensor] | None
    to_the_end: bool

    def __call__(self, x: Tensor) -> Tensor:
        """net(x), for x [..., D]."""
        last = max(i for i, (weight, _) in enumerate(self.layers) if weight.dim() == 2)
        for i, (weight, bias) in enumerate(self.layers):
            if weight.dim() == 1:
                x = F.layer_norm(x, weight.shape, weight, bias)
                continue
            x = F.linear(x, weight, bias)
            if self.activation is not None and (i < last or self.to_the_end):
                x = self.activation(x)
        return x

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Chain:
        layers = [(w.to(device, dtype), b.to(device, dtype)) for w, b in self.layers]
        return Chain(layers, self.activation, self.to_the_end)


@dataclass(frozen=True, slots=True)
class Hypernetwork:
    """A hypernetwork's file as one load of a model takes it: for each width the chains of keys and values. Two are the
    same as `LoadedAdapter`s are; `note` says what of the file is not known."""

    model: str
    serial: int
    name: str
    path: Path
    version: str
    chains: dict[int, tuple[Chain, Chain]] = field(compare=False, repr=False)
    note: str = field(default="", compare=False)

    @property
    def bytes(self) -> int:
        chains = [chain for pair in self.chains.values() for chain in pair]
        return sum(t.nbytes for chain in chains for layer in chain.layers for t in layer)

    def to(self, device: torch.device) -> None:
        """Carries it to a device, in place."""
        for width, pair in self.chains.items():
            self.chains[width] = pair[0].to(device), pair[1].to(device)


HypernetworkUses = tuple[tuple[Hypernetwork, float], ...]  # with their strengths, in order


@contextmanager
def applied(unet: nn.Module, uses: HypernetworkUses) -> Iterator[None]:
    """`unet` whose attention sees what the hypernetworks make of its inputs; its weights are not touched."""
    with ExitStack() as undo:
        for layer, side in _layers(unet) if uses else ():
            chains = [
                (one.chains[layer.in_features][side], strength)
                for one, strength in uses
                if strength and layer.in_features in one.chains
            ]
            if chains:
                undo.callback(layer.register_forward_pre_hook(_changing(chains)).remove)
        yield


def _layers(unet: nn.Module) -> Iterator[tuple[nn.Linear, int]]:
    """The layers that make keys (0) and values (1)."""
    for path, module in unet.named_modules():
        side = {"to_k": 0, "to_v": 1}.get(path.rpartition(".")[2])
        if side is not None and isinstance(module, nn.Linear):
            yield module, side


def _changing(chains: Sequence[tuple[Chain, float]]) -> Callable[[Any, Any], tuple[Tensor]]:
    def change(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        x = inputs[0]
        for chain, strength in chains:
            x = x + chain(x) * strength
        return (x,)

    return change


# --- From a file ----------------------------------------------------------------------------------


def read(
    path: Path,
    name: str,
    model: tuple[str, int],
    unet: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
) -> Hypernetwork:
    """The file at `path` for the `unet` of a model, which is told by its name and serial.

    `ModelFileError` names the file where it is damaged, is no hypernetwork, or was made for another kind of model.
    """
    version = version_of(path)
    tensors, values = _opened(path)
    unknown = [key for key, value in values.items() if key not in (*USED, *HARMLESS) and value]
    found = _chains(path, tensors, values)
    widths = {layer.in_features for layer, _ in _layers(unet)}
    text = int(unet.config.cross_attention_dim)  # type: ignore[arg-type,union-attr]
    strange = [width for width in found if width in CONTEXTS]
    if not widths & found.keys() or (strange and text not in found):
        made = ", ".join(map(str, sorted(found)))
        raise ModelFileError(
            Sentence(
                "{file}: made for another kind of model than {model}: it changes "
                "widths of {made}, this model's texts have {text}",
                file=path.name,
                model=repr(model[0]),
                made=made,
                text=text,
            )
        )
    if version_of(path) != version:
        raise ModelFileError(
            Sentence("{file}: has changed while it was loaded; try again", file=path.name)
        )
    chains = {
        width: (keys.to(device, dtype), values.to(device, dtype))
        for width, (keys, values) in found.items()
    }
    notes = []
    if left := sorted(found.keys() - widths):
        some = ", ".join(map(str, left[:3]))
        notes.append(
            Sentence(
                "{number} of {number2} widths have no place in {model}: {some}",
                number=len(left),
                number2=len(found),
                model=model[0],
                some=some,
            )
        )
    if unknown:
        some = ", ".join(key[:80] for key in unknown[:3])
        notes.append(
            Sentence(
                "{number} of its settings not known here and not used: {some}",
                number=len(unknown),
                some=some,
            )
        )
    note = Sentence("{name}: {notes}", name=name, notes=joined("; ", notes)) if notes else ""
    return Hypernetwork(*model, name, path, version, chains, note)


def _opened(path: Path) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    """The file's tensors by name, and what it says beside them."""
    try:
        if path.suffix.lower() == ".safetensors":
            return _told(path, read_header(path))
        with tempfile.TemporaryDirectory() as folder:
            converted = convert(path, Path(folder) / path.name)  # whose faults have the file's name
            tensors, values = _told(path, read_header(converted.path))
            return tensors, {**dict.fromkeys(converted.dropped, True), **values}
    except OSError as fault:  # of the temporary folder
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault


def _told(path: Path, header: Header) -> tuple[Mapping[str, Tensor], Mapping[str, Any]]:
    if HYPERNETWORK not in header.metadata and not any(map(KEY.fullmatch, header.tensors)):
        raise ModelFileError(Sentence("{file}: holds no hypernetwork", file=path.name))
    try:
        values = json.loads(header.metadata.get(HYPERNETWORK, "{}"))
    except (ValueError, RecursionError) as fault:
        raise ModelFileError(
            Sentence(
                "{file}: its {hypernetwork} is not JSON ({why})",
                file=path.name,
                hypernetwork=HYPERNETWORK,
                why=fault,
            )
        ) from fault
    if not isinstance(values, dict):
        raise ModelFileError(
            Sentence(
                "{file}: its {hypernetwork} is no JSON object",
                file=path.name,
                hypernetwork=HYPERNETWORK,
            )
        )
    return read_tensors(header), values


def _chains(
    path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> dict[int, tuple[Chain, Chain]]:
    sides: dict[tuple[int, int], dict[int, dict[str, Tensor]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for key, tensor in tensors.items():
        at = KEY.fullmatch(key)
        if at is None:
            raise ModelFileError(
                Sentence(
                    "{file}: {part} has no place in a hypernetwork",
                    file=path.name,
                    part=repr(key[:80]),
                )
            )
        number = OLD.get((at[3], ".linear." not in key), int(at[3]))
        if at[4] in sides[int(at[1]), int(at[2])][number]:
            raise ModelFileError(
                Sentence(
                    "{file}: {part} is there twice, by two names",
                    file=path.name,
                    part=repr(key[:80]),
                )
            )
        if not tensor.is_floating_point():
            raise ModelFileError(
                Sentence(
                    "{file}: {part} holds {dtype}, no weights",
                    file=path.name,
                    part=repr(key[:80]),
                    dtype=tensor.dtype,
                )
            )
        sides[int(at[1]), int(at[2])][number][at[4]] = tensor.float()
    name = values.get("activation_func")
    activation = None
    if name not in PLAIN:
        activation = ACTIVATIONS.get(str(name).lower())
        if activation is None:
            raise ModelFileError(
                Sentence(
                    "{file}: its activation {name} is not known",
                    file=path.name,
                    name=repr(str(name)[:40]),
                )
            )
    to_the_end = values.get("activate_output", True)  # as A1111 has it for older files
    if to_the_end not in (True, False, None):
        raise ModelFileError(
            Sentence(
                "{file}: its activate_output is {to_the_end}, not true or false",
                file=path.name,
                to_the_end=repr(str(to_the_end)[:40]),
            )
        )
    found: dict[int, tuple[Chain, Chain]] = {}
    for width in sorted({width for width, _ in sides}):
        pair = []
        for side in (0, 1):
            numbered = sides.get((width, side), {})
            chain = _chain(path, f"{width}.{side}", numbered, activation, bool(to_the_end))
            _fits(path, f"{width}.{side}", chain, width)
            _as_told(path, f"{width}.{side}", chain, width, values)
            pair.append(chain)
        found[width] = (pair[0], pair[1])
    return found


def _chain(
    path: Path,
    what: str,
    numbered: Mapping[int, Mapping[str, Tensor]],
    activation: Callable[[Tensor], Tensor] | None,
    to_the_end: bool,
) -> Chain:
    layers: list[tuple[Tensor, Tensor]] = []
    for number in sorted(numbered):
        parts = numbered[number]
        if "weight" not in parts or parts["weight"].dim() not in (1, 2) or "bias" not in parts:
            raise ModelFileError(
                Sentence(
                    "{file}: {what}.linear.{number} is neither layer nor norm",
                    file=path.name,
                    what=what,
                    number=number,
                )
            )
        if parts["bias"].shape != parts["weight"].shape[:1]:
            raise ModelFileError(
                Sentence(
                    "{file}: {what}.linear.{number} has a bias of {shape} for {number2} numbers",
                    file=path.name,
                    what=what,
                    number=number,
                    shape=list(parts["bias"].shape),
                    number2=len(parts["weight"]),
                )
            )
        layers.append((parts["weight"], parts["bias"]))
    if not any(weight.dim() == 2 for weight, _ in layers):
        raise ModelFileError(
            Sentence("{file}: {what} has no layers; it is not whole", file=path.name, what=what)
        )
    return Chain(layers, activation, to_the_end)


def _fits(path: Path, what: str, chain: Chain, width: int) -> None:
    """Tries a chain on shapes alone."""
    meta = torch.device("meta")
    try:
        result = chain.to(meta, torch.float32)(torch.empty(1, width, device=meta))
    except RuntimeError as fault:
        raise ModelFileError(
            Sentence("{file}: the layers of {what} do not fit together", file=path.name, what=what)
        ) from fault
    if result.shape != (1, width):
        raise ModelFileError(
            Sentence(
                "{file}: {what} makes {shape} numbers of {width}",
                file=path.name,
                what=what,
                shape=result.shape[1],
                width=width,
            )
        )


def _as_told(path: Path, what: str, chain: Chain, width: int, values: Mapping[str, Any]) -> None:
    """Raises `ModelFileError` where a file says of its layers what they are not."""
    norms = any(weight.dim() == 1 for weight, _ in chain.layers)
    if "is_layer_norm" in values and bool(values["is_layer_norm"]) != norms:
        said = (
            Sentence("says is_layer_norm")
            if values["is_layer_norm"]
            else Sentence("does not say is_layer_norm")
        )
        raise ModelFileError(
            Sentence(
                "{file}: {said}, and {what} has {value}",
                file=path.name,
                said=said,
                what=what,
                value="some" if norms else "none",
            )
        )
    structure = values.get("layer_structure")
    if structure is None:
        return
    widths = [len(weight) for weight, _ in chain.layers if weight.dim() == 2]
    numbers = isinstance(structure, list) and all(
        type(n) in (int, float) and isfinite(n) for n in structure
    )
    if not numbers or [int(width * n) for n in structure[1:]] != widths:
        raise ModelFileError(
            Sentence(
                "{file}: its layer_structure is {structure}, and {what} has layers of {widths}",
                file=path.name,
                structure=str(structure)[:60],
                what=what,
                widths=widths,
            )
        )
