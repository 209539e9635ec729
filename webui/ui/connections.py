"""The connections of the page's server: how many there may be, and how long one may say nothing.

uvicorn closes a connection that is idle between two requests; one that sends half a request, or none, it would keep for
ever, and the system's limit of open files is everybody's. Here a connection has a time to ask in, and when there are as
many as there may be the one that is missed least makes room. Streams (a page's events, its heartbeat) have no time
limit. Knows asyncio and uvicorn: what its protocols tell of a request, and how its server looks whether it shall stop.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TypeAlias

from webui.ui.gradio_adapter import is_heartbeat

__all__ = ["Connections", "queue_many", "rested"]

log = logging.getLogger(__name__)

ASKING_S = 15.0  # from a connection, or from the first byte of a further request, to the end of its headers
SILENT_S = 30.0  # within a body
LOOK_S = 2.0
QUEUE = 2048  # those that the system keeps while a server takes few at once
TICK_S = 1.0  # between two looks of a server whether it shall stop


def queue_many(server: Any) -> None:
    """Those that a running server does not take at once wait in the system's queue, and are not turned away."""
    for listening in (one for each in server.servers for one in each.sockets):
        with socket.socket(fileno=os.dup(listening.fileno())) as same:
            same.listen(QUEUE)


def rested(server: Any) -> Callable[[], None]:
    """Lets a running `uvicorn.Server` look once a second whether it shall stop. Gives what ends that: to be called
    before it is stopped, so that nobody waits for it."""
    look, stopping = server.on_tick, asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def seldom(counter: int) -> bool:
        loops[:] = [asyncio.get_running_loop()]
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopping.wait(), TICK_S - 0.1)  # it waits a tenth itself
        stop: bool = await look(0)  # as at each full second: the time of day is told, too
        return stop

    server.on_tick = seldom

    def woken() -> None:
        for loop in loops:
            with suppress(RuntimeError):  # closed already
                loop.call_soon_threadsafe(stopping.set)

    return woken


State: TypeAlias = Literal["asking", "sending", "idle", "heartbeat", "busy"]
LEAST_MISSED: tuple[State, ...] = ("asking", "sending", "idle", "heartbeat")


class Connections:
    """All connections of one server. `in_all` is how many there may be, `of_one` how many from one address that is not
    this machine's own. Belongs to the server's loop."""

    def __init__(self, in_all: int, of_one: int, now: Callable[[], float] = time.monotonic) -> None:
        self.in_all, self.of_one = in_all, of_one
        self.now = now
        self.open: dict[Connection, None] = {}  # in the order they came
        self._looking = False

    def protocols(self, make: Callable[..., Any]) -> Callable[..., Connection]:
        """What makes the protocol of a connection, in the place of uvicorn's own `make`."""
        return lambda *given, **named: Connection(self, make(*given, **named))

    def came(self, one: Connection) -> bool:
        """Whether there is room for a connection; others may have had to go."""
        mine = [other for other in self.open if other.address == one.address]
        if len(mine) >= self.of_one and not own(one.address) and not self._gone(mine):
            return False
        if len(self.open) >= self.in_all and not self._gone(list(self.open)):
            return False
        self.open[one] = None
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(LOOK_S, self._look)
        return True

    def _gone(self, among: list[Connection]) -> bool:
        """Closes the one of `among` that is missed least, if any can be spared."""
        crowd = Counter(one.address for one in among)
        states = {one: one.state for one in among}
        for state in LEAST_MISSED:
            found = [one for one in among if states[one] == state]
            if found:
                victim = max(found, key=lambda one: crowd[one.address])  # of those, the oldest
                log.warning(
                    "%d connections are open: one of %s that is %s makes room for another",
                    *(len(self.open), victim.address, state),
                )
                victim.drop()
                return True
        log.warning("%d connections are open, all busy: another is refused", len(self.open))
        return False

    def _look(self) -> None:
        """Closes those that take too long to ask."""
        for one in [
            one for one in list(self.open) if one.overdue()
        ]:  # some leave the list by themselves
            one.drop()
        self._looking = bool(self.open)
        if self._looking:
            asyncio.get_running_loop().call_later(LOOK_S, self._look)


class Connection(asyncio.Protocol):
    """One connection: hands everything on to uvicorn's protocol."""

    def __init__(self, all_: Connections, inner: Any) -> None:
        self._all, self._inner = all_, inner
        self._transport: Any = None
        self.address = ""
        self._since = self._heard = all_.now()  # when it began to ask, and was last heard of
        self._begun = True  # it has sent something of a request that is not whole

    @property
    def state(self) -> State:
        """What it is about, in uvicorn's own terms."""
        cycle = self._inner.cycle
        if cycle is None:
            return "asking"
        if cycle.response_complete:
            return "asking" if self._begun else "idle"
        if cycle.more_body:
            return "sending"
        return "heartbeat" if is_heartbeat(self._inner.scope["path"]) else "busy"

    def overdue(self) -> bool:
        now, state = self._all.now(), self.state
        if self._transport.is_closing() or self._transport.get_protocol() is not self:
            self._all.open.pop(self, None)  # a web socket by now
            return False
        if state == "sending":
            return now - self._heard > SILENT_S and not self._inner.flow.read_paused
        return state == "asking" and now - self._since > ASKING_S

    def drop(self) -> None:
        self._all.open.pop(self, None)
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        if self._all.came(self):
            self._inner.connection_made(transport)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self not in self._all.open:
            return
        self._heard = self._all.now()
        if self.state == "idle":
            self._since, self._begun = self._heard, True
        before = self._inner.cycle
        self._inner.data_received(data)
        if self._inner.cycle is not before:
            self._begun = False

    def connection_lost(self, error: Exception | None) -> None:
        self._all.open.pop(self, None)
        if self._inner.transport is not None:
            self._inner.connection_lost(error)

    def eof_received(self) -> bool | None:
        answer: bool | None = self._inner.eof_received()
        return answer

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def own(address: str) -> bool:
    """Whether an address is this machine's own: a proxy of ours speaks for everybody."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return True
