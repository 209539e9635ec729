"""Whose code is running, and how long: seconds for each extension and hook, and what does not come back."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["IMPORT", "Clock", "Stay", "Watchdog"]

log = logging.getLogger(__name__)

IMPORT = "import"  # counted by itself: it is no hook


@dataclass(slots=True, eq=False)
class Stay:
    """One stay of a thread in an extension's code. `since` is when it (last) began to run."""

    extension: str
    hook: str
    since: float
    told: bool = False  # the watchdog has named it


class Clock:
    """Seconds spent in extensions' own code.

    Each thread has a stack: entering another extension's code, or leaving by a yield, pauses what was running.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.perf_counter,
        entered: Callable[[str, str], None] = lambda extension, hook: None,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        """`entered` and `left` hear of every stay as it begins and ends, on its thread."""
        self._now = now
        self._entered, self._left = entered, left
        self._stays: dict[int, list[Stay]] = {}  # by thread, those that are inside only
        self._seconds: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def enter(self, extension: str, hook: str) -> None:
        """This thread goes into an extension's code; `leave` must follow on the same thread."""
        now, thread = self._now(), threading.get_ident()
        stack = self._stays.get(thread)
        if stack is None:
            stack = self._stays[thread] = []
        else:
            self._charge(stack[-1], now)
        stack.append(Stay(extension, hook, now))
        self._entered(extension, hook)

    def leave(self) -> None:
        self._left()
        now, thread = self._now(), threading.get_ident()
        stack = self._stays[thread]
        self._charge(stack.pop(), now)
        if stack:
            stack[-1].since, stack[-1].told = now, False
        else:
            del self._stays[thread]

    def _charge(self, stay: Stay, now: float) -> None:
        key = stay.extension, stay.hook
        with self._lock:
            self._seconds[key] = self._seconds.get(key, 0.0) + now - stay.since

    def seconds(self, extension: str) -> tuple[float, float]:
        """Seconds of importing an extension, and of its hooks, so far."""
        with self._lock:
            own = [(hook, s) for (name, hook), s in self._seconds.items() if name == extension]
        imported = sum(s for hook, s in own if hook == IMPORT)
        return imported, sum(s for hook, s in own if hook != IMPORT)

    def overdue(self, after_s: float) -> list[tuple[int, Stay, float]]:
        """Every stay that has lasted longer than `after_s`: its thread's number, itself, its seconds."""
        now = self._now()
        running = [(thread, stack[-1]) for thread, stack in list(self._stays.items()) if stack]
        found = [(thread, stay, now - stay.since) for thread, stay in running]
        return [item for item in found if item[2] > after_s]

    def hanging(self, extension: str, after_s: float) -> str:
        """ "wrap_denoise for 7 s", "" when nothing of this extension hangs."""
        mine = [
            (s, stay.hook) for _, stay, s in self.overdue(after_s) if stay.extension == extension
        ]
        return ", ".join(f"{hook} for {s:.0f} s" for s, hook in sorted(mine, reverse=True))


class Watchdog:
    """A thread that looks every `every_s` for code that has run for `after_s`, and names it in the log once."""

    def __init__(self, clock: Clock, after_s: float, every_s: float) -> None:
        self._clock = clock
        self._after_s, self._every_s = after_s, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="easel-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self.look()

    def look(self) -> None:
        for thread, stay, seconds in self._clock.overdue(self._after_s):
            if not stay.told:
                stay.told = True
                log.warning(
                    "extension %r: %s has not come back for %.0f s; it is at\n%s",
                    stay.extension,
                    stay.hook,
                    seconds,
                    where(thread),
                )


def where(thread: int) -> str:
    """What a thread is doing now, as a traceback."""
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)) if frame is not None else "(it has just ended)"
