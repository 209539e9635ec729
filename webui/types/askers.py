"""For whom code is run: whoever submitted the request that it works on. Each thread has its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["asker", "on_behalf_of"]

_ASKER: ContextVar[str] = ContextVar("asker", default="")


def asker() -> str:
    """The owner, or the job of nobody in particular, whose request this thread works on; "" while it is none's."""
    return _ASKER.get()


@contextmanager
def on_behalf_of(name: str) -> Iterator[None]:
    """What this thread does until the end is done for that owner or job."""
    before = _ASKER.set(name)
    try:
        yield
    finally:
        _ASKER.reset(before)
