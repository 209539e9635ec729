"""Layers that use a changed weight for the length of a call, and their own again behind it.

The model's weights are never written: a layer is given another tensor for the time of its forward pass. Changed weights
are kept from call to call as far as a budget of bytes goes, and made anew for each call beyond it.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from webui.engine.adapters.deltas import Change
from webui.engine.adapters.files import LoadedAdapter
from webui.engine.adapters.names import Target

__all__ = ["Kept", "Uses", "applied"]

Uses = tuple[
    tuple[LoadedAdapter, float], ...
]  # adapters with their strengths, in the order they are applied
Stack = list[tuple[Change, float]]


class Kept:
    """Changed weights between calls: at most `limit` bytes, the adapters used longest ago go first."""

    def __init__(self, limit: int = 2 << 30) -> None:
        self.limit = limit
        self.bytes = 0
        self._kept: OrderedDict[Uses, dict[Target, Tensor]] = OrderedDict()

    def of(self, uses: Uses) -> dict[Target, Tensor]:
        """What is kept for these adapters; they count as just used."""
        found = self._kept.setdefault(uses, {})
        self._kept.move_to_end(uses)
        return found

    def keep(self, uses: Uses, target: Target, weight: Tensor) -> None:
        """Keeps a weight if there is room, or room can be made of other adapters'."""
        while self.bytes + weight.nbytes > self.limit and next(iter(self._kept)) != uses:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= sum(tensor.nbytes for tensor in gone.values())
        if self.bytes + weight.nbytes <= self.limit:
            self.of(uses)[target] = weight
            self.bytes += weight.nbytes

    def forget(self, model: str) -> None:
        """Drops what belongs to a model that leaves the memory."""
        for uses in [uses for uses in self._kept if any(one.model == model for one, _ in uses)]:
            self.bytes -= sum(tensor.nbytes for tensor in self._kept.pop(uses).values())


@contextmanager
def applied(name: str, network: nn.Module, uses: Uses, kept: Kept) -> Iterator[None]:
    """`network` (by its `Target.network` name) as adapters change it."""
    stacks = _stacks(name, uses)
    modules: dict[str, dict[str, Stack]] = defaultdict(dict)
    for target, stack in stacks.items():
        modules[target.module][target.parameter] = stack
    changed = []
    try:
        for path, parameters in modules.items():
            module = network.get_submodule(path)
            module.forward = _forward(module, name, path, parameters, uses, kept)
            changed.append(module)
        yield
    finally:
        for module in changed:
            del module.forward  # what the class says holds again


def _stacks(name: str, uses: Uses) -> Mapping[Target, Stack]:
    stacks: dict[Target, Stack] = defaultdict(list)
    for adapter, strength in uses:
        for target, change in adapter.changes.items():
            if target.network == name and strength:
                stacks[target].append((change, strength))
    return stacks


def _forward(
    module: nn.Module,
    name: str,
    path: str,
    parameters: Mapping[str, Stack],
    uses: Uses,
    kept: Kept,
) -> Callable[..., Any]:
    plain = type(module).forward

    def forward(*inputs: Any, **options: Any) -> Any:
        own = {key: module._parameters[key] for key in parameters}
        try:
            for key, stack in parameters.items():
                weight = own[key]
                assert weight is not None
                changed = _weight(weight, stack, Target(name, path, key), uses, kept)
                module._parameters[key] = changed  # type: ignore[assignment]
            return plain(module, *inputs, **options)
        finally:
            module._parameters.update(own)

    return forward


def _weight(
    weight: Tensor, stack: Sequence[tuple[Change, float]], target: Target, uses: Uses, kept: Kept
) -> Tensor:
    known = kept.of(uses).get(target)
    if known is not None:
        return known
    result = weight.float()
    for change, strength in stack:
        result = change.changed(result, strength)
    result = result.to(weight.dtype)
    kept.keep(uses, target, result)
    return result
