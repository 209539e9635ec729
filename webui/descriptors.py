"""How many files and connections this process may have open. Knows the standard library only."""

from __future__ import annotations

import logging
import sys

__all__ = ["connections", "limit", "raise_limit"]

log = logging.getLogger(__name__)

WANTED = (65_536, 10_240, 4096)  # macOS takes no more than the second, whatever it says
OURS = 96  # what Easel itself has open at most when it works
MOST = 2000  # connections, however many the system allows
UNKNOWN = 8192  # where the system has no such limit: sockets of Windows


def raise_limit() -> int:
    """Raises what the system allows at first to what it allows at most, within reason; gives what holds then."""
    if sys.platform == "win32":  # pragma: no cover
        return UNKNOWN
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    for wanted in WANTED:
        aim = wanted if hard == endless else min(wanted, hard)
        if soft == endless or soft >= aim:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (aim, hard))
        except (ValueError, OSError):
            continue
        log.info("%d files may be open at once, %d before", aim, soft)
        break
    return limit()


def limit() -> int:
    """How many files may be open at once."""
    if sys.platform == "win32":  # pragma: no cover
        return UNKNOWN
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


def connections() -> int:
    """How many connections the server may have open, so that files can still be: models, pictures, the store."""
    return max(16, min(MOST, (limit() - OURS) * 3 // 4))
