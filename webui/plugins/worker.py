"""Calls with a limit: a call that does not come back is left behind on its thread, and whoever asked goes on.

A slow machine is nobody's fault. What counts is the processor time that a call takes, and the time in which it does
next to nothing; not how long it waits for a processor, a disk, or a module that another thread imports.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webui.plugins.clock import where

__all__ = ["Outcome", "Patience", "on_worker"]

LOOK_S = 0.1
IDLE = 0.02  # of the time in processor time; less is next to nothing
LONGEST = 10  # limits, by the clock on the wall


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: a value, an error (of any kind), or not yet: then `stack` says where it is."""

    value: Any = None
    error: BaseException | None = None
    stack: str = ""


class Patience:
    """How long a call is waited for that may take `limit_s`."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._wall_s = self._worked_s = 0.0  # when it was last seen to have done something

    def ended(self, wall_s: float, own_s: float, worked_s: float) -> bool:
        """Whether it has had its time: `wall_s` seconds since it began, `own_s` of the processor. `worked_s` are those
        of the processor that it took or has to wait for; they never become fewer."""
        if own_s >= self._limit_s or wall_s >= LONGEST * self._limit_s:
            return True
        if worked_s - self._worked_s >= IDLE * self._limit_s:
            self._wall_s, self._worked_s = wall_s, worked_s
        return wall_s - self._wall_s >= self._limit_s


def on_worker(function: Callable[[], Any], limit_s: float, name: str) -> Outcome:
    """Runs `function` on a thread of its own and waits until it has taken `limit_s` seconds of the processor, or has
    done next to nothing for as long."""
    ended: list[Outcome] = []
    clocks: list[int] = []

    def work() -> None:
        if hasattr(time, "pthread_getcpuclockid"):
            clocks.append(time.pthread_getcpuclockid(threading.get_ident()))
        try:
            ended.append(Outcome(function()))
        except BaseException as error:  # the boundary: sys.exit of a guest ends its own call only
            ended.append(Outcome(error=error))

    thread = threading.Thread(target=work, name=name, daemon=True)
    began, all_before, patience = time.monotonic(), time.process_time(), Patience(limit_s)
    imported_s = own_s = 0.0
    last = all_before
    thread.start()
    while True:
        thread.join(min(LOOK_S, limit_s / 4))
        if ended:
            return ended[0]
        everything = time.process_time()
        own_s = _seconds(clocks, everything - all_before, own_s)
        if clocks and _importing(thread):  # perhaps what another thread is at
            imported_s += everything - last
        last = everything
        if patience.ended(time.monotonic() - began, own_s, own_s + imported_s):
            return Outcome(stack=where(thread.ident or 0))


def _seconds(clocks: list[int], process_s: float, before: float) -> float:
    """Processor seconds of the thread with the clock, of the whole process where threads have none."""
    if not clocks:
        return process_s
    try:
        return time.clock_gettime(clocks[0])
    except OSError:  # it has just ended
        return before


def _importing(thread: threading.Thread) -> bool:
    """Whether a thread is in the machinery of imports, where it waits for modules that others import."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")
