"""A picture's replies, kept while it is made and given again after a restart. Knows calls and tensors; knows no file.

The task is started anew and receives the recorded replies without a network being run, so it stands exactly where it
stood, with any sampler. A reply that is recorded is the engine's own (after guidance, before denoise wrappers, whose
code runs again and sees it like a fresh one). Which calls are recorded is in the table of calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from webui.engine.calls import call_type
from webui.engine.recording import Recorder, described, value_of
from webui.types import Call, Model
from webui.types.persistence import Record, Replies

__all__ = ["MISSING", "OtherCall", "Replay"]

BROKEN_OFF = {"kind": "interrupted"}  # in the place of a call
MISSING = object()  # nothing is recorded for the call


class OtherCall(Exception):
    """The next record answers another call than the one that is made: the log is worth nothing."""


class Replay:
    """One picture's log. `recall` before a call is made, `Recorder.record` after it was.

    `dropped`: there was a log, of other code or another device. `lost` hears, on the recorder's thread, of why the log
    cannot be written on; it is removed then.
    """

    def __init__(
        self,
        replies: Replies,
        header: Mapping[str, Any],
        device: torch.device,
        recorder: Recorder,
        lost: Callable[[Exception], None] = lambda fault: None,
    ) -> None:
        """Reads what is there; raises `OSError` as `Replies.read` does."""
        self._replies = replies
        self._device = device
        self._recorder = recorder
        self._lost = lost
        self._open = True
        self._gone = False
        self._again: Call | None = None
        found = recorder.later(lambda: replies.read(header)).result()
        self.dropped = found is None
        self._waiting: deque[Record] = deque(found or ())

    def recall(self, call: Call) -> Any:
        """The reply that was recorded for `call`, or `MISSING`. Raises `OtherCall` where another was recorded."""
        recording = call_type(call).recording
        if not self._waiting or recording is None:
            return MISSING
        record = self._waiting.popleft()
        if record.call != described(call):
            raise OtherCall(f"{record.call['kind']} was recorded, {type(call).__name__} is asked")
        if record.reply is None:
            self._again = call
            return MISSING
        return recording.reply(
            value_of(record.reply, lambda number, cpu: self._tensor(record.parts[number], cpu))
        )

    def _tensor(self, part: tuple[str, tuple[int, ...], bytes | memoryview], cpu: bool) -> Tensor:
        dtype, shape, content = part
        if not content:
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
        else:
            tensor = torch.frombuffer(bytearray(content), dtype=getattr(torch, dtype))
        tensor = tensor.reshape(shape)
        return tensor if cpu else tensor.to(self._device)

    def model(self, model: Model) -> None:
        """Notes which model was loaded; raises `OtherCall` where it was another file."""
        what = {"kind": "model", "name": model.name, "hash": model.hash}
        if model.parts:
            what["parts"] = model.parts
        if self._waiting:
            if self._waiting.popleft().call != what:
                raise OtherCall(f"the model {model.name} has changed")
        elif self._open:
            self._recorder.later(lambda: self.append(Record(what)))

    def broken_off(self, now: Callable[[], bool]) -> bool:
        """Whether the sampling ends here with what there is: it did so in an earlier start, or is to `now`. That is
        noted, so that the picture is the same after a restart."""
        if self._waiting:
            noted = self._waiting[0].call == BROKEN_OFF
            if noted:
                self._waiting.popleft()
            return noted
        if not now():
            return False
        if self._open:
            self._recorder.later(lambda: self.append(Record(BROKEN_OFF)))
        return True

    def wants(self, call: Call) -> bool:
        """Whether the reply to a call belongs at the log's end: not that of one which is made again, since nothing but
        that it was made could be recorded."""
        return self._open and not self._waiting and call is not self._again

    def append(self, record: Record) -> None:
        """On the recorder's thread."""
        if self._gone:
            return
        try:
            self._replies.append(record)
        except Exception as fault:  # the boundary: a full disk costs the log, never the picture
            self.lose(fault)

    def lose(self, fault: Exception) -> None:
        """On the recorder's thread: the log cannot be written on, so it would end before what the picture has."""
        if not self._gone:
            self._open, self._gone = False, True
            self._replies.remove()
            self._lost(fault)

    def close(self) -> None:
        """Keeps the log for the next start."""
        self._open = False
        self._recorder.later(self._replies.close)

    def keep(self) -> None:
        """The picture is saved: its log is kept where such logs are."""
        self._open = False
        self._recorder.later(self._replies.keep)

    def remove(self) -> None:
        """The log is of no use."""
        self._open = False
        self._recorder.later(self._replies.remove)
