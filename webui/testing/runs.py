"""One picture's task, driven by hand: recorded, run beside others, replayed, stopped.

The networks are real; there is no thread and no clock, so that what happens, happens every time.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from webui.engine.calls import batch_key
from webui.types import Animation, Call, Decode, Denoise, File, Model, TaskRun

if TYPE_CHECKING:
    from torch import Tensor

    from webui.engine.runner import Runner

__all__ = ["Recorded", "frames_of", "mark", "record", "replay", "stop_after", "together"]


@dataclass(slots=True, eq=False)
class Recorded:
    """A run: every call that it yielded, every reply that it was given, and what it returned.

    `call_marks` and `reply_marks` were taken when each went over the counter: a tensor that was changed in
    place later has another mark by then.
    """

    run: TaskRun
    calls: list[Call] = field(default_factory=list)
    call_marks: list[str] = field(default_factory=list)
    replies: list[Any] = field(default_factory=list)
    reply_marks: list[str] = field(default_factory=list)
    shared: int = 0  # UNet calls that it shared with others
    ended: bool = False
    result: Any = None

    @property
    def call(self) -> Call:
        """The call that it waits for."""
        return self.calls[-1]

    @property
    def latents(self) -> list[Tensor]:
        """Every latent [C, h, w] that was decoded."""
        return [call.latent for call in self.calls if isinstance(call, Decode)]

    @property
    def predictions(self) -> list[Denoise]:
        """The UNet calls."""
        return [call for call in self.calls if isinstance(call, Denoise)]

    def advance(self, reply: Any) -> None:
        """Hands the reply to its last call over (None at the start) and takes the next call."""
        if self.calls:
            self.replies.append(reply)
            self.reply_marks.append(mark(reply))
        try:
            call = self.run.send(reply)
        except StopIteration as stop:
            self.ended, self.result = True, stop.value
        else:
            self.calls.append(call)
            self.call_marks.append(mark(call))


def record(
    run: TaskRun, runner: Runner, look: Callable[[Call], None] = lambda call: None
) -> Recorded:
    """Runs a task to its end, every call by itself. `look` sees each call before it is made."""
    return together([run], runner, look)[0]


def together(
    runs: Sequence[TaskRun], runner: Runner, look: Callable[[Call], None] = lambda call: None
) -> list[Recorded]:
    """Runs several tasks to their ends, taking turns; UNet calls that may share a batch are made as one."""
    import torch

    taped = [Recorded(run) for run in runs]
    with torch.inference_mode():
        for one in taped:
            one.advance(None)
        waiting = [one for one in taped if not one.ended]
        while waiting:
            key = batch_key(waiting[0].call)
            batch = [
                one
                for one in waiting
                if one is waiting[0] or (key is not None and batch_key(one.call) == key)
            ]
            for one in batch:
                look(one.call)
            replies = runner.run([one.call for one in batch])
            for one, reply in zip(batch, replies, strict=True):
                one.shared += len(batch) > 1
                one.advance(reply)
            others = [one for one in waiting if one not in batch]
            waiting = [*others, *(one for one in batch if not one.ended)]
    return taped


def replay(run: TaskRun, known: Recorded) -> Any:
    """What a task returns that is given the recorded replies, no network being asked.

    Raises `AssertionError` at the first call that is not the recorded one.
    """
    import torch

    with torch.inference_mode():
        again = Recorded(run)
        for number, (reply, before) in enumerate(
            zip_longest([None, *known.replies], known.call_marks, fillvalue=""), start=1
        ):
            again.advance(reply)
            if again.ended:
                if before:
                    ended = f"it ended before its call {number}, the recorded run went on"
                    raise AssertionError(ended)
                return again.result
            if again.call_marks[-1] != before:
                kind = type(again.call).__name__
                was = known.calls[number - 1 :]
                meant = f"{type(was[0]).__name__} with other values" if was else "the end"
                raise AssertionError(f"its call {number} is a {kind}, the recorded one was {meant}")
    raise AssertionError("it did not end where the recorded run ended")


def stop_after(run: TaskRun, known: Recorded, calls: int) -> None:
    """Brings a task to where it waits for the reply to its call number `calls` (0: it has not begun), and
    closes it there. Raises whatever it raises."""
    import torch

    with torch.inference_mode():
        for reply in [None, *known.replies][:calls]:
            run.send(reply)
        run.close()


def frames_of(result: Any) -> list[Image.Image]:
    """The pictures of what `finished_picture` returned, or of a picture, however many; a file has none."""
    picture = result[0] if isinstance(result, tuple) else result
    if isinstance(picture, File):
        return []
    return list(picture.frames) if isinstance(picture, Animation) else [picture]


# --- Marks ----------------------------------------------------------------------------------------


def mark(value: Any) -> str:
    """A digest of a value: equal for equal contents, tensors and pictures bit for bit."""
    digest = hashlib.sha256()
    for piece in _pieces(value):
        digest.update(piece)
        digest.update(b"\0")
    return digest.hexdigest()


def _pieces(value: Any) -> Iterator[bytes]:
    torch = sys.modules.get("torch")  # who has made a tensor has loaded it
    if torch is not None and isinstance(value, torch.Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        flat = value.detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    elif isinstance(value, Image.Image):
        yield f"{value.mode} {value.size}".encode()
        yield value.tobytes()
    elif isinstance(value, File):  # wherever it lies
        yield f"file {value.suffix} {value.media_type}".encode()
        content = value.content
        yield content.read_bytes() if isinstance(content, Path) else content
    elif isinstance(value, Model):  # its thousand noise levels are the name's
        yield f"model {value.name} {value.hash}".encode()
    elif is_dataclass(value) and not isinstance(value, type):
        yield type(value).__qualname__.encode()
        for one in fields(value):
            if one.compare:
                yield from _pieces(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from _pieces(value[key])
    elif isinstance(value, list | tuple):
        yield f"{len(value)} of".encode()
        for item in value:
            yield from _pieces(item)
    elif callable(value) or " object at 0x" in repr(value):
        yield getattr(value, "__qualname__", type(value).__qualname__).encode()
    else:
        yield repr(value).encode()
