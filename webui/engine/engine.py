"""The engine: owns the loop in which every job's calls are made.

A turn is: take in what happened meanwhile, choose calls that may share a batch, make them, hand each
reply to its generator. A job is paused by not being advanced, and cancelled by closing its generators
between two turns. Three kinds of threads: the loop (owns the device), one that loads models, one that
saves pictures. Everything that is shared is changed under one lock.

torch is imported on the loop's thread, so that whoever starts the engine can answer at once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from webui.engine.job import Job, PictureRun
from webui.engine.queue import Queue
from webui.engine.scheduler import Pending, batch_key, choose, row_count
from webui.engine.schedules import resolve
from webui.errors import EaselError
from webui.types import (
    Call,
    Denoise,
    Finished,
    GenerationRequest,
    JobStatus,
    LoadModel,
    LoadNetwork,
    Model,
    ModelCard,
    Network,
    Parts,
    RunNetwork,
    SavedPicture,
)
from webui.types.kept import Keeper

if TYPE_CHECKING:
    from PIL.Image import Image

    from webui.engine.runner import Runner

__all__ = ["Engine", "EngineOptions"]

log = logging.getLogger(__name__)

WAITING = object()  # in the place of a reply: a call is in somebody's hands
ROWS = 16  # of one UNet call: eight pictures with guidance


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine runs on; "auto" lets it choose.

    `deterministic` gives a picture the same bits whatever runs beside it: no two requests share a call.
    """

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    deterministic: bool = False


