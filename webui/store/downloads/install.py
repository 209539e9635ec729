"""One download from its first byte to its place: fetched, tried again, checked, and only then given its name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from webui.errors import EaselError, Sentence
from webui.store.downloads.fetching import Wrong, fetch, verify
from webui.store.downloads.hub import Hub, HubError
from webui.store.downloads.places import Place
from webui.types.library import Download

__all__ = ["FIRST_WAIT_S", "Turn", "deliver"]

TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 6, 1.0, 60.0
TOLD_S, SPEED_S = 0.1, 2.0  # how often it is told how far it is; of which the speed is the average


class Turn(Protocol):
    """The turn of the thread in which a download is worked on. `Stopped` where it is over."""

    def go_on(self) -> None:
        """Raises `Stopped` where somebody has paused or removed the download."""
        ...

    def wait(self, seconds: float) -> None:
        """Rests, and raises as `go_on` does."""
        ...

    def told(self, done: int, speed: float) -> None:
        """Hears how many bytes are there, or checked, and how many come a second."""
        ...

    def verifying(self) -> None:
        """Hears that everything came."""
        ...

    def finish(self, move: Callable[[], None]) -> None:
        """Does the last step unless the turn is over, so that nobody stops it halfway."""
        ...


def deliver(
    wanted: Download,
    place: Place,
    hub: Hub,
    turn: Turn,
    check: Callable[[Path], None],
    first_wait_s: float = FIRST_WAIT_S,
) -> None:
    """Brings all files of a download into their place. `check` may refuse a whole file with an `EaselError`.

    Raises `Stopped` of `turn`, `Wrong` for files that are not what the hub says, `HubError`, and `EaselError` or
    `OSError` of the disk.
    """
    work = place.work(wanted)
    place.demand_room(wanted)
    for file in wanted.files:
        (work / file.path).parent.mkdir(parents=True, exist_ok=True)
    _fetch(wanted, work, hub, turn, _Meter(place.there(wanted)), first_wait_s)
    turn.verifying()
    _verify(wanted, work, turn, check)

    def move() -> None:
        target = place.target(wanted)
        if target.exists():
            raise EaselError(
                Sentence("{target} is there already, and was not replaced", target=wanted.target)
            )
        one = wanted.files[0].path
        os.replace(work / one if wanted.target.endswith(".safetensors") else work, target)

    turn.finish(move)
    place.clear(wanted)


def _fetch(
    wanted: Download, work: Path, hub: Hub, turn: Turn, meter: _Meter, first_wait_s: float
) -> None:
    before = 0
    with hub.client() as client:
        for file in wanted.files:

            def came(done: int, before: int = before) -> None:
                turn.go_on()
                if meter.told(before + done):
                    turn.told(before + done, meter.speed)

            for attempt in range(TRIES):
                try:
                    part = work / file.path
                    fetch(client, hub, wanted.repo, wanted.revision, file, part, came)
                    break
                except HubError as fault:
                    if not fault.again or attempt == TRIES - 1:
                        raise
                    turn.wait(min(max(first_wait_s * 2**attempt, fault.wait_s), LONGEST_WAIT_S))
            before += file.size


def _verify(wanted: Download, work: Path, turn: Turn, check: Callable[[Path], None]) -> None:
    before = 0
    for file in wanted.files:

        def checked(done: int, before: int = before) -> None:
            turn.go_on()
            turn.told(before + done, 0.0)

        part = work / file.path
        try:
            verify(file, part, checked)
            if file.path.endswith(".safetensors"):
                check(part)
        except EaselError as fault:
            part.unlink(missing_ok=True)  # this one alone: the others came whole
            raise Wrong(str(fault)) from fault
        before += file.size


class _Meter:
    """How fast bytes come, and when it is time to tell."""

    def __init__(self, done: int) -> None:
        self.speed = 0.0
        self._seen = [(time.monotonic(), done)]
        self._at = 0.0

    def told(self, done: int) -> bool:
        now = time.monotonic()
        if now - self._at < TOLD_S:
            return False
        self._at = now
        self._seen = [one for one in self._seen if now - one[0] <= SPEED_S] or self._seen[-1:]
        begun, had = self._seen[0]
        self.speed = max(0.0, (done - had) / max(now - begun, 0.1))
        self._seen.append((now, done))
        return True
