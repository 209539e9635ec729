"""Which rows of a UNet call are computed together: those with one set of patches that change the network.

Knows patches and rows; never a tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from webui.types import Denoise, Patch, Row

__all__ = ["RowGroup", "network_patches", "patch_sets", "row_groups"]


@dataclass(slots=True)
class RowGroup:
    """Rows that one UNet call is made for: their numbers among all, the patches of the network, those of every row's
    attention, and those of some rows', by the rows' numbers in the group."""

    network: tuple[Patch, ...]
    attention: tuple[Patch, ...]
    rows: list[int] = field(default_factory=list)
    of_rows: dict[tuple[Patch, ...], list[int]] = field(default_factory=dict)


def network_patches(call: Denoise, row: Row) -> tuple[Patch, ...]:
    """What changes the network for a row, in the order in which it is entered."""
    return tuple(patch for patch in (*call.patches, *row.patches) if patch.changes_network)


def patch_sets(call: Denoise) -> frozenset[tuple[Patch, ...]]:
    """The sets of network patches that the rows of a call take: calls that share a batch have the same ones."""
    return frozenset(network_patches(call, row) for row in call.rows)


def row_groups(calls: Sequence[Denoise]) -> list[RowGroup]:
    """The rows of `calls`, whose own patches are equal, in groups of one set of network patches."""
    whole = tuple(patch for patch in calls[0].patches if patch.changes_attention)
    groups: dict[tuple[Patch, ...], RowGroup] = {}
    number = 0
    for call in calls:
        for row in call.rows:
            network = network_patches(call, row)
            group = groups.setdefault(network, RowGroup(network, whole))
            own = tuple(patch for patch in row.patches if patch.changes_attention)
            if own:
                group.of_rows.setdefault(own, []).append(len(group.rows))
            group.rows.append(number)
            number += 1
    return list(groups.values())
