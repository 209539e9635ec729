"""Layers that use a changed weight for the length of a call, and their own again behind it.

The model's weights are never written: a layer is given another tensor for the time of its forward pass. Changed weights
are kept from call to call as far as a budget of bytes goes, and made anew for each call beyond it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from webui.engine.adapters.deltas import Change
from webui.engine.adapters.files import LoadedAdapter
from webui.engine.adapters.merged_weights import MergedWeightCache
from webui.engine.adapters.names import Target

__all__ = ["AdapterStrengths", "applied"]

AdapterStrengths = tuple[
    tuple[LoadedAdapter, float], ...
]  # adapters with their strengths, in the order they are applied
Stack = list[tuple[Change, float]]


IN_USE = "_adapters_in_use"  # on a network, for as long as `applied` lasts


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
        with merged.using(uses):
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
        result = change.to(result.device).changed(result, strength)
    result = result.to(weight.dtype)
    merged.keep(uses, target, result)
    return result
