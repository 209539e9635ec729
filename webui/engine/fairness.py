"""Who was served when, over all devices: what `scheduler.choose` is told, so that owners take turns."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from webui.engine.job import Job

__all__ = ["Fairness"]


class Fairness:
    """Counts turns; a turn is a batch of calls on any device."""

    def __init__(self) -> None:
        self.turn = 0  # the last one
        self._lock = Lock()
        self._owners: dict[str, int] = {}

    def serve(self, jobs: Iterable[Job]) -> None:
        """Calls of these jobs are made next."""
        with self._lock:
            self.turn += 1
            for job in jobs:
                job.serve(self.turn)
                self._owners[job.owner] = self.turn

    def owner_served(self, owner: str) -> int:
        """The turn at which a call of theirs was last made; 0 where none was."""
        return self._owners.get(owner, 0)
