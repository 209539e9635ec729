"""Writes down what tasks received, beside the loop: one copy off the device for each batch of calls, waited for and
put on disk by a thread of its own, in the order in which it was received.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from webui.engine.calls import call_type
from webui.types import Call
from webui.types.persistence import Record

if TYPE_CHECKING:
    from webui.engine.replay import Replay

__all__ = ["HostCopy", "Recorder", "described", "fingerprint"]

AHEAD_BYTES = 256_000_000  # on their way to the disk; the loop waits for the oldest beyond that
log = logging.getLogger(__name__)

Part: TypeAlias = "tuple[str, tuple[int, ...], bytes | memoryview]"  # dtype, shape, content


# --- Off the device -------------------------------------------------------------------------------


class HostCopy:
    """Tensors as they are now, on their way to the CPU: one copy for each device that they lie on. `bytes` is its size.

    `parts` waits for it, on any thread. Who changes the tensors afterwards changes nothing here.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.bytes = sum(tensor.nbytes for tensor in tensors)
        self._arrived: list[torch.cuda.Event] = []
        self._kinds = [(str(t.dtype).removeprefix("torch."), tuple(t.shape)) for t in tensors]
        self._whole: list[tuple[Tensor, int, int]] = []  # of each: a buffer, from, to
        buffers = {device: self._copied(tensors, device) for device in {t.device for t in tensors}}
        ends = dict.fromkeys(buffers, 0)
        for tensor in tensors:
            start = ends[tensor.device]
            ends[tensor.device] = end = start + tensor.nbytes
            self._whole.append((buffers[tensor.device], start, end))

    def _copied(self, tensors: Sequence[Tensor], device: torch.device) -> Tensor:
        """The bytes of the tensors on one device, one after the other. `cat` copies them in the order of the device's
        work, so that a later change in place comes after it."""
        mine = [t.detach() for t in tensors if t.device == device]
        joined = torch.cat([t.contiguous().reshape(-1).view(torch.uint8) for t in mine])
        if device.type != "cuda":
            return joined.cpu()
        host = torch.empty(joined.shape, dtype=torch.uint8, pin_memory=True)
        host.copy_(joined, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        self._arrived.append(event)
        return host

    def parts(self) -> list[Part]:
        """Dtype, shape and content of each tensor."""
        for event in self._arrived:
            event.synchronize()
        return [
            (*kind, memoryview(buffer.numpy().data)[start:end])
            for kind, (buffer, start, end) in zip(self._kinds, self._whole, strict=True)
        ]


def fingerprint(part: Part) -> str:
    """16 hex digits of a tensor's shape and exact values."""
    kind, shape, content = part
    digest = hashlib.blake2b(f"{kind}{shape}".encode(), digest_size=8)
    digest.update(content)
    return digest.hexdigest()


def described(call: Call) -> Any:
    """Which call this is, as plain JSON that tells it from any other."""
    told = description(call)
    return filled(told, map(fingerprint, HostCopy(list(tensors_in(told))).parts()))


def description(call: Call) -> dict[str, Any]:
    """As `described`, with the tensors themselves."""
    recording = call_type(call).recording
    assert recording is not None
    return {"kind": type(call).__name__, **recording.described(call)}


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors of nested mappings and sequences, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_in(inner)


def filled(value: Any, instead: Iterator[Any]) -> Any:
    """`value` as plain JSON, with the next of `instead` in the place of each tensor."""
    if isinstance(value, Tensor):
        return next(instead)
    if isinstance(value, Mapping):
        return {name: filled(inner, instead) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, instead) for inner in value]
    return value


# --- Replies as records ---------------------------------------------------------------------------


class Unrecordable(Exception):
    """A reply holds something else than tensors and plain values."""


