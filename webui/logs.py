"""How the log is written: lines for people, or one JSON object a line for programs. Knows the standard library only."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone

__all__ = ["FORMATS", "begin"]

FORMATS = ("text", "json")


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


def begin(how: str) -> None:
    """Has the root logger write to stderr, from warnings on, in one of `FORMATS`."""
    handler = logging.StreamHandler()
    plain = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(AsJson() if how == "json" else plain)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=how == "json")
