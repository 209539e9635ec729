"""A job: one accepted request, the states it may be in, and what is known of it at any moment.

The only file that changes a job. `Jobs` calls what changes it under its lock; everybody else reads `status` and
`events`, immutable values that are swapped whole. Plain data: no tensor, no generator, no lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from webui.types import (
    Event,
    EventKind,
    GenerationRequest,
    JobState,
    JobStatus,
    RunningPicture,
    SavedPicture,
)
from webui.types.persistence import StoredJob

if TYPE_CHECKING:
    from PIL.Image import Image

    from webui.prompt import Prompt

__all__ = ["TRANSITIONS", "IllegalTransition", "Job", "Picture"]

EVENTS = 500  # of a job, steps in a row counted once

# Where a job may go from each state. A paused one is done where its last picture was being saved meanwhile, a queued
# one where it ended before that was kept.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        "queued": frozenset({"running", "paused", "done", "failed", "cancelled"}),
        "running": frozenset({"paused", "done", "failed", "cancelled"}),
        "paused": frozenset({"queued", "running", "done", "failed", "cancelled"}),
        "done": frozenset(),
        "failed": frozenset(),
        "cancelled": frozenset(),
    }
)
# What is told of a job that comes to a state; "resumed" where it was paused.
TOLD: Mapping[JobState, EventKind] = MappingProxyType(
    {
        "queued": "queued",
        "running": "started",
        "paused": "paused",
        "done": "done",
        "failed": "failed",
        "cancelled": "cancelled",
    }
)

PictureState: TypeAlias = Literal["waiting", "making", "made", "skipped"]


class IllegalTransition(RuntimeError):
    """A job was sent where it cannot go from its state: a bug of ours."""


@dataclass(slots=True, eq=False)
class Picture:
    """One picture of a job. The device that makes it holds the rest (`PictureRun`)."""

    job: Job
    index: int
    state: PictureState = "waiting"
    begun: bool = False  # there is something of it, of an earlier start too
    step: int = 0
    steps: int = 0
    part: float = 0.0  # of the call that is being made, where that says how far it is
    look: Callable[[], Image | None] | None = None  # draws what it looks like now

    @property
    def progress(self) -> float:
        if self.state == "made":
            return 1.0
        return self.step / self.steps if self.steps else self.part


@dataclass(slots=True, eq=False)
class Job:
    """One accepted request. `status` and `events` are for everybody, the methods for `Jobs`."""

    id: str
    request: GenerationRequest
    owner: str = ""
    priority: int = 0
    state: JobState = "queued"
    created_s: float = field(default_factory=time.time)
    error: str | None = None
    ended_at_s: float | None = None  # since 1970
    stripped: bool = False  # of the pictures of its request
    prompts: dict[str, Prompt] = field(default_factory=dict)  # its texts, as they were parsed
    notes: tuple[str, ...] = ()  # about them
    interrupted: bool = False  # it ends with what there is
    later: bool = False  # it has ended here alone, and goes on at the next start
    number: int = 0  # of those that came
    served: int = 0  # the turn at which a call of it was last made
    place: int = 0  # in the queue, as it was last told
    saved: dict[int, SavedPicture] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = field(init=False)
    status: JobStatus = field(init=False)
    events: tuple[Event, ...] = ()
    _version: int = 1
    _note: str = ""  # what it waits for
    _engine_note: str = ""  # what every job waits for
    _remark: str = ""  # what is said of it while there is nothing else
    _started_s: float = 0.0  # these three on the monotonic clock
    _timed_s: float = 0.0  # since when its speed is measured, from `_timed_at` on
    _timed_at: float = 0.0  # how far it was then, 0..1
    _timed_turn: int = 0  # the turn after which that was
    _ended_s: float = 0.0

    def __post_init__(self) -> None:
        count = range(self.request.batch_size)
        self.pictures = tuple(
            Picture(self, index, "made" if index in self.saved else "waiting") for index in count
        )
        self.status = self._status()

    @classmethod
    def restored(cls, kept: StoredJob) -> Job:
        """A job of an earlier start: what was running waits in the queue again, finished pictures stay, and what
        had ended has ended."""
        state: JobState = "queued" if kept.state == "running" else kept.state
        job = cls(
            kept.id,
            kept.request,
            kept.owner,
            kept.priority,
            state,
            kept.created_s,
            kept.error,
            kept.ended_s,
            stripped=state in ("done", "failed", "cancelled"),  # its words alone were kept
            saved=dict(kept.pictures),
            interrupted=kept.interrupted,
        )
        job._recall(kept)
        return job

    def _recall(self, kept: StoredJob) -> None:
        """What is known of its pictures from an earlier start."""
        for picture in self.pictures:
            picture.begun = picture.index in kept.begun
            if picture.state == "waiting" and picture.index in kept.skipped:
                picture.state = "skipped"
        self.status = self._status()

    # --- questions --------------------------------------------------------------------------------

    def kept(self) -> StoredJob:
        """What is kept of it."""
        return StoredJob(
            self.id, self.request, self.owner, self.priority, self.state, self.created_s
        )

    @property
    def ended(self) -> bool:
        return not TRANSITIONS[self.state]

    @property
    def rows_each(self) -> int:
        """The rows of a UNet call that one of its pictures takes."""
        return 1 if self.request.cfg_scale == 1 else 2

    @property
    def making(self) -> list[Picture]:
        """Its pictures that are being made."""
        return [picture for picture in self.pictures if picture.state == "making"]

    @property
    def active(self) -> int:
        """How many of its pictures are being made."""
        return len(self.making)

    @property
    def skipped(self) -> tuple[int, ...]:
        """The places of its pictures that are given up."""
        return tuple(picture.index for picture in self.pictures if picture.state == "skipped")

    @property
    def complete(self) -> bool:
        """Whether each of its pictures is on disk, or given up."""
        return all(p.state == "skipped" or p.index in self.saved for p in self.pictures)

    @property
    def progress(self) -> float:
        """How far it is, 0..1 over all its pictures that are not given up."""
        wanted = [picture for picture in self.pictures if picture.state != "skipped"]
        return sum(picture.progress for picture in wanted) / len(wanted) if wanted else 0.0

    def next_picture(self) -> Picture | None:
        """Its first picture that can be started now."""
        return next((p for p in self.pictures if p.state == "waiting"), None)

    def to_skip(self, place: int | None) -> Picture | None:
        """The picture at a place that may still be given up; without a place the first running one, else the next."""
        if place is not None:
            picture = self.pictures[place]
            return None if picture.state == "made" else picture
        return next(iter(self.making), self.next_picture())

    def seconds(self) -> float:
        """Since its first picture was begun, until it ended."""
        if not self._started_s:
            return 0.0
        return (self._ended_s or time.monotonic()) - self._started_s

    def summary(self) -> str:
        """A line for the log."""
        r = self.request
        return (
            f"{len(self.pictures)} x {r.task} {r.width}x{r.height}, {r.sampler_name}, {r.steps} steps, "
            f"in {self.seconds():.2f} s"
        )

    # --- changes, each of which `Jobs` makes under its lock ---------------------------------------

    def enter(self, number: int, engine_note: str) -> None:
        """It is known from now on, as the `number`th that came."""
        self.number, self._engine_note = number, engine_note
        if self.ended:
            self.publish()
        else:
            self.tell("queued")

    def go(self, state: JobState, **data: Any) -> None:
        """Moves it to another state; raises `IllegalTransition` where that is none of those in `TRANSITIONS`."""
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"job {self.id} is {self.state} and cannot become {state}")
        before, self.state = self.state, state
        if state == "running":
            self._started_s = self._started_s or time.monotonic()
            self._timed_s = 0.0  # it has stood still
        self.tell("resumed" if before == "paused" and not self.ended else TOLD[state], **data)

    def resume(self) -> None:
        """Lets it go on where it stood."""
        self.go("running" if self._started_s else "queued")

    def end(self, state: JobState, error: str | None, bare: GenerationRequest, later: bool) -> None:
        """Ends it with a sentence. `bare` is its request without pictures, since its status is told for long;
        `later`: it goes on at the next start."""
        self.error, self._note = error, ""
        self._ended_s, self.ended_at_s = time.monotonic(), time.time()
        self.stripped = self.stripped or bare != self.request
        self.request, self.later, self.prompts = bare, later, {}
        for picture in self.pictures:
            picture.look = None
        self.go(state, error=error)

    def begin(self, picture: Picture) -> None:
        """A device takes a picture of it."""
        picture.state, picture.begun = "making", True
        if self.state == "queued":
            self.go("running")

    def made(self, picture: Picture) -> None:
        """A picture is finished; it is not on disk yet."""
        picture.state = "made"
        self.publish()

    def interrupt(self) -> None:
        """It ends with what there is: pictures of which there is nothing are given up."""
        self.interrupted, self._timed_s = True, 0.0
        for picture in self.pictures:
            if picture.state == "waiting" and not picture.begun:
                picture.state = "skipped"
        self.tell("interrupted")

    def skip(self, picture: Picture) -> None:
        """A picture is given up."""
        picture.state, picture.look = "skipped", None
        self._timed_s = 0.0  # it is nearer to its end without having come further
        self.tell("skipped", picture=picture.index)

    def restart(self, picture: Picture) -> None:
        """A picture is made from its beginning."""
        picture.step = 0
        self.publish()

    def step(self, picture: Picture, step: int, steps: int) -> None:
        """A picture's call number `step` (from 0) of `steps` was answered."""
        before = picture.step if steps == picture.steps else 0
        picture.step, picture.steps = max(before, step + 1), steps

    def stepped(self, picture: Picture, known: bool = False) -> None:
        """A call of a picture was answered, or its reply was `known` from an earlier start: its progress is told."""
        if known:  # what takes no time says nothing of the speed
            self._timed_s = 0.0
        elif not self._timed_s or self._timed_turn == self.served:  # others of the same call
            self._timed_s, self._timed_at = time.monotonic(), self.progress
            self._timed_turn = self.served
        self._remark = ""
        self.tell("step", picture=picture.index, step=picture.step, steps=picture.steps)

    def remark(self, remark: str) -> None:
        """Something to say of it until its next step."""
        self._remark = remark
        self.publish()

    def progressed(self, picture: Picture, part: float, note: str) -> None:
        """A long call of a picture is at `part`, from 0 to 1; `note` says what it does ("" when it is made)."""
        picture.part, self._note = part, note
        if note:
            told = {"step": picture.step, "steps": picture.steps, "progress": round(part, 4)}
            self.tell("step", picture=picture.index, **told)
        else:
            self.publish()

    def keep_picture(self, picture: Picture, saved: SavedPicture) -> None:
        """A picture is on disk."""
        picture.look = None
        self.saved[picture.index] = saved
        self.tell("saved", picture=picture.index, seed=saved.seed)

    def prioritise(self, priority: int) -> None:
        self.priority = priority
        self.publish()

    def note(self, note: str) -> None:
        """What it waits for ("" for nothing)."""
        self._note = note
        self.publish()

    def note_engine(self, note: str) -> None:
        """What every job waits for ("" for nothing)."""
        self._engine_note = note
        self.publish()

    def tell_place(self, place: int) -> None:
        """Its place in the queue, from 1."""
        self.place = place
        self.tell("position", position=place)

    def serve(self, turn: int) -> None:
        """A call of it is made at `turn`."""
        self.served = turn

    def tell(self, kind: EventKind, **data: Any) -> None:
        """Notes an event. Only the newest of steps and positions in a row is kept: it says what they did."""
        events, last = self.events, self.events[-1] if self.events else None
        number = max(last.number + 1 if last else 0, time.time_ns() // 1_000_000)
        if last and kind in ("step", "position") and last.kind == kind:
            if last.data.get("picture") == data.get("picture"):
                events = events[:-1]
        self.events = (*events[1 - EVENTS :], Event(number, kind, data))
        self.publish()  # after the event: who reads that it has ended finds what ended it

    def publish(self) -> None:
        """Swaps the status that everybody reads."""
        self._version += 1
        self.status = self._status()

    def _status(self) -> JobStatus:
        pictures, making, progress = self.pictures, self.making, self.progress
        going = making or [p for p in pictures if p.state == "waiting"]
        first = going[0] if going else max(pictures, key=lambda p: (p.state == "made", p.index))
        eta, come = None, progress - self._timed_at
        if self.state == "running" and self._timed_s and come > 0 and progress < 1:
            eta = (time.monotonic() - self._timed_s) * (1 - progress) / come
        return JobStatus(
            id=self.id,
            state=self.state,
            version=self._version,
            request=self.request,
            position=self.place if self.state == "queued" else 0,
            step=first.step,
            steps=first.steps or max(p.steps for p in pictures),
            progress=1.0 if self.state == "done" else progress,
            running=tuple(RunningPicture(p.index, p.step, p.steps, p.progress) for p in making),
            made=sum(p.state == "made" for p in pictures),
            skipped=self.skipped,
            interrupted=self.interrupted,
            eta_s=eta,
            seconds=self.seconds(),
            note="" if self.ended else self._note or self._engine_note or self._remark,
            notes=self.notes,
            error=self.error,
            pictures=tuple(self.saved[i] for i in sorted(self.saved)),
            owner=self.owner,
            priority=self.priority,
            created_s=self.created_s,
            ended_s=self.ended_at_s,
        )
