"""Which of several streams to one place of the page is wanted, and errors as Gradio sends them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from webui.errors import EaselError
from webui.job_stream import Interest

__all__ = ["Newest", "words_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A job on its way to a place. `overtaken` are the jobs that were on their way there when this one began."""

    job: str
    overtaken: tuple[str, ...]
    number: int
    wanted: Interest


class Newest:
    """Of several streams to one place the newest is wanted: a place shows one job."""

    def __init__(self) -> None:
        self._newest: dict[str, Stream] = {}

    @contextmanager
    def stream(
        self, place: str, job: str, number: int = 0
    ) -> Iterator[tuple[Interest, tuple[str, ...]]]:
        """Gives the interest in this stream, which is lost to a newer one of its place, and the jobs that it has
        overtaken. One with a lower `number` than another is not newer, even where it begins later: Gradio may change
        their order."""
        before = self._newest.get(place)
        overtaken = () if before is None else (*before.overtaken, before.job)
        others = tuple(dict.fromkeys(one for one in overtaken if one != job))
        mine = Stream(job, others, number, Interest())
        if before is None:
            self._newest[place] = mine
        elif before.number <= number:
            self._newest[place] = mine
            before.wanted.lose()
        else:
            mine.wanted.lose()
        try:
            yield mine.wanted, mine.overtaken
        finally:
            if self._newest.get(place) is mine:
                del self._newest[place]


def words_of(error: EaselError | str) -> gr.Error:
    """An error as Gradio sends it: the sentence alone, escaped (clients render it as HTML)."""
    return gr.Error(html.escape(str(error), quote=False), print_exception=False)
