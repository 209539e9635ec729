"""Who sent a request of the page. Knows how to ask, not how that is found out, nor what they may see (`Visitor`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import gradio as gr

from webui.errors import RequestError, Sentence
from webui.types import EngineFace, JobStatus, Visitor

__all__ = ["VisitorOf", "Visitors", "login_or_address"]

VisitorOf: TypeAlias = Callable[[gr.Request], Visitor]


def login_or_address(request: gr.Request) -> Visitor:
    """The login, else the address that somebody comes from."""
    if request.username is not None:
        return Visitor(str(request.username), sees_all=False)
    return Visitor(str(request.client.host) if request.client else "")


@dataclass(frozen=True, slots=True)
class Visitors:
    """`of` says who sent a request."""

    of: VisitorOf = login_or_address

    def status(self, engine: EngineFace, job: object, request: gr.Request) -> JobStatus:
        """A job that whoever sent `request` may see; any other is a `RequestError`."""
        if not isinstance(job, str):
            raise RequestError(Sentence("job {job} is not known", job=repr(job)))
        status = engine.status(job)
        if not self.of(request).sees(status):
            raise RequestError(
                Sentence("job {job} is not known: it may have ended long ago", job=repr(job))
            )
        return status
