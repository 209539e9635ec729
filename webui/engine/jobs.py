"""Every job that the engine knows, and every change of one. Knows no call, no file and no tensor.

Rule 1: the lock protects plain data for microseconds; no code of a task, an extension, a store or a listener runs
under it. Rule 2: whoever asks takes no lock; `status` and `events` of a job are immutable values, swapped
whole at each change.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from webui.engine.fairness import Fairness
from webui.engine.faults import sentence
from webui.engine.job import Job, Picture
from webui.engine.listeners import ANY, Listeners
from webui.engine.queue import Order, Queue, next_picture
from webui.errors import EaselError, RequestError, Sentence
from webui.types import Event, JobState, JobStatus, SavedPicture

__all__ = ["Jobs", "Stopping"]

log = logging.getLogger(__name__)

REMEMBERED = 500  # ended jobs whose status is still told
PLACES_S = 0.25  # places in the queue are told at most this often
FULL = Sentence("What is kept of it fills the room for others: resume or cancel it")


class Stopping(EaselError):
    """What is being done was broken off because the engine stops: no fault of its job."""


class Jobs:
    """The jobs, in the order they came, and who of them was served when: what all devices share.

    `capacity` is in rows of a UNet call. `keep` has a job's state written down, in order and without blocking.
    """

    def __init__(self, capacity: int, keep: Callable[[Job], None] = lambda job: None) -> None:
        self._capacity = capacity
        self._keep = keep
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._queue = Queue()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._alone: list[Picture] = []  # to be made with nothing beside them, one by one
        self._number = 0  # of those that came
        self._told, self._told_at = 0, 0.0  # the change up to which places were told, and when
        self.fairness = Fairness()
        self._note = ""  # what every job waits for
        self._noting = threading.Lock()
        self._devices: tuple[Callable[[], None], ...] = ()
        self.listeners = Listeners(self._tell_places)
        self.closing = threading.Event()
        self.failure: str | None = None  # why the engine cannot run at all

    # --- questions, which nobody waits for --------------------------------------------------------

    def __getitem__(self, job_id: str) -> Job:
        """The job of that id; an unknown one raises `RequestError`."""
        job = self._jobs.get(job_id)
        if job is None:
            raise RequestError(
                Sentence(
                    "job {job_id} is not known: it may have ended long ago", job_id=repr(job_id)
                )
            )
        return job

    def status(self, job_id: str) -> JobStatus:
        return self._placed(self[job_id].status, self.order())

    def statuses(self) -> list[JobStatus]:
        """Every job's status, in the order they came."""
        order = self.order()
        return [self._placed(job.status, order) for job in tuple(self._jobs.values())]

    def events(self, job_id: str, after: int) -> Sequence[Event]:
        return [event for event in self[job_id].events if event.number > after]

    def open(self) -> list[Job]:
        """The jobs that have not ended."""
        return [job for job in tuple(self._jobs.values()) if not job.ended]

    def running(self) -> Sequence[Job]:
        return self._queue.running()

    def order(self) -> Order:
        """The queue as it is now, worked out once for each change of it, by who asks first."""
        return self._queue.order()

    def _placed(self, status: JobStatus, order: Order) -> JobStatus:
        """A status with the place that its job has now, which may not have been told yet."""
        if status.state != "queued":
            return status
        place = order.places.get(status.id, status.position)
        return status if place == status.position else replace(status, position=place)

    def watch(self, job_id: str, wake: Callable[[], None]) -> AbstractContextManager[None]:
        """See `EngineFace.watch`."""
        if job_id != ANY:
            self[job_id]
        return self.listeners.watch(job_id, wake)

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        """The status as soon as its version is above `after` or it has ended, or after `timeout_s` seconds."""
        job, until = self[job_id], time.monotonic() + timeout_s
        news = threading.Event()
        with self.watch(job_id, news.set):
            while not (job.status.version > after or job.status.ended):
                left = until - time.monotonic()
                if left <= 0 or not news.wait(left):
                    break
                news.clear()
        return self._placed(job.status, self.order())

    # --- whether there is anything to be done -----------------------------------------------------

    def check_open(self) -> None:
        """Raises where no further job is taken."""
        if self.failure:
            raise EaselError(self.failure)
        if self.closing.is_set():
            raise EaselError(Sentence("Easel is stopping and takes no more requests"))

    def go_on(self) -> None:
        """Raises `Stopping` once there shall be no further turn: for work that takes long, on any thread."""
        if self.closing.is_set():
            raise Stopping("Easel is stopping")

    def close(self) -> None:
        """No further turn, and no further job."""
        with self._lock:
            self.closing.set()
        self.stir()

    def add_device(self, wake: Callable[[], None]) -> None:
        """`wake` is called, on any thread, whenever there may be something new to be done; it must not block."""
        with self._lock:
            self._devices += (wake,)

    def stir(self) -> None:
        for wake in self._devices:
            wake()

    # --- changes ----------------------------------------------------------------------------------

    def add(self, job: Job, restored: bool = False, alone: Container[int] = ()) -> None:
        """Puts a job last, and forgets the oldest ended ones. The pictures at the places `alone` are made with nothing
        beside them. Raises `EaselError` where no job is taken; one of an earlier start, `restored`, always is."""
        with self._lock:
            if not restored:
                self.check_open()
            self._number += 1
            self._jobs[job.id] = job
            job.enter(self._number, self._note)
            self._alone += [picture for picture in job.pictures if picture.index in alone]
            self._moved(job)
        self.stir()

    def _moved(self, job: Job) -> None:
        """Has every list know in which state a job is now; under the lock."""
        self._queue.moved(job)
        if job.ended:
            self._note_end(job)
        self.listeners.changed(job.id)

    def _note_end(self, job: Job) -> None:
        self._ended[job.id] = None
        while len(self._ended) > REMEMBERED:
            del self._jobs[self._ended.popitem(last=False)[0]]

    def pause(self, job: Job) -> None:
        """Holds a job where it stands; of no effect on one that is not going."""
        with self._lock:
            if job.state not in ("queued", "running"):
                return
            job.go("paused")
            self._moved(job)
            self._keep(job)
        self.stir()

    def resume(self, job: Job) -> None:
        """Lets a job go on; of no effect on one that is not paused."""
        with self._lock:
            if job.state != "paused":
                return
            job.resume()
            self._moved(job)
            self._keep(job)
        self.stir()

    def interrupt(self, job: Job) -> None:
        """Has a job end with what there is; of no effect on one that has ended, or that does so already."""
        with self._lock:
            if job.ended or job.interrupted:
                return
            job.interrupt()
            if job.state == "paused" and not job.complete:
                job.resume()
            self._moved(job)
            self._keep(job)
        self._end_complete(job)
        self.stir()

    def skip(self, job: Job, place: int | None) -> int | None:
        """Gives up a picture of a job, see `EngineFace.skip`."""
        with self._lock:
            picture = None if job.ended else job.to_skip(place)
            if picture is None:
                return None
            if picture.state != "skipped":
                job.skip(picture)
                self._moved(job)
                self._keep(job)
        self._end_complete(job)
        self.stir()
        return picture.index

    def _end_complete(self, job: Job) -> bool:
        """Ends a job of which nothing is left to be made; one without a picture is cancelled. Gives whether it did."""
        return job.complete and self.end(job, "done" if job.saved else "cancelled")

    def prioritise(self, job: Job, priority: int) -> None:
        with self._lock:
            if job.ended:
                return
            job.prioritise(priority)
            self._moved(job)
            self._keep(job)
        self.stir()

    def end(self, job: Job, state: JobState, error: str | None = None, later: bool = False) -> bool:
        """Ends a job here, at once; whoever makes a picture of it finds that out at its next call. One that goes on
        `later`, at the next start, stays as it was kept. False where it had ended before."""
        bare = job.request.without_pictures()
        with self._lock:
            if job.ended:
                return False
            job.end(state, error, bare, later)
            self._moved(job)
            if not later:
                self._keep(job)
        self.stir()
        return True

    def fail(self, job: Job, error: BaseException) -> None:
        if not isinstance(error, EaselError):
            log.error("job %s failed", job.id, exc_info=error, extra={"job": job.id})
        self.end(job, "failed", sentence(error))

    def give_up(self, why: str) -> None:
        """The engine cannot run: takes no more, and fails what is there; kept jobs wait for a better start."""
        self.failure = why
        for job in self.open():
            self.end(job, "failed", why, later=True)

    def claim(self) -> Picture | None:
        """The picture that a device is to begin now, from here on its own; None where there is none."""
        order = self.order()
        with self._lock:
            if self.closing.is_set():
                return None
            picture = self._solitary()
            if picture is None:
                picture = next_picture(self._queue.running(), order, self._capacity)
            elif picture.state != "waiting":
                return None
            if picture is None:
                return None
            job, queued = picture.job, picture.job.state == "queued"
            job.begin(picture)
            if queued:
                self._moved(job)
                self._keep(job)
            return picture

    def solitary(self) -> Picture | None:
        """The picture beside which nothing else runs now; None where there is none."""
        if not self._alone:
            return None
        with self._lock:
            return self._solitary()

    def _solitary(self) -> Picture | None:
        over = ("made", "skipped")
        self._alone = [p for p in self._alone if not (p.state in over or p.job.ended)]
        going = ("queued", "running")
        return next((picture for picture in self._alone if picture.job.state in going), None)

    # --- what is told of one ----------------------------------------------------------------------

    def stepped(self, picture: Picture, step: int, steps: int, known: bool = False) -> None:
        """A picture's call was answered: number `step` (from 0) of `steps`, where it counts them; `known`: from what
        was kept of an earlier start."""
        job = picture.job
        with self._lock:
            if job.ended or picture.state == "skipped":
                return
            if steps:
                job.step(picture, step, steps)
            job.stepped(picture, known)
        self.listeners.changed(job.id)

    def remark(self, job: Job, remark: str) -> None:
        """Something to say of a job until its next step."""
        self._change_of(job, partial(job.remark, remark))

    def progressed(self, picture: Picture, part: float, note: str) -> None:
        """A long call of a picture is at `part`, from 0 to 1."""
        self._change_of(picture.job, partial(picture.job.progressed, picture, part, note))

    def made(self, picture: Picture) -> bool:
        """A picture is finished; it is not on disk yet. False where it was given up before."""
        with self._lock:
            if picture.job.ended or picture.state != "making":
                return False
            picture.job.made(picture)
        self.listeners.changed(picture.job.id)
        return True

    def restart(self, picture: Picture) -> None:
        """A picture is made from its beginning."""
        self._change_of(picture.job, partial(picture.job.restart, picture))

    def saved(self, picture: Picture, saved: SavedPicture) -> bool:
        """A picture is on disk; the job is done with its last. Gives whether it is."""
        job = picture.job
        self._change_of(job, partial(job.keep_picture, picture, saved))
        return self._end_complete(job)

    def note(self, job: Job, note: str) -> None:
        """What a job waits for ("" for nothing)."""
        self._change_of(job, partial(job.note, note))

    def note_all(self, note: str) -> None:
        """What every job waits for ("" for nothing)."""
        with self._noting:  # two at once would leave some jobs with the one, some with the other
            with self._lock:
                self._note = note
            for job in self.open():
                self._change_of(job, partial(job.note_engine, note))

    @property
    def engine_note(self) -> str:
        return self._note

    def ask_oldest_paused(self) -> None:
        """There is no room for further logs of replies: whoever paused first is asked to decide."""
        paused = next((job for job in self.open() if job.state == "paused"), None)
        if paused is not None:
            self.note(paused, FULL)

    def _change_of(self, job: Job, change: Callable[[], None]) -> None:
        """Makes a change (ours: plain assignments) of a job that has not ended."""
        with self._lock:
            if job.ended:
                return
            change()
        self.listeners.changed(job.id)

    def _tell_places(self) -> float | None:
        """On the listeners' thread: tells the queued jobs whose place has changed; nobody waits for one while Easel
        stops. Gives in how many seconds there is more to tell."""
        if self._told == self._queue.change or self.closing.is_set():
            return None
        left = self._told_at + PLACES_S - time.monotonic()
        if left > 0:
            return left
        order = self.order()
        for job in order.jobs:
            place = order.places[job.id]
            if job.place != place:
                with self._lock:
                    if job.state == "queued":
                        job.tell_place(place)
                self.listeners.changed(job.id)
        self._told, self._told_at = order.change, time.monotonic()
        return None