def shape_of(value: Any, tensors: list[Tensor]) -> Any:
    """A reply as JSON; its tensors are added to `tensors`, and their numbers stand for them."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1, "cpu": value.device.type == "cpu"}
    if isinstance(value, tuple | list):
        return {"tuple": [shape_of(inner, tensors) for inner in value]}
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {"dict": {name: shape_of(inner, tensors) for name, inner in value.items()}}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise Unrecordable(type(value).__name__)


def value_of(shape: Mapping[str, Any], tensor: Callable[[int, bool], Tensor]) -> Any:
    """The reply again; `tensor(number, cpu)` gives its tensors."""
    if "tensor" in shape:
        return tensor(shape["tensor"], shape["cpu"])
    if "tuple" in shape:
        return tuple(value_of(inner, tensor) for inner in shape["tuple"])
    if "dict" in shape:
        return {name: value_of(inner, tensor) for name, inner in shape["dict"].items()}
    return shape["value"]


# --- The thread -----------------------------------------------------------------------------------


class Recorder:
    """The thread on which all logs of replies are read, written and removed, in the order in which that was asked.

    Any thread may ask. After `close` what is asked is done at once.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="easel-recorder")
        self._ahead: deque[tuple[Future[Any], int]] = deque()
        self._bytes = 0
        self._lock = Lock()

    def record(self, batch: Sequence[tuple[Replay, Call, Any]]) -> None:
        """Notes the replies to calls that were made together, each in the log of its picture. What cannot be copied
        costs the logs, never the pictures."""
        try:
            notes, tensors = noted(batch)
            if notes:
                copy = HostCopy(tensors)
                self.later(lambda: written(notes, copy), copy.bytes)
        except Exception as fault:  # the boundary: memory, or what a kind of call says of itself
            for replay, _, _ in batch:
                self.later(partial(replay.lose, fault))

    def later(self, work: Callable[[], Any], size: int = 0) -> Future[Any]:
        """Has something done in its turn; waits for earlier work where more than `AHEAD_BYTES` are under way."""
        try:
            future = self._thread.submit(work)
        except RuntimeError:  # closed
            future = Future()
            future.set_result(work())
            return future
        with self._lock:
            self._ahead.append((future, size))
            self._bytes += size
            slow: list[Future[Any]] = []
            while self._ahead and (self._ahead[0][0].done() or self._bytes > AHEAD_BYTES):
                oldest, its_size = self._ahead.popleft()
                slow.append(oldest)
                self._bytes -= its_size
        wait(slow)
        return future

    def close(self) -> None:
        """Ends the thread, when all that was asked is done."""
        self._thread.shutdown(wait=True)


@dataclass(frozen=True, slots=True)
class Note:
    """A reply to be written: how many of a batch's tensors its call and the reply itself have, one after the other."""

    replay: Replay
    told: Mapping[str, Any]
    asked: int
    shape: Any
    kept: int


def noted(batch: Sequence[tuple[Replay, Call, Any]]) -> tuple[list[Note], list[Tensor]]:
    """What is to be written of a batch, and all the tensors that it takes."""
    notes: list[Note] = []
    tensors: list[Tensor] = []
    for replay, call, reply in batch:
        recording = call_type(call).recording
        if recording is None or not replay.wants(call):
            continue
        told = description(call)
        asked, kept = list(tensors_in(told)), list[Tensor]()
        try:
            shape = shape_of(recording.kept(reply), kept)
        except Unrecordable as what:  # the call is made again after a restart
            log.info("a reply to %s is not kept: it holds a %s", told["kind"], what)
            shape, kept = None, []
        tensors += asked + kept
        notes.append(Note(replay, told, len(asked), shape, len(kept)))
    return notes, tensors


def written(notes: Sequence[Note], copy: HostCopy) -> None:
    """On the recorder's thread."""
    try:
        parts = iter(copy.parts())
    except Exception as fault:  # the boundary: the device's, which the pictures will hear of
        for note in notes:
            note.replay.lose(fault)
        return
    for note in notes:
        asked = [fingerprint(part) for part in islice(parts, note.asked)]
        kept = tuple(islice(parts, note.kept))
        note.replay.append(Record(filled(note.told, iter(asked)), kept, note.shape))
