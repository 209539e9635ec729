"""How many rows of a shape fit into a device's memory at once, learned from what did not. Knows numbers; no tensor.

A batch that was too large is halved and not tried again at each step. Memory may become free later, so after a while a
batch of twice the rows is tried once; the while doubles each time that this fails.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

__all__ = ["Capacity"]

WAIT, LONGEST_WAIT, SOON = 64, 4096, 8  # calls that are made before a larger one is tried
REMEMBERED = 256  # shapes


@dataclass(slots=True)
class Learned:
    """Of one shape: `rows` fit, `failed` did not. `wait` calls are made before more is tried, `left` of them to go."""

    rows: int
    failed: int
    wait: int
    left: int


class Capacity:
    """What fits, by shape: any hashable value that says how large one row is. For one device, on its thread."""

    def __init__(self) -> None:
        self._learned: dict[Hashable, Learned] = {}

    def rows(self, shape: Hashable, most: int) -> int:
        """How many rows, of at most `most`, a batch of that shape may have now; 0 where even one has not fitted."""
        known = self._learned.get(shape)
        if known is None:
            return most
        trial = known.left <= 0
        return min(most, max(1, 2 * known.rows) if trial else known.rows)

    def made(self, shape: Hashable, rows: int) -> None:
        """A call of that many rows was made."""
        known = self._learned.get(shape)
        if known is None:
            return
        if rows >= known.failed:  # there is as much memory again as there was
            del self._learned[shape]
        elif rows > known.rows:
            known.rows, known.left = rows, known.wait
        elif known.left > 0:
            known.left -= 1

    def failed(self, shape: Hashable, rows: int) -> None:
        """The memory did not suffice for that many rows."""
        known = self._learned.pop(shape, None)
        again = known is not None and rows > known.rows
        wait = min(LONGEST_WAIT, 2 * known.wait) if again and known is not None else WAIT
        fits = rows // 2
        if known is not None and again:  # what has fitted fits still
            fits = max(fits, known.rows)
        self._learned[shape] = Learned(fits, rows, wait, wait)
        while len(self._learned) > REMEMBERED:
            del self._learned[next(iter(self._learned))]

    def freed(self) -> None:
        """Other things have left the memory: more may fit soon."""
        for known in self._learned.values():
            known.left = min(known.left, SOON)
