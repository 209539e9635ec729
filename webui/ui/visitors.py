"""Whose jobs are whose, as the page sees it. Knows how to ask who somebody is, not how that is found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import gradio as gr

from webui.errors import RequestError
from webui.types import EngineFace, JobStatus

__all__ = ["OwnerOf", "Visitors", "login_or_address"]

OwnerOf: TypeAlias = Callable[[gr.Request], str]


def login_or_address(request: gr.Request) -> str:
    """The login, else the address that somebody comes from."""
    if request.username:
        return str(request.username)
    return str(request.client.host) if request.client else ""


@dataclass(frozen=True, slots=True)
class Visitors:
    """`owner_of` names who sent a request: the owner of what they submit. With a login everybody has their own
    jobs only; without one all jobs are everybody's."""

    owner_of: OwnerOf = login_or_address

    def may_see(self, status: JobStatus, request: gr.Request) -> bool:
        return request.username is None or status.owner == self.owner_of(request)

    def status(self, engine: EngineFace, job: object, request: gr.Request) -> JobStatus:
        """A job that whoever sent `request` may see; any other is a `RequestError`."""
        if not isinstance(job, str):
            raise RequestError(f"job {job!r} is not known")
        status = engine.status(job)
        if not self.may_see(status, request):
            raise RequestError(f"job {job!r} is not known: it may have ended long ago")
        return status
