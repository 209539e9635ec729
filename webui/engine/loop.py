"""The loop in which every job's calls are made, on the thread that owns the device.

A turn is: take in what happened meanwhile, choose calls that may share a batch, make them, hand each
reply to its generator. A job is paused by not being advanced, and cancelled by closing its generators
between two turns.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

from webui.engine.fitting import too_large
from webui.engine.job import PictureRun
from webui.engine.jobs import AGAIN_S, LACKING, Jobs, Stopping
from webui.engine.memory import starved
from webui.engine.postprocessing import finished_picture
from webui.engine.replay import MISSING, OtherCall, Replay
from webui.engine.runner import Loading, Runner
from webui.engine.scheduler import Pending, batch_key, choose, row_count
from webui.engine.schedules import resolve
from webui.engine.studio import PictureStudio
from webui.errors import CapacityError, lacking
from webui.types import (
    Call,
    Condition,
    Denoise,
    EncodeText,
    Finished,
    LoadAdapters,
    LoadModel,
    LoadNetwork,
    LoadVae,
    Model,
    Parts,
    RunNetwork,
    SavedPicture,
)

__all__ = ["Loop"]

log = logging.getLogger(__name__)

# A picture, what another thread brings for it, and who hears of it when that failed.
Arrival = tuple[PictureRun, Callable[[], Any], Callable[[Exception], None] | None]
Held = tuple[float, PictureRun, Callable[[], None]]  # when a picture is tried again, and how
WAITING = object()  # in the place of a reply: a call is in somebody's hands
NO_MEMORY = "There is not enough memory to save a picture: this is tried once more"
SPACE_S = AGAIN_S  # how often it is tried again what the machine lacks something for


class Loop:
    """Turns until `jobs` is stopping. `rows` is how many rows a UNet call may have.

    `alone`: no two requests share a call. `save` puts a finished picture on disk, on the saving thread; `called` hears
    of each UNet call: the model's name, rows, seconds.
    `version` is that of the code that makes pictures, for logs of replies.
    """

    def __init__(
        self,
        jobs: Jobs,
        runner: Runner,
        parts: Parts,
        save: Callable[[Finished], SavedPicture],
        called: Callable[[str, int, float], None],
        loader: ThreadPoolExecutor,
        rows: int,
        alone: bool,
        version: str,
    ) -> None:
        self._jobs = jobs
        self._queue = jobs.queue
        self._runner = runner
        self._parts = parts
        self._write = save
        self._called = called
        self._loader = loader
        self._rows = rows
        self._alone = alone
        self._version = version
        self._arrived: deque[Arrival] = deque()
        self._turn = 0
        self._owners: dict[str, int] = {}  # the turn at which a call of theirs was last made
        self.making: tuple[str, float] | None = None  # the calls that are being made, since when
        self._full = False  # the disk is: nothing goes on before there is space
        self._held: list[Held] = []

    def run(self) -> None:
        """Until `jobs` is stopping; the running call is finished."""
        with torch.inference_mode():
            while batch := self._next_batch():
                for run, reply in zip(batch, self._answers(batch), strict=True):
                    if reply is not WAITING:
                        self._advance(run, reply)

    def settle(self) -> None:
        """After the last turn: notes what the saving thread has brought since."""
        while self._arrived:
            run, bring, failed = self._arrived.popleft()
            if run.made and not run.job.ended:
                self._receive(run, bring, failed)

    # --- a turn -----------------------------------------------------------------------------------

    def _next_batch(self) -> list[PictureRun]:
        """Waits until there is something to do; an empty list when the engine stops."""
        changed = self._jobs.changed
        with changed:
            while True:
                self._take_in()
                if self._jobs.stopping:
                    return []
                running = () if self._full else self._queue.running()
                waiting = [run for job in running for run in job.runs if run.call is not None]
                if solitary := self._jobs.solitary():
                    waiting = [run for run in waiting if run is solitary]
                if waiting:
                    return self._chosen(waiting)
                # What was brought while pictures were started is not told again.
                if not self._arrived:
                    due = min((when for when, _, _ in self._held), default=None)
                    changed.wait(None if due is None else max(0.0, due - time.monotonic()))

    def _chosen(self, waiting: list[PictureRun]) -> list[PictureRun]:
        self._turn += 1
        pending = [self._pending(run) for run in waiting]
        batch = [waiting[i] for i in choose(pending, self._rows, self._turn)]
        for run in batch:
            run.job.served = self._owners[run.job.owner] = self._turn
        return batch

    def _pending(self, run: PictureRun) -> Pending:
        assert run.call is not None
        job, model = run.job, getattr(run.call, "model", None)
        return Pending(
            None if self._alone else batch_key(run.call),
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
        for job in self._queue.open():
            if job.cancelled:
                self._jobs.end(job, "cancelled")
        while self._arrived:
            run, bring, failed = self._arrived.popleft()
            if not run.job.ended:
                self._receive(run, bring, failed)
        self._try_held()
        while not (self._jobs.stopping or self._full):
            solitary = self._jobs.solitary()
            fresh = self._queue.next_to_start() if solitary is None else solitary
            if fresh is None or (fresh is solitary and (fresh.task is not None or fresh.held)):
                return
            if fresh.job.state == "queued":
                self._jobs.begin(fresh.job)
            self._begin(fresh)

    def _answers(self, batch: list[PictureRun]) -> list[Any]:
        """The replies, an exception in the place of each that failed, `WAITING` where there is more to be done: of a
        long text a turn encodes a slice, and others' calls are made in between.

        A batch that fails is made again call by call, so that one job's fault is not another's.
        """
        calls = [run.call for run in batch if run.call is not None]
        rows = sum(map(row_count, calls))
        self.making = (f"{type(calls[0]).__name__}, {rows} rows", time.monotonic())
        witness = self._jobs.witness
        witness.enter_pictures(*(run.mark for run in batch))
        try:
            if isinstance(calls[0], EncodeText):
                return [self._encoded(batch[0], calls[0])]
            replies = self._runner.run(calls)
            if isinstance(calls[0], Denoise):
                self._called(calls[0].model.name, rows, time.monotonic() - self.making[1])
            return replies
        except Exception as error:  # the boundary: what fails here is a job's, never the loop's
            if len(calls) == 1:
                return [self._once_more(batch[0], calls[0], error)]
            log.warning("a batch of %d calls failed (%s): one by one", len(calls), error)
        finally:
            witness.leave()
            self.making = None
        return [self._answers([run])[0] for run in batch]

    def _encoded(self, run: PictureRun, call: EncodeText) -> Any:
        begun, run.encoding = run.encoding, None
        encoding = self._runner.encode_on(call, begun)
        if encoding.text is None:
            run.encoding = encoding
            return WAITING
        return Condition(call.model, encoding.text)

    def _once_more(self, run: PictureRun, call: Call, error: Exception) -> Any:
        """The reply to a call for which the memory did not suffice, now that it has all there is; or why not."""
        if not starved(error):
            return error
        model = getattr(call, "model", None)
        try:
            self._runner.put_away(model)
            log.warning("job %s: %s; once more, with all the memory there is", run.job.id, error)
            return self._runner.run([call])[0]
        except Exception as again:  # the boundary, as above
            if not starved(again):
                return again
        self._runner.put_away(model)
        return too_large(self._runner, call)

    # --- a picture --------------------------------------------------------------------------------

    def _begin(self, run: PictureRun) -> None:
        """Starts a picture's task, on the replies of an earlier start where there are any."""
        job, placement = run.job, self._runner.placement
        if self._jobs.persistence is not None:
            header = {
                "version": self._version,
                "device": f"{placement.device.type} {placement.dtype_name}",
                "picture": run.index,
            }
            replies = self._jobs.persistence.replies(job.id, run.index)
            try:
                run.replay = Replay(replies, header, placement.device)
            except OSError as fault:
                if lacking(fault) == "files":  # what it has is not given up for that
                    self._hold(run, fault, lambda: self._begin(run))
                    return
                log.warning(
                    "job %s: its replies are not kept: %s", job.id, fault, extra={"job": job.id}
                )
                replies.remove()
        studio = PictureStudio(job.request, run.index, self._parts, placement.device)
        run.task = finished_picture(job.request, studio, self._parts)
        self._advance(run, None)

    def _advance(self, run: PictureRun, reply: Any) -> None:
        """Hands a reply, or why there is none, to a picture's generator and puts its next call where it will be
        answered; what is known already (a resident model, a recorded reply) is answered at once."""
        call, run.call = run.call, None
        if run.task is None:  # ended meanwhile
            return
        if isinstance(reply, Exception):
            self._failed(
                run, reply, lambda: self._ask_again(run, call), partial(self._go_on, run, call)
            )
            return
        if call is not None:
            self._keep(run, Replay.record, call, reply)
        self._go_on(run, call, reply)

    def _go_on(self, run: PictureRun, call: Call | None, reply: Any) -> None:
        """Has a picture's task go on from `reply`, an exception where its call failed, until a call of it is in
        somebody's hands."""
        self._jobs.witness.enter_pictures(run.mark)
        try:
            self._drive(run, call, reply)
        finally:
            self._jobs.witness.leave()

    def _drive(self, run: PictureRun, call: Call | None, reply: Any) -> None:
        while reply is not WAITING and run.task is not None:
            failed = isinstance(reply, Exception)
            if isinstance(call, Denoise | RunNetwork) and not failed:
                self._saw(run, call, reply)
            try:
                run.answered += 1
                call = run.task.throw(reply) if failed else run.task.send(reply)
            except StopIteration as stop:
                self._finish(run, stop.value)
                return
            except Exception as error:  # the boundary: a task's fault is its job's
                self._failed(
                    run, error, lambda: self._restart(run), partial(self._jobs.fail, run.job)
                )
                return
            except BaseException as error:  # one that means to end a thread ends its job alone
                self._jobs.fail(run.job, RuntimeError(f"{type(error).__name__}: {error}"))
                return
            reply = self._asked(run, call)

    def _asked(self, run: PictureRun, call: Call) -> Any:
        """As `_known`; an exception in the place of a reply that cannot be had."""
        try:
            return self._known(run, call)
        except Exception as error:  # the boundary, as of a call that fails when it is made
            if lacking(error) and not self._jobs.stopping:
                self._hold(run, error, lambda: self._go_on(run, call, self._asked(run, call)))
                return WAITING
            return error

    # --- what does not work, and may in a while ---------------------------------------------------

    def _failed(
        self,
        run: PictureRun,
        error: Exception,
        again: Callable[[], None],
        in_vain: Callable[[Exception], None],
    ) -> None:
        """A picture cannot go on. What the machine lacks for now is waited for, and `again` tried; for want of memory
        once, with other models put away; everything else is `in_vain`."""
        if run.job.ended:
            return
        if lacking(error) and not self._jobs.stopping:
            self._hold(run, error, again)
        elif starved(error) and not run.starved and not isinstance(error, CapacityError):
            run.starved = True
            log.warning("job %s: %s; once more, with all the memory there is", run.job.id, error)
            self._runner.put_away(run.model)
            again()
        elif starved(error) and not isinstance(error, CapacityError):
            log.error("job %s", run.job.id, exc_info=error, extra={"job": run.job.id})
            in_vain(too_large(self._runner, None))
        else:
            in_vain(error)

    def _hold(self, run: PictureRun, error: Exception, again: Callable[[], None]) -> None:
        """Waits with a picture for what is lacking; its job is told."""
        lack = lacking(error)
        assert lack
        job = run.job
        log.warning("job %s waits: %s", job.id, error, extra={"job": job.id})
        run.held = True
        self._held.append((time.monotonic() + SPACE_S, run, again))
        self._jobs.note_job(job, LACKING[lack])

    def _try_held(self) -> None:
        """Goes on with those that have waited long enough."""
        if not self._held:
            return
        now = time.monotonic()
        going = [one for one in self._held if not one[1].job.ended]
        due = [one for one in going if one[0] <= now]
        self._held = [one for one in going if one[0] > now]
        for when, run, again in due:
            if run.job.state == "paused":
                self._held.append((when + SPACE_S, run, again))
                continue
            run.held = False
            self._jobs.note_job(run.job, "")
            again()

    def _ask_again(self, run: PictureRun, call: Call | None) -> None:
        """Puts a call that could not be made back among those that wait."""
        with self._jobs.changed:
            run.call, run.since = call, self._turn

    def _restart(self, run: PictureRun) -> None:
        """A picture's task anew, on the replies that it has had."""
        run.close()
        run.replay, run.step, run.answered = None, 0, 0
        self._begin(run)

    # --- calls that others make, or that need not be made -----------------------------------------

    def _known(self, run: PictureRun, call: Call) -> Any:
        """The reply to a call if it need not be made, else `WAITING`: the call is then in somebody's hands."""
        try:
            reply = MISSING if run.replay is None else run.replay.recall(call)
            if reply is not MISSING:
                return reply
            if isinstance(call, Loading):
                loaded = self._runner.resident(call)
                if loaded is None:
                    self._load(run, call)
                    return WAITING
                self._noted(run, loaded)
                return loaded
        except OtherCall as why:
            self._start_over(run, str(why))
            return WAITING
        with self._jobs.changed:
            run.call, run.since = call, self._turn
        return WAITING

    def _load(self, run: PictureRun, call: Loading) -> None:
        what = name_of(call)
        self._jobs.note_job(run.job, f"Loading {what}")
        told = 0

        def progress(part: float) -> None:
            """On the loading thread."""
            nonlocal told
            self._jobs.go_on()
            percent = int(part * 10) * 10
            if percent > told:
                told = percent
                self._jobs.note_job(run.job, f"Loading {what}, {percent} %")

        def load() -> Any:
            self._jobs.witness.enter_pictures(run.mark)
            try:
                return self._runner.load(call, progress)
            finally:
                self._jobs.witness.leave()

        def failed(error: Exception) -> None:
            self._jobs.note_job(run.job, "")
            again = partial(self._load, run, call)
            self._failed(run, error, again, partial(self._go_on, run, call))

        future = self._loader.submit(load)
        future.add_done_callback(lambda done: self._arrive(run, done.result, failed))

    def _noted(self, run: PictureRun, loaded: object) -> None:
        """Which model a picture is made with; raises `OtherCall` where it was begun with another."""
        if isinstance(loaded, Model):
            run.model = loaded
            self._keep(run, Replay.model, loaded)

    def _keep(self, run: PictureRun, note: Callable[..., None], *said: Any) -> None:
        """Adds to a picture's log, where it has one: `note` is a method of `Replay`, `said` what it is told."""
        if run.replay is None:
            return
        try:
            note(run.replay, *said)
        except OSError as fault:
            # A full disk, or all that logs may take: the picture goes on, but would start over after a crash.
            job = run.job.id
            log.warning(
                "job %s: its replies are no longer kept: %s", job, fault, extra={"job": job}
            )
            run.replay.remove()
            run.replay = None
            self._jobs.ask_oldest_paused()

    def _start_over(self, run: PictureRun, why: str) -> None:
        """What was recorded is not what is asked now: the picture is made from its beginning."""
        job = run.job.id
        log.warning("job %s, picture %d starts over: %s", job, run.index, why, extra={"job": job})
        assert run.replay is not None
        run.replay.remove()
        run.close()
        run.replay, run.step, run.answered = None, 0, 0
        self._jobs.note_job(run.job, "Starts over: something it is made with has changed")
        self._begin(run)

    def _saw(self, run: PictureRun, call: Denoise | RunNetwork, reply: Any) -> None:
        job = run.job
        with self._jobs.changed:
            run.saw(call, reply)
            job.sampling_s = job.sampling_s or time.monotonic()
            self._jobs.tell(job, "step", picture=run.index, step=run.step, steps=run.steps)

    # --- what other threads bring -----------------------------------------------------------------

    def _arrive(
        self,
        run: PictureRun,
        bring: Callable[[], Any],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        with self._jobs.changed:
            self._arrived.append((run, bring, failed))
            self._jobs.changed.notify_all()

    def _receive(
        self,
        run: PictureRun,
        bring: Callable[[], Any],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """On the loop's thread: what another thread brought, or why it could not, which `failed` hears of."""
        try:
            brought = bring()
        except Stopping:  # the job goes on at the next start
            return
        except Exception as error:  # the boundary: loading and saving fail their own job
            (failed or partial(self._jobs.fail, run.job))(error)
            return
        except BaseException as error:  # one that means to end a thread ends its job alone
            self._jobs.fail(run.job, RuntimeError(f"{type(error).__name__}: {error}"))
            return
        if isinstance(brought, SavedPicture):
            self._saved(run, brought)
            return
        self._jobs.note_job(run.job, "")
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
        picture, notes, warnings = result
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
            warnings=warnings,
        )
        run.made = True
        future = self._jobs.saver.submit(self._save, finished, run.mark)
        future.add_done_callback(
            lambda done: self._arrive(run, done.result, partial(self._unsaved, run))
        )

    def _unsaved(self, run: PictureRun, error: Exception) -> None:
        """A finished picture could not be saved. What is lacking when Easel stops may be there at the next start."""
        if lacking(error) and self._jobs.stopping:
            return
        self._jobs.fail(run.job, too_large(self._runner, None) if starved(error) else error)

    def _save(self, finished: Finished, mark: tuple[str, int, int]) -> SavedPicture:
        """On the saving thread. What the machine lacks for now holds everything up: no picture is lost."""
        jobs, poor = self._jobs, False
        jobs.witness.enter_pictures(mark)
        try:
            while True:
                try:
                    saved = self._write(finished)
                    break
                except Exception as fault:  # the boundary: what stays is told where it arrives
                    lack = lacking(fault)
                    if jobs.stopping or not (lack or (starved(fault) and not poor)):
                        raise
                    poor = poor or not lack
                    log.warning("job %s: %s; once more in a while", finished.job, fault)
                    self._full = True
                    jobs.note_all(LACKING[lack] if lack else NO_MEMORY)
                    with jobs.changed:
                        jobs.changed.wait_for(lambda: jobs.stopping, SPACE_S)
        finally:
            jobs.witness.leave()
            if self._full:
                self._full = False
                jobs.note_all("")
        jobs.keep_rest()
        return saved

    def _saved(self, run: PictureRun, saved: SavedPicture) -> None:
        job = run.job
        run.latest = None
        if run.replay is not None:
            run.replay.remove()
            run.replay = None
        job.saved[run.index] = saved
        self._jobs.tell(job, "saved", picture=run.index, seed=saved.seed)
        if len(job.saved) == len(job.runs):
            self._jobs.end(job, "done")
            made = f"{self._runner.calls} UNet calls with {self._runner.rows} rows so far"
            log.info("job %s: %s; %s", job.id, job.summary(), made, extra={"job": job.id})


def name_of(call: Loading) -> str:
    """What is being loaded, as people are told."""
    match call:
        case LoadAdapters():
            names = [name for name, _, _ in call.wanted]
            return ", ".join([*names, *(name for name, _ in call.hypernetworks)])
        case LoadNetwork():
            return f"model {os.path.basename(call.key)}"
        case LoadVae():
            return f"VAE {call.name}"
    return f"model {call.name}"
