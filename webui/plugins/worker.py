"""Calls with a limit: a call that does not come back is left behind on its thread, and whoever asked goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webui.plugins.clock import where

__all__ = ["Outcome", "on_worker"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: a value, an error (of any kind), or not yet: then `stack` says where it is."""

    value: Any = None
    error: BaseException | None = None
    stack: str = ""


def on_worker(function: Callable[[], Any], limit_s: float, name: str) -> Outcome:
    """Runs `function` on a thread of its own and waits for at most `limit_s` seconds."""
    ended: list[Outcome] = []

    def work() -> None:
        try:
            ended.append(Outcome(function()))
        except BaseException as error:  # the boundary: sys.exit of a guest ends its own call only
            ended.append(Outcome(error=error))

    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    thread.join(limit_s)
    if ended:
        return ended[0]
    return Outcome(stack=where(thread.ident or 0))
