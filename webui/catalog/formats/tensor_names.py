"""The names of a file's tensors, asked how they begin and what they hold without a look at each of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

__all__ = ["Names"]


class Names:
    """A question costs a binary search or one search of a text, not a loop over thousands of names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._sorted = sorted(names)
        self._text = "\n".join(self._sorted)
        self._held: dict[tuple[str, ...], bool] = {}

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sorted)

    def begin(self, *starts: str) -> bool:
        """Whether any name begins with any of `starts`."""
        for start in starts:
            place = bisect_left(self._sorted, start)  # the first that could
            if place < len(self._sorted) and self._sorted[place].startswith(start):
                return True
        return False

    def hold(self, *parts: str) -> bool:
        """Whether any name has any of `parts` in it; these are on one line."""
        if parts not in self._held:
            self._held[parts] = any(part in self._text for part in parts)
        return self._held[parts]
