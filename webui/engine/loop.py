"""The loop in which every job's calls are made, on the thread that owns a device.

A turn is: take in what happened meanwhile, choose calls that may share a batch, make them, hand each
reply to its generator. A job is paused by not being advanced, and cancelled by closing its generators
between two turns. No lock is held meanwhile: a task, an extension or a log of replies holds up the pictures of this
device and nobody else.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import torch

from webui.engine import faults
from webui.engine.calls import InProgress, batch_key, row_count, size_key
from webui.engine.faults import as_exception
from webui.engine.fitting import too_large
from webui.engine.memory import starved
from webui.engine.picture_run import WAITING, PictureRun
from webui.engine.scheduler import Pending, choose
from webui.engine.workbench import Workbench
from webui.types import Call, Denoise

__all__ = ["Loop"]

log = logging.getLogger(__name__)


class Loop:
    """Turns until the jobs say stop. `rows` is how many rows a UNet call may have.

    `alone`: no two requests share a call.
    """

    def __init__(self, bench: Workbench, rows: int, alone: bool) -> None:
        self._bench = bench
        self._jobs = bench.context.jobs
        self._saver = bench.context.saver
        self._fairness = bench.context.jobs.fairness
        self._runner = bench.runner
        self._rows = rows
        self._alone = alone
        self._runs: list[PictureRun] = []  # the pictures that are made here
        self.making: tuple[str, float] | None = None  # the calls that are being made, since when
        self._jobs.add_device(bench.news.set)

    def run(self) -> None:
        """Until the jobs say stop; the running call is finished."""
        with torch.inference_mode():
            while batch := self._next_batch():
                answered = list(zip(batch, self._answers(batch), strict=True))
                self._bench.recorder.record(
                    [note for run, reply in answered if (note := run.received(reply))]
                )
                for run, reply in answered:
                    if reply is not WAITING:
                        run.advance(reply)

    def settle(self) -> None:
        """After the last turn: notes what the saving thread has brought since."""
        self._receive()

    def close(self) -> None:
        """After the last turn: ends what is left where it stands; what was received is on disk then."""
        for run in self._runs:
            run.leave()
        self._bench.recorder.close()

    # --- a turn -----------------------------------------------------------------------------------

    def _next_batch(self) -> list[PictureRun]:
        """Waits until there is something to do; an empty list when the engine stops."""
        news = self._bench.news
        while True:
            news.clear()  # first: what comes while this looks is looked at again
            self._take_in()
            if self._jobs.closing.is_set():
                return []
            if waiting := self._waiting():
                if batch := [run for run in self._chosen(waiting) if not run.fetch()]:
                    return batch
                continue
            due = min((held.when for held in self._bench.held), default=None)
            news.wait(None if due is None else max(0.0, due - time.monotonic()))

    def _waiting(self) -> list[PictureRun]:
        """The pictures whose calls may be made now."""
        if self._saver.full:
            return []
        waiting = [
            run
            for run in self._runs
            if run.call is not None and run.job.state == "running" and not run.over
        ]
        if solitary := self._jobs.solitary():
            waiting = [run for run in waiting if run.picture is solitary]
        return waiting

    def _chosen(self, waiting: list[PictureRun]) -> list[PictureRun]:
        good: list[PictureRun] = []
        pending: list[Pending] = []
        for run in waiting:
            try:
                pending.append(self._pending(run))
                good.append(run)
            except Exception as error:  # the boundary: a call that is ill made is its task's matter
                run.advance(error)
        batch = [good[i] for i in choose(pending, self._rows, self._fairness.turn + 1)]
        self._fairness.serve(run.job for run in batch)
        return batch

    def _pending(self, run: PictureRun) -> Pending:
        assert run.call is not None
        job = run.job
        return Pending(
            None if self._alone else batch_key(run.call),
            row_count(run.call),
            run.since,
            owner=job.owner,
            job=job.id,
            owner_served=self._fairness.owner_served(job.owner),
            job_served=job.served,
            warm=not self._runner.lacks(run.call),
            most=self._runner.capacity.rows(size_key(run.call), self._rows),
        )

    def _take_in(self) -> None:
        """Ends what has been ended, hands over what other threads brought, starts pictures."""
        self._drop_ended()
        for run in self._runs:
            run.rest(run.job.state == "paused")
        self._receive()
        self._try_held()
        while not (self._jobs.closing.is_set() or self._saver.full):
            picture = self._jobs.claim()
            if picture is None:
                return
            run = PictureRun(picture, self._bench)
            self._runs.append(run)
            run.begin()

    def _drop_ended(self) -> None:
        for run in self._runs:
            if run.over:
                run.drop()
        self._runs = [run for run in self._runs if not run.over]

    def _receive(self) -> None:
        arrived = self._bench.arrived
        while arrived:
            arrived.popleft()()

    def _try_held(self) -> None:
        """Goes on with those that have waited long enough."""
        bench, now = self._bench, time.monotonic()
        if not bench.held:
            return
        going = [held for held in bench.held if not held.run.over]
        bench.held = [held for held in going if held.when > now]
        for held in going:
            if held.when > now:
                continue
            if held.run.job.state == "paused":
                bench.held.append(replace(held, when=held.when + faults.AGAIN_S))
                continue
            self._jobs.note(held.run.job, "")
            held.again()

    # --- calls ------------------------------------------------------------------------------------

    def _answers(self, batch: list[PictureRun]) -> list[Any]:
        """The replies, an exception in the place of each that failed, `WAITING` where there is more to be done: of a
        long call a turn makes a slice, and others' calls are made in between.

        A batch that does not fit into the memory waits to be made in smaller ones. One that fails for another reason is
        made again call by call, so that one job's fault is not another's.
        """
        calls = [run.call for run in batch if run.call is not None]
        rows = sum(map(row_count, calls))
        self.making = (f"{type(calls[0]).__name__}, {rows} rows", time.monotonic())
        witness = self._bench.context.witness
        witness.enter_pictures(*(run.mark for run in batch))
        try:
            if len(calls) == 1:
                return [self._slice(batch[0], calls[0], rows)]
            replies = self._runner.run(calls)
            self._made(calls[0], rows)
            self._runner.capacity.made(size_key(calls[0]), rows)
            return replies
        except BaseException as error:  # the boundary: what fails here is a job's, never the loop's
            if len(calls) == 1:
                return [self._once_more(batch[0], calls[0], as_exception(error))]
            if starved(error):
                self._runner.capacity.failed(size_key(calls[0]), rows)
                log.warning("%d rows do not fit (%s): fewer at once from now on", rows, error)
                return [WAITING] * len(batch)
            log.warning("a batch of %d calls failed (%s): one by one", len(calls), error)
        finally:
            witness.leave()
            self.making = None
        return [self._answers([run])[0] for run in batch]

    def _slice(self, run: PictureRun, call: Call, rows: int) -> Any:
        """The reply to a call that is made alone, `WAITING` where only a part of it was made."""
        making, run.making = run.making or InProgress(call), None
        if not self._runner.advance(making):
            run.making = making
            run.progressed(making.progress)
            return WAITING
        self._made(call, rows)
        self._runner.capacity.made(size_key(call), rows)
        return making.reply

    def _made(self, call: Call, rows: int) -> None:
        if isinstance(call, Denoise) and self.making is not None:
            seconds = time.monotonic() - self.making[1]
            self._bench.context.called(call.model.name, rows, seconds)

    def _once_more(self, run: PictureRun, call: Call, error: Exception) -> Any:
        """The reply to a call for which the memory did not suffice, now that it has all there is; or why not."""
        if not starved(error):
            return error
        model = getattr(call, "model", None)
        try:
            self._runner.put_away(model)
            log.warning("job %s: %s; once more, with all the memory there is", run.job.id, error)
            return self._runner.run([call])[0]
        except BaseException as again:  # the boundary, as above
            if not starved(again):
                return as_exception(again)
        self._runner.put_away(model)
        return too_large(self._runner, call)
