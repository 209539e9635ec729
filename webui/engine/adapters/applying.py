"""Layers that use a changed weight for the length of a call, and their own again behind it.

The model's weights are never written: a layer is given another tensor for the time of its forward pass. Changed weights
are kept from call to call as far as a budget of bytes goes, and made anew for each call beyond it.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

from torch import Tensor, nn

from webui.engine.adapters.deltas import Change
from webui.engine.adapters.files import LoadedAdapter
from webui.engine.adapters.names import Target

__all__ = ["AdapterStrengths", "MergedWeightCache", "applied"]

AdapterStrengths = tuple[
    tuple[LoadedAdapter, float], ...
]  # adapters with their strengths, in the order they are applied
Stack = list[tuple[Change, float]]


IN_USE = "_adapters_in_use"  # on a network, for as long as `applied` lasts


class MergedWeightCache:
    """Changed weights between calls: at most `limit` bytes, the adapters used longest ago go first. Any thread may
    call."""

    def __init__(self, limit: int = 2 << 30) -> None:
        self.limit = limit
        self.bytes = 0
        self._weights: OrderedDict[AdapterStrengths, dict[Target, Tensor]] = OrderedDict()
        self._lock = Lock()  # a model may leave the memory while another one is at work

    def find(self, uses: AdapterStrengths, target: Target) -> Tensor | None:
        """The weight that is kept for these adapters, which count as just used."""
        with self._lock:
            found = self._weights.get(uses)
            if found is None:
                return None
            self._weights.move_to_end(uses)
            return found.get(target)

    def keep(self, uses: AdapterStrengths, target: Target, weight: Tensor) -> None:
        """Keeps a weight if there is room, or room can be made of other adapters'."""
        with self._lock:
            while self.bytes + weight.nbytes > self.limit:
                oldest = next(iter(self._weights), uses)
                if oldest == uses:
                    return
                self._drop(oldest)
            self._weights.setdefault(uses, {})[target] = weight
            self._weights.move_to_end(uses)
            self.bytes += weight.nbytes

    def forget(self, gone: Callable[[LoadedAdapter], bool]) -> None:
        """Drops what was made with adapters that are `gone`: of a model that leaves the memory, or of a former file."""
        with self._lock:
            for uses in [uses for uses in self._weights if any(gone(one) for one, _ in uses)]:
                self._drop(uses)

    def _drop(self, uses: AdapterStrengths) -> None:
        self.bytes -= sum(tensor.nbytes for tensor in self._weights.pop(uses).values())


@contextmanager
def applied(
    name: str, network: nn.Module, uses: AdapterStrengths, merged: MergedWeightCache
) -> Iterator[None]:
    """`network` (by its `Target.network` name) as adapters change it; inside another one of these, as both do."""
    former: AdapterStrengths = network.__dict__.get(IN_USE, ())
    uses = (*former, *uses)
    modules: dict[str, dict[str, Stack]] = defaultdict(dict)
    for target, stack in _stacks(name, uses).items():
        modules[target.module][target.parameter] = stack
    changed: list[tuple[nn.Module, Any]] = []
    network.__dict__[IN_USE] = uses
    try:
        for path, parameters in modules.items():
            module = network.get_submodule(path)
            changed.append((module, module.__dict__.get("forward")))
            module.forward = _forward(module, name, path, parameters, uses, merged)
        yield
    finally:
        network.__dict__[IN_USE] = former
        for module, before in changed:
            if before is None:
                del module.forward  # what the class says holds again
            else:
                module.forward = before


def _stacks(name: str, uses: AdapterStrengths) -> Mapping[Target, Stack]:
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
    uses: AdapterStrengths,
    merged: MergedWeightCache,
) -> Callable[..., Any]:
    plain = type(module).forward

    def forward(*inputs: Any, **options: Any) -> Any:
        own = {key: module._parameters[key] for key in parameters}
        try:
            for key, stack in parameters.items():
                weight = own[key]
                assert weight is not None
                changed = _weight(weight, stack, Target(name, path, key), uses, merged)
                module._parameters[key] = changed  # type: ignore[assignment]
            return plain(module, *inputs, **options)
        finally:
            module._parameters.update(own)

    return forward


def _weight(
    weight: Tensor,
    stack: Sequence[tuple[Change, float]],
    target: Target,
    uses: AdapterStrengths,
    merged: MergedWeightCache,
) -> Tensor:
    known = merged.find(uses, target)
    if known is not None:
        return known
    result = weight.float()
    for change, strength in stack:
        result = change.changed(result, strength)
    result = result.to(weight.dtype)
    merged.keep(uses, target, result)
    return result
