"""Who asks, and what of others they may see: the one place where that is decided, for the page and the API."""

from __future__ import annotations

from dataclasses import dataclass

from webui.types.jobs import JobStatus

__all__ = ["NOBODY", "VISITOR", "Visitor"]

VISITOR = "visitor-"  # how the owner begins that a cookie names
NOBODY = "somebody"  # an owner of whom nothing is known


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: `owner` is whose jobs they submit. Where people log in, each sees their own alone."""

    owner: str
    sees_all: bool = True

    def sees(self, status: JobStatus) -> bool:
        """Whether a job exists for them."""
        return self.sees_all or status.owner == self.owner

    @property
    def limit(self) -> str | None:
        """The owner whose pictures alone they see, None for everybody's."""
        return None if self.sees_all else self.owner
