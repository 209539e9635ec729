"""Jobs and extensions as faces see them: states at one moment, and the two objects that faces talk to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from webui.types.models import Model, ModelCard
from webui.types.parts import Artifact
from webui.types.requests import GenerationRequest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "EngineFace",
    "ExtensionStatus",
    "ExtensionsFace",
    "Finished",
    "JobState",
    "JobStatus",
    "RunningPicture",
    "SavedPicture",
    "SubmissionKey",
]

JobState: TypeAlias = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class SavedPicture:
    """A finished picture on disk, or a file of another kind, whose width and height are 0. `parameters` is its
    infotext, `index` its place in its job, from 0, `notes` the sentences that are told on it: what was not done as it
    was asked for."""

    path: Path
    seed: int
    width: int
    height: int
    parameters: str
    index: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_picture(self) -> bool:
        """Whether it can be shown."""
        return self.width > 0


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """A picture as it leaves the engine, before it is on disk; all that an infotext needs.

    `scheduler` is the schedule that `automatic` resolved to. `model` is None where the task loaded none, and
    `sampled` False where it ran no sampler. `notes` are further keys of the infotext: what extensions did.
    `warnings` are sentences that are told on the picture. `seconds` counts the job so far. `controls` are the names of
    the task's controls, None where nobody says.
    """

    job: str
    request: GenerationRequest
    index: int
    seed: int
    picture: Artifact
    model: Model | None
    scheduler: str
    seconds: float
    sampled: bool = True
    notes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()
    controls: frozenset[str] | None = None


EventKind: TypeAlias = Literal[
    "queued",
    "position",
    "started",
    "step",
    "preview",
    "saved",
    "paused",
    "resumed",
    "interrupted",
    "skipped",
    "done",
    "failed",
    "cancelled",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job. Numbers grow with every event of a job, over restarts too; `data` is
    plain JSON: `position`; `step` of `steps`, `progress`; `picture` (its place) and its `seed`; `error`."""

    number: int
    kind: EventKind
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunningPicture:
    """A picture that is being made: its place in its job, from 0; the step of so many that it has made (0 of 0 while it
    counts none); and how far it is, 0..1."""

    index: int
    step: int
    steps: int
    progress: float


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at one moment. `version` grows with every change, so that `wait` can say "newer than".

    `position` is 0 when it runs, else its place in the queue from 1. `running` are its pictures that are being made, by
    their places; `step` of `steps` is the first one's, and `progress` is 0..1 over all pictures. `made` counts the
    finished ones, those that are not yet on disk too. `skipped` are the places of those that are given up,
    `interrupted` says that the job ends with what there is. `eta_s` is how long it takes on, at the speed that it has
    had since it last went on. `note` tells what is being waited for ("" when
    nothing is), `error` why it failed, or, of a cancelled one, that the engine was stopped and it goes on later.
    `notes` are sentences about what in its prompts does nothing, known since it was accepted (not after a restart; its
    pictures tell them too). `seconds` counts from its first call. `owner` is whose it is; in the queue a higher
    `priority` goes first. `created_s` and `ended_s` are seconds since 1970.
    """

    id: str
    state: JobState
    version: int
    request: GenerationRequest
    position: int = 0
    step: int = 0
    steps: int = 0
    progress: float = 0.0
    running: tuple[RunningPicture, ...] = ()
    made: int = 0
    skipped: tuple[int, ...] = ()
    interrupted: bool = False
    eta_s: float | None = None
    seconds: float = 0.0
    note: str = ""
    error: str | None = None
    pictures: tuple[SavedPicture, ...] = ()
    owner: str = ""
    priority: int = 0
    created_s: float = 0.0
    ended_s: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class SubmissionKey:
    """An `Idempotency-Key`: what a client calls a submission, so that sending it twice makes one job.

    `key` is unique to its owner, `body` a digest of everything that was sent with it.
    """

    key: str
    body: str


class EngineFace(Protocol):
    """The engine as page, API and command line see it. Every method may be called from any thread, and returns at once
    but for `wait`, `submit`, `repeat` and `count_tokens`, whatever the engine is doing: what is asked is answered from
    immutable values, without a lock. An unknown job id raises `RequestError`."""

    def submit(
        self,
        request: GenerationRequest,
        owner: str = "",
        priority: int = 0,
        key: SubmissionKey | None = None,
    ) -> str:
        """Queues a job of `owner` and gives its id; one that came before with the same `key` is not made
        again, and `RequestError` is raised where another body came with it. Extensions' `change_request` hooks
        run here, so it may take a while: not for an event loop's own thread. What they refuse raises `EaselError`."""
        ...

    def repeat(self, job_id: str, owner: str = "", changes: Mapping[str, Any] | None = None) -> str:
        """Queues the same request once more, as it was accepted (no `change_request`), with `changes` of its fields by
        their names (another seed), and gives the new job's id. Raises `EaselError` where the pictures that it needs
        are no longer there, `RequestError` for a value out of range."""
        ...

    def request(self, job_id: str) -> GenerationRequest:
        """What a job was accepted as, with its pictures, which a status of one that has ended lacks. Raises
        `EaselError` where they are no longer there."""
        ...

    def status(self, job_id: str) -> JobStatus: ...

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        """The status as soon as its version is above `after`, or after `timeout_s` seconds."""
        ...

    def watch(self, job_id: str, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """While it is entered `wake` is called, on any thread, after each change of the job ("": of any job); several
        changes at once are one call. It must not block. A change after the entry is not missed, so ask for the
        status inside. Listeners cost the engine nothing: hundreds may wait."""
        ...

    def events(self, job_id: str, after: int = 0) -> Sequence[Event]:
        """What has happened to the job since event number `after`, the newest last. Of many steps and positions
        in a row the older ones are forgotten first."""
        ...

    def cancel(self, job_id: str) -> None:
        """Ends the job; a picture that is being made is left at its next call. Pictures that are finished stay."""
        ...

    def interrupt(self, job_id: str) -> None:
        """Ends the job with what there is: each running picture is finished as it stands after its next step and tells
        so in its text, none is begun any more. Of no effect on one that has ended."""
        ...

    def skip(self, job_id: str, picture: int | None = None) -> int | None:
        """Gives up a picture of the job, by its place from 0, and goes on with the others; without a place the running
        one with the lowest, else the next one. Gives the place, None where there is none to give up: it is finished, or
        the job has ended. A place that the job does not have raises `RequestError`."""
        ...

    def pause(self, job_id: str) -> None:
        """Holds the job where it stands, at its next call, until `resume`; nothing is lost meanwhile."""
        ...

    def resume(self, job_id: str) -> None:
        """Lets a paused job go on."""
        ...

    def prioritise(self, job_id: str, priority: int) -> None:
        """Moves a job among its owner's own that wait: the higher priority starts first, among equals who came first.
        One below 0 starts after everybody's that have a higher one."""
        ...

    def jobs(self) -> Sequence[JobStatus]:
        """Every job that is remembered, in the order they came."""
        ...

    def preview(self, job_id: str, picture: int | None = None) -> Image | None:
        """What the `picture` at a place of the job, from 0, looks like now, at picture size (at most 512 pixels);
        without a place the first one that is unfinished. None where there is nothing to be seen of it."""
        ...

    def count_tokens(self, model: str, text: str) -> int:
        """How many tokens of a model's own tokenizer a prompt takes, start and end not counted; those of CLIP for a
        model that is not in memory. Brackets that weigh and tags of adapters are none, and a `BREAK` fills its chunk
        of 75. May load the tokenizer: not for an event loop's own thread."""
        ...

    def models(self) -> Sequence[ModelCard]:
        """Every model found, the default one first; needs no torch."""
        ...

    def describe(self) -> Mapping[str, str]:
        """Device, dtype, attention in use and why, versions; before torch is loaded each value
        is what is being waited for."""
        ...


ExtensionState: TypeAlias = Literal["on", "off", "failed", "set aside"]


@dataclass(frozen=True, slots=True)
class ExtensionStatus:
    """An extension at one moment. `title` is its name in words, "" where nobody gave one; `guide` is the
    page (Markdown) that says how it is used, None where there is none.

    `source` is its folder or file, or the distribution that it came with. `state` is "off" when it is switched
    off, "failed" when nothing of it could be loaded, "set aside" after too many errors in this session.
    `problems` are sentences, the oldest first; `hanging` names the hook that does not return, and since
    when ("" while none). `restart` says what a restart will change ("" where nothing).
    `import_s` and `hooks_s` are the seconds spent in importing it and in its hooks so far.
    """

    name: str
    source: str
    bundled: bool
    state: ExtensionState
    version: str = ""
    about: str = ""
    hooks: tuple[str, ...] = ()
    import_s: float = 0.0
    hooks_s: float = 0.0
    problems: tuple[str, ...] = ()
    hanging: str = ""
    restart: str = ""
    title: str = ""
    guide: Path | None = None


class ExtensionsFace(Protocol):
    """The extensions as page and command line see them; may be called from any thread."""

    def statuses(self) -> Sequence[ExtensionStatus]:
        """Every extension that was found, in their order."""
        ...

    def switch(self, name: str, on: bool) -> ExtensionStatus:
        """Switches one on or off, for later starts too; an unknown name raises `RequestError`."""
        ...
