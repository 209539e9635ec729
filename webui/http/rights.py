"""Who may change what everybody shares: the models folders."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from webui.errors import Sentence
from webui.http.settings import MayNot
from webui.settings import Settings

__all__ = ["Rights"]

LOGIN = Sentence("Only the first login can change models: {name}")
SHARED = Sentence(
    "Models can be changed and downloaded only while Easel is reached from this machine alone, or by the first "
    "login: start it without --listen or --host, or with --auth"
)


class Rights:
    """What follows from `settings` and the names of those who may log in."""

    def __init__(self, settings: Settings, logins: Sequence[str]) -> None:
        self._local = settings.local
        self._logins = tuple(logins)

    def locked(self, request: Request) -> str:
        """Why who asks may change nothing, "" where they may."""
        if self._logins:
            owner: str = request.state.visitor.owner
            return "" if owner == self._logins[0] else LOGIN.filled(name=self._logins[0])
        return "" if self._local else SHARED

    def demand(self, request: Request) -> None:
        """Raises `MayNot` with the reason."""
        if reason := self.locked(request):
            raise MayNot(reason)