class Engine:
    """See `webui.types.EngineFace` for what the faces use. `start` before, `stop` after.

    `save` puts a finished picture on disk; then `saved` hears of it, with the request without its pictures
    (both on the saving thread). `change` is what becomes of a request when it is accepted. With a `keeper` jobs
    outlive the process: those that had not ended go on, each picture from where it stood, as long as `version`
    (of the code that makes pictures, extensions' too) is what it was.
    """

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        parts: Parts,
        save: Callable[[Finished], SavedPicture],
        options: EngineOptions,
        change: Callable[[GenerationRequest], GenerationRequest] = lambda request: request,
        saved: Callable[[SavedPicture, GenerationRequest], None] = lambda picture, request: None,
        keeper: Keeper | None = None,
        version: str = "",
    ) -> None:
        self.models = list_models
        self._parts = parts
        self._write = save
        self._options = options
        self._change = change
        self._heard = saved
        self._keeper = keeper
        self._version = version
        self._changed = threading.Condition(threading.RLock())
        self._jobs = Queue(ROWS)
        self._arrived: deque[tuple[PictureRun, Callable[[], Any]]] = deque()
        self._turn = 0
        self._owners: dict[str, int] = {}  # the turn at which a call of theirs was last made
        self._stopping = False
        self._note = "Starting"
        self._failure: str | None = None  # why the engine cannot run at all
        self._runner: Runner | None = None
        self._loop = threading.Thread(target=self._run, name="easel-engine", daemon=True)
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="easel-loader")
        self._saver = ThreadPoolExecutor(1, thread_name_prefix="easel-saver")

    # --- what faces call, from any thread ---------------------------------------------------------

    def start(self) -> None:
        """Takes up the jobs that were kept, and starts the loop; torch is loaded meanwhile."""
        for kept in self._keeper.unfinished() if self._keeper else ():
            job = Job.restored(kept)
            self._jobs.add(job)
            if all(run.made for run in job.runs):  # it ended before its last change was kept
                self._end(job, "done")
        self._loop.start()

    def stop(self) -> None:
        """Finishes the running call and the saving of finished pictures. What is left goes on at the next start
        where a keeper has it, else it is cancelled."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._loop.is_alive():
            self._loop.join()
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._saver.shutdown(wait=True)
        with self._changed:
            rest = "it goes on at the next start" if self._keeper else "before this was finished"
            for job in self._jobs.open():
                self._end(job, "cancelled", f"Easel was stopped: {rest}", told=False)

    def submit(
        self,
        request: GenerationRequest,
        owner: str = "",
        priority: int = 0,
        key: str | None = None,
    ) -> str:
        request = self._change(request)
        job = Job(uuid.uuid4().hex[:12], request, owner, priority)
        if self._keeper is not None and not (self._stopping or self._failure):
            known = self._keeper.accept(job.kept(), key)
            if known != job.id:
                return known
        with self._changed:
            if self._stopping:
                raise EaselError("Easel is stopping and takes no more requests")
            if self._failure:
                raise EaselError(self._failure)
            self._jobs.add(job)
            self._changed.notify_all()
            return job.id

    def status(self, job_id: str) -> JobStatus:
        with self._changed:
            return self._status(self._jobs[job_id])

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        with self._changed:
            job = self._jobs[job_id]
            self._changed.wait_for(lambda: job.version > after or job.ended, timeout_s)
            return self._status(job)

    def cancel(self, job_id: str) -> None:
        with self._changed:
            job = self._jobs[job_id]
            job.cancelled = True
            self._changed.notify_all()

    def pause(self, job_id: str) -> None:
        with self._changed:
            job = self._jobs[job_id]
            if job.state in ("queued", "running"):
                job.state = "paused"
                self._keep(job)
                self._bump(job)

    def resume(self, job_id: str) -> None:
        with self._changed:
            job = self._jobs[job_id]
            if job.state == "paused":
                job.state = "running" if job.started_s else "queued"
                self._keep(job)
                self._bump(job)

    def prioritise(self, job_id: str, priority: int) -> None:
        with self._changed:
            job = self._jobs[job_id]
            job.priority = priority
            self._keep(job)
            for other in self._jobs.open():  # positions change
                self._bump(other)

    def jobs(self) -> Sequence[JobStatus]:
        with self._changed:
            return [self._status(job) for job in self._jobs]

    def preview(self, job_id: str) -> Image | None:
        with self._changed:
            runs = [r for r in self._jobs[job_id].runs if r.latest is not None]
            if not runs or self._runner is None or runs[0].model is None:
                return None
            run, latent, model = runs[0], runs[0].latest, runs[0].model
        request = run.job.request
        networks = self._runner.networks(model)
        picture: Image = networks.preview.picture(latent, request.width, request.height)
        return picture

    def describe(self) -> Mapping[str, str]:
        runner = self._runner
        if runner is None:
            state = self._failure or self._note
            return MappingProxyType({k: state for k in ("device", "dtype", "attention")})
        place = runner.placement
        attention = place.attention
        return MappingProxyType(
            {
                "device": f"{place.device} ({place.device_reason})",
                "dtype": f"{place.dtype_name} ({place.dtype_reason})",
                "attention": f"{attention.name} ({attention.reason})",
                "calls": f"{runner.calls} UNet calls with {runner.rows} rows so far",
            }
        )

    # --- the loop ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._begin()
        except Exception as error:  # the boundary: without a device there is nothing to run
            log.exception("the engine could not start")
            with self._changed:
                self._failure = f"The engine could not start: {_sentence(error)}"
                for job in self._jobs.open():
                    self._end(job, "failed", self._failure)
            return
        import torch

        with torch.inference_mode():
            while batch := self._next_batch():
                for run, reply in zip(batch, self._answers(batch), strict=True):
                    self._advance(run, reply)

    def _begin(self) -> None:
        self._tell("Loading PyTorch")
        from webui.engine.placement import place
        from webui.engine.runner import Runner

        options = self._options
        placement = place(options.device, options.dtype, options.attention)
        self._runner = Runner(self.models, placement)
        first = next((card.name for card in self.models() if card.problem is None), None)
        if (
            first is not None
        ):  # so that the first request finds it; a fault is told to who asks for it
            self._loader.submit(self._runner.load, LoadModel(first))
        self._tell("")
        log.info("engine ready: %s", dict(self.describe()))

    def _tell(self, note: str) -> None:
        with self._changed:
            self._note = note
            for job in self._jobs.open():
                job.version += 1
            self._changed.notify_all()

    def _next_batch(self) -> list[PictureRun]:
        """Waits until there is something to do; an empty list when the engine stops."""
        with self._changed:
            while True:
                self._take_in()
                if self._stopping:
                    return []
                waiting = [
                    run for job in self._jobs.running() for run in job.runs if run.call is not None
                ]
                pending = [self._pending(run) for run in waiting]
                if pending:
                    self._turn += 1
                    batch = [waiting[i] for i in choose(pending, ROWS, self._turn)]
                    for run in batch:
                        run.job.served = self._owners[run.job.owner] = self._turn
                    return batch
                if (
                    not self._arrived
                ):  # what was brought while pictures were started is not told again
                    self._changed.wait()

    def _pending(self, run: PictureRun) -> Pending:
        assert run.call is not None and self._runner is not None
        key = None if self._options.deterministic else batch_key(run.call)
        job, model = run.job, getattr(run.call, "model", None)
        return Pending(
            key,
            row_count(run.call),
            run.since,
            owner=job.owner,
            job=job.id,
            owner_served=self._owners.get(job.owner, 0),
            job_served=job.served,
            warm=model is None or self._runner.resident(LoadModel(model.name)) is not None,
        )

    def _take_in(self) -> None:
        """Cancels what is to be cancelled, hands over what other threads brought, starts pictures."""
        for job in self._jobs.open():
            if job.cancelled:
                self._end(job, "cancelled")
        while self._arrived:
            run, bring = self._arrived.popleft()
            if not run.job.ended:
                self._receive(run, bring)
        while not self._stopping and (fresh := self._jobs.next_to_start()) is not None:
            self._begin_picture(fresh)

    def _begin_picture(self, run: PictureRun) -> None:
        from webui.engine.finishing import finished_picture
        from webui.engine.replay import Replay
        from webui.engine.studio import PictureStudio

        assert self._runner is not None
        job, request = run.job, run.job.request
        if job.state == "queued":
            job.state, job.started_s = "running", time.monotonic()
            self._keep(job)
            self._bump(job)
        placement = self._runner.placement
        if self._keeper is not None:
            header = {
                "version": self._version,
                "device": f"{placement.device.type} {placement.dtype_name}",
                "picture": run.index,
            }
            log_ = self._keeper.replies(job.id, run.index)
            run.replay = Replay(log_, header, placement.device)
        studio = PictureStudio(request, run.index, self._parts, placement.device)
        run.task = finished_picture(request, studio, self._parts)
        self._advance(run, None)

    def _answers(self, batch: list[PictureRun]) -> list[Any]:
        """The replies, an exception in the place of each that failed.

        A batch that fails is made again call by call, so that one job's fault is not another's.
        """
        assert self._runner is not None
        calls = [run.call for run in batch if run.call is not None]
        try:
            return self._runner.run(calls)
        except Exception as error:  # the boundary: what fails here is a job's, never the loop's
            if len(calls) == 1:
                return [error]
            log.warning("a batch of %d calls failed (%s): one by one", len(calls), error)
        return [self._answers([run])[0] for run in batch]

    def _advance(self, run: PictureRun, reply: Any) -> None:
        """Hands a reply to a picture's generator and puts its next call where it will be answered; what is
        known already (a resident model, a recorded reply) is answered at once."""
        call, run.call = run.call, None
        if run.task is None:  # ended meanwhile
            return
        if isinstance(reply, Exception):
            self._fail(run.job, reply)
            return
        if call is not None:
            self._record(run, call, reply)
        while reply is not WAITING:
            if isinstance(call, Denoise | RunNetwork):
                self._saw(run, call, reply)
            try:
                call = run.task.send(reply)
                reply = self._known(run, call)
            except StopIteration as stop:
                self._finish(run, stop.value)
                return
            except Exception as error:  # the boundary: a task's fault is its job's
                self._fail(run.job, error)
                return

    def _known(self, run: PictureRun, call: Call) -> Any:
        """The reply to a call if it need not be made, else `WAITING`: the call is then in somebody's hands."""
        from webui.engine.replay import MISSING, OtherCall

        assert self._runner is not None
        try:
            reply = MISSING if run.replay is None else run.replay.recall(call)
            if reply is not MISSING:
                return reply
            if isinstance(call, LoadModel | LoadNetwork):
                loaded = self._runner.resident(call)
                if loaded is None:
                    self._load(run, call)
                    return WAITING
                self._noted(run, loaded)
                return loaded
        except OtherCall as why:
            self._start_over(run, str(why))
            return WAITING
        with self._changed:
            run.call, run.since = call, self._turn
        return WAITING

    def _load(self, run: PictureRun, call: LoadModel | LoadNetwork) -> None:
        assert self._runner is not None
        what = call.name if isinstance(call, LoadModel) else os.path.basename(call.key)
        self._note_job(run.job, f"Loading model {what}")
        future = self._loader.submit(self._runner.load, call)
        future.add_done_callback(lambda done: self._arrive(run, done.result))

    def _noted(self, run: PictureRun, loaded: Model | Network) -> None:
        """Which model a picture is made with; raises `OtherCall` where it was begun with another."""
        if isinstance(loaded, Model):
            run.model = loaded
            if run.replay is not None:
                run.replay.model(loaded)

    def _record(self, run: PictureRun, call: Call, reply: Any) -> None:
        if run.replay is None:
            return
        try:
            run.replay.record(call, reply)
        except (
            OSError
        ) as fault:  # a full disk: the picture goes on, but would start over after a crash
            log.warning("job %s: its replies are no longer kept: %s", run.job.id, fault)
            run.replay.close()
            run.replay = None

    def _start_over(self, run: PictureRun, why: str) -> None:
        """What was recorded is not what is asked now: the picture is made from its beginning."""
        log.warning("job %s, picture %d starts over: %s", run.job.id, run.index, why)
        assert run.replay is not None
        run.replay.remove()
        run.close()
        self._note_job(run.job, "Starts over: something it is made with has changed")
        self._begin_picture(run)

    def _saw(self, run: PictureRun, call: Denoise | RunNetwork, reply: Any) -> None:
        with self._changed:
            run.saw(call, reply)
            if not run.job.sampling_s:
                run.job.sampling_s = time.monotonic()
            self._bump(run.job)

    def _arrive(self, run: PictureRun, bring: Callable[[], Any]) -> None:
        with self._changed:
            self._arrived.append((run, bring))
            self._changed.notify_all()

    def _receive(self, run: PictureRun, bring: Callable[[], Any]) -> None:
        """On the loop's thread: what another thread brought, or why it could not."""
        try:
            brought = bring()
        except Exception as error:  # the boundary: loading and saving fail their own job
            self._fail(run.job, error)
            return
        if isinstance(brought, SavedPicture):
            self._saved(run, brought)
            return
        from webui.engine.replay import OtherCall

        self._note_job(run.job, "")
        try:
            self._noted(run, brought)
        except OtherCall as why:
            self._start_over(run, str(why))
        else:
            self._advance(run, brought)

    def _finish(self, run: PictureRun, result: Any) -> None:
        """A picture is finished: off to be saved."""
        job, request = run.job, run.job.request
        run.task = None
        picture, notes = result
        sampler = self._parts.samplers[request.sampler_name]
        finished = Finished(
            job=job.id,
            request=request,
            index=run.index,
            seed=request.seed_of(run.index),
            picture=picture,
            model=run.model,
            scheduler=resolve(request.scheduler, sampler, self._parts.schedules).name,
            seconds=job.seconds(),
            sampled=run.sampled,
            notes=notes,
        )
        run.made = True
        future = self._saver.submit(self._save, finished)
        future.add_done_callback(lambda done: self._arrive(run, done.result))

    def _save(self, finished: Finished) -> SavedPicture:
        saved = self._write(finished)
        self._heard(saved, finished.request.without_pictures())
        return saved

    def _saved(self, run: PictureRun, saved: SavedPicture) -> None:
        job = run.job
        run.latest = None
        if run.replay is not None:
            run.replay.remove()
        job.saved[run.index] = saved
        if len(job.saved) == len(job.runs):
            self._end(job, "done")
            log.info("job %s: %s; %s", job.id, job.summary(), self.describe()["calls"])
        else:
            self._bump(job)

    # --- a job's state ----------------------------------------------------------------------------

    def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, EaselError):
            log.error("job %s failed", job.id, exc_info=error)
        with self._changed:
            if not job.ended:
                self._end(job, "failed", _sentence(error))

    def _end(self, job: Job, state: Any, error: str | None = None, told: bool = True) -> None:
        """Ends a job; `told` unless the keeper is to take it up again."""
        job.state, job.error, job.note = state, error, ""
        job.ended_s = time.monotonic()
        job.request = job.request.without_pictures()  # its status is told for long
        for run in job.runs:
            run.close()
            if run.replay is not None and told:
                run.replay.remove()
        if told:
            self._keep(job)
        self._bump(job)

    def _keep(self, job: Job) -> None:
        """Has the keeper know a job's state, in order and without holding up the loop."""
        if self._keeper is None:
            return
        with suppress(RuntimeError):  # the saving thread has ended with the engine
            self._saver.submit(self._kept, job.id, job.state, job.priority, job.error)

    def _kept(self, *change: Any) -> None:
        assert self._keeper is not None
        try:
            self._keeper.changed(*change)
        except EaselError as error:  # the job goes on; after a crash it would be taken up as it was
            log.error("job %s: its state is not kept: %s", change[0], error)

    def _note_job(self, job: Job, note: str) -> None:
        with self._changed:
            job.note = note
            self._bump(job)

    def _bump(self, job: Job) -> None:
        with self._changed:
            job.version += 1
            self._changed.notify_all()

    def _status(self, job: Job) -> JobStatus:
        return job.status(self._jobs.position(job), "" if job.ended else self._note)


def _sentence(error: BaseException) -> str:
    """What to show of an error: its own sentence if it was raised on purpose, else its kind as well."""
    if isinstance(error, EaselError):
        return str(error)
    return f"internal error ({type(error).__name__}: {error}); the log has more"
