"""Who goes next, and with whom: which pending calls share a batch.

Knows keys, row counts and turns; never a tensor, so its tests are in integers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webui.types import Call, Denoise

__all__ = ["Pending", "batch_key", "choose", "row_count"]


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that waits. Calls with equal `key` may share a batch, one with None is made alone.

    `since` is the turn at which it came in.
    """

    key: Hashable | None
    rows: int
    since: int


def choose(pending: Sequence[Pending], capacity: int) -> list[int]:
    """The indices of the calls to make now, in the order of their waiting.

    The call that has waited longest leads, and every other call that may share its batch joins, as
    long as the rows fit. So no call starves (each turn serves the oldest), two kinds of calls take
    turns, and whatever can run together does. A call wider than `capacity` runs alone.
    """
    order = sorted(range(len(pending)), key=lambda i: pending[i].since)
    if not order:
        return []
    lead = pending[order[0]]
    chosen, rows = [order[0]], lead.rows
    for i in order[1:] if lead.key is not None else ():
        if pending[i].key == lead.key and rows + pending[i].rows <= capacity:
            chosen.append(i)
            rows += pending[i].rows
    return chosen


def row_count(call: Call) -> int:
    """How much of the capacity a call takes: the rows of a UNet call, else one."""
    return len(call.rows) if isinstance(call, Denoise) else 1


def batch_key(call: Call) -> Hashable | None:
    """UNet calls with equal keys may be made as one; None for every other call, which is made alone."""
    if not isinstance(call, Denoise):
        return None
    context = tuple(call.rows[0].context.shape)
    adapters = tuple((adapter.network, _shapes(adapter.inputs)) for adapter in call.adapters)
    return (call.model, tuple(call.x.shape), context, _shapes(call.inputs), call.patches, adapters)


def _shapes(inputs: Mapping[str, Any]) -> Hashable:
    return tuple(sorted((name, tuple(tensor.shape)) for name, tensor in inputs.items()))
