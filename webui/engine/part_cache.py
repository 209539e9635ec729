"""What is in memory, and what leaves it: one cache of parts with one budget for each place.

A part is whatever takes memory between calls: a U-Net, a VAE, a text encoder, an adapter, the weights that adapters
have merged, a network of an extension, an encoded text. Knows keys, bytes, places and turns; never a tensor, so its
laws are tested in integers:

- A place holds no more than its limit, but for parts that are pinned and for the model that was used last.
- The part that leaves is the one that was used longest ago; one that no new request can reach goes before all others,
  one that a picture needs goes (to the host's memory) after them.
- A part that a call works with stays where it is. One that a picture needs is never dropped before the picture ends;
  it may wait in the host's memory.
- What leaves the device waits in the host's memory where there is room, and is dropped where there is none. Where the
  device works in the host's memory (a CPU) there is no second place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Literal

__all__ = ["Part", "PartCache", "Place"]

Place = Literal["device", "host"]
MERGED_OVER = 2 << 30  # bytes that a pinned part may grow to though the budget is spent


@dataclass(slots=True, eq=False)
class Part:
    """Something in memory. `group` is the model that it is of no use without (None: it stands for itself); `base` parts
    are that model. `former`: no new request can reach it. `movable`: it can wait in the host's memory. `again`: it can
    be read again should it have to go."""

    key: Hashable
    kind: str
    value: Any
    bytes: int
    place: Place = "device"
    group: Hashable = None
    base: bool = False
    movable: bool = True
    former: bool = False
    again: bool = True
    used: int = 0  # the turn of the cache's clock at which it was used last
    calls: int = 0  # that work with it now
    holders: set[Hashable] = field(default_factory=set)  # pictures that need it

    @property
    def pins(self) -> int:
        return self.calls + len(self.holders)


class PartCache:
    """Parts by key, `limit` bytes of them on the device and `host_limit` in the host's memory.

    `move` carries a part to a place, on the thread that owns the device; `dropped` hears of each part that has left.
    Looking up may happen on any thread. What moves parts is for the thread that owns the device alone; where parts are
    only dropped (no host place, or the host's) any thread may.
    """

    def __init__(
        self,
        limit: int,
        host_limit: int = 0,
        move: Callable[[Part, Place], None] = lambda part, place: None,
        dropped: Callable[[Part], None] = lambda part: None,
    ) -> None:
        self.limit = limit
        self.host_limit = host_limit
        self._move = move
        self._dropped = dropped
        self._parts: dict[Hashable, Part] = {}
        self._bytes: dict[Place, int] = {"device": 0, "host": 0}
        self._held: dict[Hashable, set[Hashable]] = {}  # keys by holder
        self._clock = 0
        self._last_group: Hashable = None  # of the base part that was used last
        self._lock = RLock()

    # --- looking up -------------------------------------------------------------------------------

    def __contains__(self, key: Hashable) -> bool:
        return key in self._parts

    def __iter__(self) -> Iterator[Part]:
        """All parts, the ones used longest ago first."""
        with self._lock:
            return iter(sorted(self._parts.values(), key=lambda part: part.used))

    def __len__(self) -> int:
        return len(self._parts)

    def find(self, key: Hashable) -> Part | None:
        """The part of that key; looking at it is no use of it."""
        return self._parts.get(key)

    def use(self, key: Hashable) -> Any:
        """The value of that key, which is now the last one to go; None where it is not in memory."""
        with self._lock:
            part = self._parts.get(key)
            if part is None:
                return None
            self._touch(part)
            return part.value

    def bytes(self, place: Place = "device") -> int:
        return self._bytes[place]

    @property
    def holders(self) -> Iterable[Hashable]:
        """The pictures that need anything now."""
        return list(self._held)

    # --- coming and going -------------------------------------------------------------------------

    def add(self, part: Part) -> None:
        """Takes a part in, in the place of one of its key, as the one used last. Others leave for it."""
        with self._lock:
            before = self._parts.get(part.key)
            if before is not None:
                self._take_out(before)
                self._dropped(before)
            part.holders |= {who for who, keys in self._held.items() if part.key in keys}
            self._parts[part.key] = part
            self._bytes[part.place] += part.bytes
            self._touch(part)
            part.calls += 1  # it does not leave for itself
            try:
                self.make_room(0, part.place, part.group)
            finally:
                part.calls -= 1

    def resize(self, key: Hashable, size: int) -> None:
        """A part takes another number of bytes now."""
        with self._lock:
            part = self._parts[key]
            self._bytes[part.place] += size - part.bytes
            part.bytes = size

    def grow(self, key: Hashable, size: int) -> bool:
        """Whether a part may take `size` bytes more, which it then has. Of others only its like leave for it: a part
        that grows is one that can be made anew without reading a file."""
        with self._lock:
            part = self._parts.get(key)
            if part is None:
                return False
            for other in self._leaving(part.place, None):
                if self._bytes[part.place] + size <= self._limit(part.place):
                    break
                if other.kind == part.kind and other is not part:
                    self._drop(other)
            fits = self._bytes[part.place] + size <= self._limit(part.place)
            if not fits and not (part.pins and part.bytes + size <= MERGED_OVER):
                return False
            self.resize(key, part.bytes + size)
            return True

    def drop(self, key: Hashable) -> None:
        """Lets go of a part, pinned or not."""
        with self._lock:
            if (part := self._parts.get(key)) is not None:
                self._drop(part)

    def retire(self, key: Hashable) -> None:
        """No new request reaches this part any more: it goes first. It could not be read again."""
        with self._lock:
            if (part := self._parts.get(key)) is not None:
                part.former, part.again = True, False

    def fits(self, size: int, place: Place = "device") -> bool:
        """Whether `size` bytes more would fit once all has left that may."""
        with self._lock:
            staying = sum(p.bytes for p in self._parts.values() if p.place == place and p.pins)
            return staying + size <= self._limit(place)

    def make_room(
        self,
        size: int,
        place: Place = "device",
        group: Hashable = None,
        limit: int | None = None,
    ) -> list[Part]:
        """Has parts leave a place, those used longest ago first, until `size` bytes more fit into `limit`, or all have
        left that may. `group` stays: the model that the room is for, or where that is None and `size` is 0 the one
        used last. Gives the parts that are no longer in memory."""
        with self._lock:
            limit = self._limit(place) if limit is None else limit
            stays = self._last_group if group is None and not size else group
            gone: list[Part] = []
            for part in self._leaving(place, stays):
                if self._bytes[place] + size <= limit:
                    break
                if self._parts.get(part.key) is part:  # it may have left with its model
                    gone += self._leave(part)
            return gone

    def put_away(self, stays: Callable[[Part], bool]) -> list[Part]:
        """For want of memory: drops every part but those that stay, those that a call works with and those that
        pictures need and that cannot be read again. Gives what is no longer in memory."""
        with self._lock:
            gone: list[Part] = []
            for part in list(self._parts.values()):
                needed = part.calls or (part.holders and not part.again)
                if not (needed or stays(part)) and self._parts.get(part.key) is part:
                    gone += self._drop(part)
            return gone

    # --- pins -------------------------------------------------------------------------------------

    def hold(self, holder: Hashable, keys: Iterable[Hashable]) -> None:
        """A picture needs these parts until it is released, also those that are read later."""
        with self._lock:
            for key in keys:
                self._held.setdefault(holder, set()).add(key)
                if (part := self._parts.get(key)) is not None:
                    part.holders.add(holder)
                    self._touch(part)

    def held(self, holder: Hashable) -> list[Part]:
        """The parts that a picture needs and that are in memory."""
        with self._lock:
            keys = self._held.get(holder, ())
            return [self._parts[key] for key in keys if key in self._parts]

    def release(self, holder: Hashable) -> Set[Hashable]:
        """A picture has ended, or rests: what was over the budget for its sake leaves. Gives the keys that it held."""
        with self._lock:
            keys = self._held.pop(holder, set())
            if not keys:
                return keys
            for key in keys:
                if (part := self._parts.get(key)) is not None:
                    part.holders.discard(holder)
            if not self.host_limit:  # else on the device's own thread, when there is need
                self.make_room(0)
            return keys

    @contextmanager
    def using(self, keys: Iterable[Hashable]) -> Iterator[bool]:
        """Around a call that works with these parts: they are on the device, and stay there. False where some are not
        in memory. On the thread that owns the device."""
        ours: list[Part] = []
        wanted = dict.fromkeys(keys)
        with self._lock:
            for key in wanted:
                if (part := self._parts.get(key)) is not None:
                    part.calls += 1
                    ours.append(part)
                    self._touch(part)
        try:
            for part in ours:
                if part.place == "host":
                    self._to_device(part)
            yield len(ours) == len(wanted)
        finally:
            with self._lock:
                for part in ours:
                    part.calls -= 1

    # --- how --------------------------------------------------------------------------------------

    def _limit(self, place: Place) -> int:
        return self.limit if place == "device" else self.host_limit

    def _touch(self, part: Part) -> None:
        self._clock += 1
        part.used = self._clock
        if part.base:
            self._last_group = part.group

    def _leaving(self, place: Place, stays: Hashable) -> list[Part]:
        """The parts that may leave a place, in the order in which they go."""
        to_host = place == "device" and self.host_limit
        found = [
            part
            for part in self._parts.values()
            if part.place == place
            and not part.calls
            and (not part.holders or (to_host and part.movable))
            and (stays is None or part.group != stays or not part.base or part.former)
        ]
        return sorted(found, key=lambda part: (not part.former, bool(part.holders), part.used))

    def _leave(self, part: Part) -> list[Part]:
        """A part leaves its place. Gives what is no longer in memory."""
        stays = part.holders or (self.host_limit and part.movable and not part.former)
        if part.place == "host" or not stays:
            return self._drop(part)
        gone = self.make_room(part.bytes, "host", part.group)
        if not part.holders and self._bytes["host"] + part.bytes > self.host_limit:
            return gone + self._drop(part)
        self._carry(part, "host")
        return gone

    def _to_device(self, part: Part) -> None:
        with self._lock:
            self._bytes["host"] -= (
                part.bytes
            )  # so that it drops nothing which it changes places with
            try:
                self.make_room(part.bytes)
            finally:
                self._bytes["host"] += part.bytes
            self._carry(part, "device")

    def _carry(self, part: Part, place: Place) -> None:
        self._move(part, place)
        self._bytes[part.place] -= part.bytes
        part.place = place
        self._bytes[place] += part.bytes

    def _take_out(self, part: Part) -> None:
        del self._parts[part.key]
        self._bytes[part.place] -= part.bytes

    def _drop(self, part: Part) -> list[Part]:
        """Drops a part, and with the last of a model what is of no use without it."""
        gone = [part]
        self._take_out(part)
        mine = [p for p in self._parts.values() if p.group == part.group]
        if part.base and not any(p.base for p in mine):
            gone += [p for p in mine if not p.pins]
        for one in gone[1:]:
            self._take_out(one)
        for one in gone:
            self._dropped(one)
        return gone
