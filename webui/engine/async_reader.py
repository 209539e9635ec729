"""Stretches of a file straight to where they are wanted, a few of them ahead. Knows bytes; knows no tensor's meaning.

Files are read and never mapped: one that is cut short or written over while it is loaded, or whose disk goes away, is a
sentence then, and nothing afterwards (docs/decisions/0009).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from webui.catalog.formats.header import Header, open_regular, said
from webui.errors import ModelFileError, Sentence

__all__ = ["PIECE", "Piece", "Span", "pieces"]

T = TypeVar("T")
# Bytes of one read: few enough to be in the processor's cache still when they are used.
PIECE = 8 << 20
READERS = 2  # threads: what takes the time is the system's copying, and its clearing of new memory
AHEAD = 4  # pieces on their way


class Span(NamedTuple, Generic[T]):
    """Bytes `start` to `end` of a file. They are put into `into` (bytes, contiguous, on the CPU), or lent where that is
    None. `of` is for whoever asked."""

    start: int
    end: int
    into: Tensor | None
    of: T


class Piece(NamedTuple, Generic[T]):
    """Some bytes [n] of a stretch from its byte `at` on, and what `sound` said of them."""

    of: T
    at: int
    bytes: Tensor
    sound: bool


class _Coming(NamedTuple, Generic[T]):
    of: T
    at: int
    place: Tensor
    lent: Tensor | None
    sound: Future[bool]


def pieces(
    file: Header, wanted: Iterable[Span[T]], sound: Callable[[T, Tensor], bool]
) -> Iterator[Piece[T]]:
    """The bytes of `wanted`, in order. `sound` is asked of each piece by the threads that read.

    Bytes that are lent are valid until the next piece is asked for. `ModelFileError` where `file` is no longer what its
    header says.
    """
    with ExitStack() as stack:
        free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(READERS):
            descriptor, size = open_regular(file.path)
            free.put(stack.enter_context(open(descriptor, "rb", buffering=0)))
            if size != file.size:
                raise _changed(file)
        pool = stack.enter_context(ThreadPoolExecutor(READERS, thread_name_prefix="easel-read"))
        coming: deque[_Coming[T]] = deque()
        spare: list[Tensor] = []
        stack.callback(lambda: [one.sound.cancel() for one in coming])

        def arrived() -> Iterator[Piece[T]]:
            one = coming.popleft()
            yield Piece(one.of, one.at, one.place, one.sound.result())
            if one.lent is not None:
                spare.append(one.lent)

        for stretch, at, end in _cut(wanted):
            lent = None
            if stretch.into is not None:
                place = stretch.into[at:end]
            else:
                lent = spare.pop() if spare else torch.empty(PIECE, dtype=torch.uint8)
                place = lent[: end - at]
            read = pool.submit(_read, file, free, stretch, at, place, sound)
            coming.append(_Coming(stretch.of, at, place, lent, read))
            if len(coming) > AHEAD:
                yield from arrived()
        while coming:
            yield from arrived()


def _cut(wanted: Iterable[Span[T]]) -> Iterator[tuple[Span[T], int, int]]:
    for stretch in wanted:
        size = stretch.end - stretch.start
        for at in range(0, size, PIECE):
            yield stretch, at, min(at + PIECE, size)


def _read(
    file: Header,
    free: SimpleQueue[Any],
    stretch: Span[T],
    at: int,
    place: Tensor,
    sound: Callable[[T, Tensor], bool],
) -> bool:
    opened = free.get()
    try:
        opened.seek(stretch.start + at)
        left = memoryview(place.numpy())  # type: ignore[arg-type]  # numpy 2.2's stubs for Python 3.10
        while left:
            count = opened.readinto(left)
            if not count:
                raise _changed(file)
            left = left[count:]
    except OSError as fault:
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=file.path.name, why=said(fault))
        ) from fault
    finally:
        free.put(opened)
    return sound(stretch.of, place)


def _changed(file: Header) -> ModelFileError:
    return ModelFileError(
        Sentence("{file}: has changed while it was loaded; try again", file=file.path.name)
    )
