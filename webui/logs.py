"""How the log is written: lines for people, or one JSON object a line for programs. Knows the standard library only.

What fails again and again is told once a minute, with how often it was: a log of thousands of equal lines fills the
disk and hides the first one.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Hashable
from datetime import datetime, timezone
from threading import Lock
from typing import TYPE_CHECKING, TextIO

__all__ = ["FORMATS", "Folded", "begin"]

FORMATS = ("text", "json")
MINUTE_S = 60.0
BURST = 20  # of one kind in a minute, before the rest is counted only
KINDS = 1000  # that are remembered
# What the machine lacks for a while strikes everywhere at once: told once a minute from each place.
LACKING = ("Too many open files", "No space left on device", "Disk quota exceeded")


class AsJson(logging.Formatter):
    """A line: time (UTC), level, logger, message; `job` where it is about one, `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        job = getattr(record, "job", None)
        if job is not None:
            line["job"] = job
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


if TYPE_CHECKING:
    Stream = logging.StreamHandler[TextIO]
else:
    Stream = logging.StreamHandler


class Folded(Stream):
    """Writes the first warnings and errors of a kind in a minute, and with the next minute's first how many more there
    were. A kind is a place in the code and a type of exception."""

    def __init__(
        self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream)
        self._now = now
        self._kinds: dict[Hashable, tuple[float, int, int]] = {}  # since when, written, left out
        self._counting = Lock()

    def emit(self, record: logging.LogRecord) -> None:
        more = self._more(record) if record.levelno >= logging.WARNING else 0
        if more is None:
            return
        if more:
            record = copy.copy(record)
            record.msg, record.args = f"{record.getMessage()} ({more} more of these before)", None
        super().emit(record)

    def _more(self, record: logging.LogRecord) -> int | None:
        """How many were left out before this one, None where it is left out itself."""
        key, burst = kind(record)
        now = self._now()
        with self._counting:
            since, written, folded = self._kinds.pop(key, (now, 0, 0))
            if now - since >= MINUTE_S:
                self._kinds[key] = (now, 1, 0)
                return folded
            self._kinds[key] = (since, written + 1, folded)
            while len(self._kinds) > KINDS:
                self._kinds.pop(next(iter(self._kinds)))
            if written < burst:
                return 0
            self._kinds[key] = (since, written, folded + 1)
            return None


def kind(record: logging.LogRecord) -> tuple[Hashable, int]:
    """What a record is one of, and how many of these are written in a minute."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    text = f"{record.getMessage()} {error}"
    lack = next((words for words in LACKING if words in text), "")
    return (record.name, record.pathname, record.lineno, type(error), lack), 1 if lack else BURST


def begin(how: str) -> None:
    """Has the root logger write to stderr, from warnings on, in one of `FORMATS`."""
    handler = Folded()
    plain = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(AsJson() if how == "json" else plain)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=how == "json")
