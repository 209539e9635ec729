"""A job: one accepted request, as one generator per picture, and what is known of it at any moment.

Holds state and answers questions about it; the engine alone changes it, under its lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webui.types import (
    Call,
    Denoise,
    Event,
    EventKind,
    GenerationRequest,
    JobState,
    JobStatus,
    Model,
    RunNetwork,
    SavedPicture,
    TaskRun,
)
from webui.types.persistence import StoredJob

if TYPE_CHECKING:
    from webui.engine.replay import Replay
    from webui.engine.runner import Encoding

__all__ = ["Job", "PictureRun"]

EVENTS = 500  # of a job, steps in a row counted once


@dataclass(slots=True, eq=False)
class PictureRun:
    """One picture of a job while it is made: the task's generator and the call it waits for."""

    job: Job
    index: int
    task: TaskRun | None = None  # None before it is started and after it has ended
    call: Call | None = None  # what it waits for, while that is in the scheduler's hands
    since: int = 0  # the turn at which `call` came in
    model: Model | None = None
    latest: Any = None  # the last denoised latent [C, h, w]
    step: int = 0
    steps: int = 0
    sampled: bool = False  # whether a UNet call was made for it
    made: bool = False
    replay: Replay | None = None  # its log, where replies are kept
    encoding: Encoding | None = None  # of the text that is its call, once that is begun
    answered: int = 0  # the replies that its task has had, recorded ones too
    alone: bool = False  # nothing else runs while it is made: the process has ended over it
    starved: bool = False  # the memory has not sufficed for it once
    held: bool = False  # something is lacking that comes back: it is tried again in a while

    @property
    def mark(self) -> tuple[str, int, int]:
        """What is known of it should the process end: its job, its place, how far it came."""
        return self.job.id, self.index, self.answered

    def close(self) -> None:
        """Ends the generator where it stands; its log stays as it is."""
        if self.task is not None:
            self.task.close()
        if self.replay is not None:
            self.replay.close()
        self.task = self.call = self.latest = self.encoding = None

    def saw(self, call: Denoise | RunNetwork, reply: Any) -> None:
        """Notes the progress of a sampling, or of the steps that an extension's network makes."""
        if isinstance(call, Denoise):
            self.latest = reply.denoised
            self.sampled = True
        if call.steps:
            before = self.step if call.steps == self.steps else 0
            self.step, self.steps = max(before, call.step + 1), call.steps

    @property
    def progress(self) -> float:
        if self.made:
            return 1.0
        return self.step / self.steps if self.steps else 0.0


@dataclass(slots=True, eq=False)
class Job:
    """One accepted request."""

    id: str
    request: GenerationRequest
    owner: str = ""
    priority: int = 0
    state: JobState = "queued"
    version: int = 1
    note: str = ""
    error: str | None = None
    cancelled: bool = False  # asked for; carried out between two calls
    place: int = 0  # in the queue, as it was last told
    served: int = 0  # the turn at which a call of it was last made
    created_s: float = field(default_factory=time.time)
    started_s: float = 0.0
    sampling_s: float = 0.0  # when its first UNet call was answered
    ended_s: float = 0.0  # these three on the monotonic clock
    ended_at_s: float | None = None
    stripped: bool = False  # of the pictures of its request
    runs: list[PictureRun] = field(default_factory=list)
    saved: dict[int, SavedPicture] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS))

    def __post_init__(self) -> None:
        self.runs = [PictureRun(self, i) for i in range(self.request.batch_size)]

    @classmethod
    def restored(cls, kept: StoredJob) -> Job:
        """A job of an earlier start: what was running waits in the queue again, finished pictures stay, and what
        had ended has ended."""
        state: JobState = "queued" if kept.state == "running" else kept.state
        job = cls(kept.id, kept.request, kept.owner, kept.priority, state)
        job.created_s = kept.created_s
        job.error, job.ended_at_s = kept.error, kept.ended_s
        job.stripped = job.ended  # of what was kept nothing but the words is in memory
        job.saved.update(kept.pictures)
        for run in job.runs:
            run.made = run.index in job.saved
        return job

    def kept(self) -> StoredJob:
        """What is kept of it."""
        return StoredJob(
            self.id, self.request, self.owner, self.priority, self.state, self.created_s
        )

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    def tell(self, kind: EventKind, data: Mapping[str, Any]) -> None:
        """Notes an event. Only the newest of steps and positions in a row is kept: it says what they did."""
        self.version += 1
        last = self.events[-1] if self.events else None
        number = max(last.number + 1 if last else 0, time.time_ns() // 1_000_000)
        if last and kind in ("step", "position") and last.kind == kind:
            if last.data.get("picture") == data.get("picture"):
                self.events.pop()
        self.events.append(Event(number, kind, data))

    def end(self, state: JobState, error: str | None, forget: bool) -> None:
        """Ends its pictures where they stand; their logs go, too, where `forget`."""
        self.state, self.error, self.note = state, error, ""
        self.ended_s, self.ended_at_s = time.monotonic(), time.time()
        bare = self.request.without_pictures()  # its status is told for long
        self.stripped = self.stripped or bare != self.request
        self.request = bare
        for run in self.runs:
            run.close()
            if run.replay is not None and forget:
                run.replay.remove()

    @property
    def rows_each(self) -> int:
        """The rows of a UNet call that one of its pictures takes."""
        return 1 if self.request.cfg_scale == 1 else 2

    def next_run(self) -> PictureRun | None:
        """Its first picture that can be started now."""
        return next((r for r in self.runs if not (r.task or r.made or r.held)), None)

    @property
    def active(self) -> int:
        """How many of its pictures are being made."""
        return sum(r.task is not None for r in self.runs)

    def seconds(self) -> float:
        if not self.started_s:
            return 0.0
        return (self.ended_s or time.monotonic()) - self.started_s

    def summary(self) -> str:
        """A line for the log."""
        r = self.request
        return (
            f"{len(self.runs)} x {r.task} {r.width}x{r.height}, {r.sampler_name}, {r.steps} steps, "
            f"in {self.seconds():.2f} s"
        )

    def status(self, position: int, note: str) -> JobStatus:
        """What faces see. `position` and `note` are the engine's to know."""
        going = [r for r in self.runs if not r.made] or self.runs
        slowest = min(going, key=lambda r: r.step)
        progress = sum(r.progress for r in self.runs) / len(self.runs)
        eta = None
        if self.state == "running" and self.sampling_s and 0 < progress < 1:
            eta = (time.monotonic() - self.sampling_s) * (1 - progress) / progress
        return JobStatus(
            id=self.id,
            state=self.state,
            version=self.version,
            request=self.request,
            position=position,
            step=slowest.step,
            steps=max(r.steps for r in self.runs),
            progress=1.0 if self.state == "done" else progress,
            eta_s=eta,
            seconds=self.seconds(),
            note=self.note or note,
            error=self.error,
            pictures=tuple(self.saved[i] for i in sorted(self.saved)),
            owner=self.owner,
            priority=self.priority,
            created_s=self.created_s,
            ended_s=self.ended_at_s,
        )
