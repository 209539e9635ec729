"""A picture's life on a device: its task's generator, the log that it is replayed from, its end.

Everything here happens on the loop's thread and under no lock, but for the few functions that say otherwise.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Hashable, Set
from functools import partial
from pathlib import Path
from typing import Any

from webui.engine import faults
from webui.engine.calls import InProgress, Loads, Progress, call_type
from webui.engine.faults import LACKING, as_exception
from webui.engine.fitting import too_large
from webui.engine.job import Picture
from webui.engine.jobs import Stopping
from webui.engine.memory import starved
from webui.engine.part_loader import Prepare
from webui.engine.postprocessing import finished_picture
from webui.engine.replay import MISSING, OtherCall, Replay
from webui.engine.studio import PictureStudio
from webui.engine.workbench import Held, Workbench, look_at
from webui.errors import CapacityError, Sentence, lacking
from webui.prompt import Prompt, parse
from webui.types import (
    Call,
    Finished,
    Model,
    SavedPicture,
    TaskRun,
    on_behalf_of,
)

__all__ = ["WAITING", "PictureRun"]

log = logging.getLogger(__name__)

PROGRESS_S = 0.25  # between two words of how far a call is
STARTS_OVER = Sentence("Starts over: something it is made with has changed")
WAITING = object()  # in the place of a reply: a call is in somebody's hands


class PictureRun:
    """One picture of a job while it is made: the task's generator and the call it waits for."""

    def __init__(self, picture: Picture, bench: Workbench) -> None:
        self.picture = picture
        self.job = picture.job
        self.request = picture.job.request  # the job's own loses its pictures when it ends
        self.call: Call | None = None  # what it waits for, while that is in the scheduler's hands
        self.since = 0  # the turn at which `call` came in
        self.making: InProgress | None = None  # its call, once a slice of that is made
        self._bench = bench
        self._context = bench.context
        self._jobs = bench.context.jobs
        self._runner = bench.runner
        self._task: TaskRun | None = None  # None before it is started and after it has ended
        self._studio: PictureStudio | None = None  # what its task was given
        self._model: Model | None = None
        self._sampled = False  # whether a UNet call was made for it
        self._replay: Replay | None = None  # its log, where replies are kept
        self._answered = 0  # the replies that its task has had, recorded ones too
        self._folder: Path | None = None  # of its task's files, where that has asked for it
        self._starved = False  # the memory has not sufficed for it once
        self._told_s = 0.0  # when the progress of its call was last told
        self._resting: Set[Hashable] | None = None  # what it needs, while its job is paused

    @property
    def index(self) -> int:
        return self.picture.index

    @property
    def over(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.job.ended or self.picture.state == "skipped"

    @property
    def mark(self) -> tuple[str, int, int]:
        """What is known of it should the process end: its job, its place, how far it came."""
        return self.job.id, self.index, self._answered

    # --- begin and end ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Starts its task, on the replies of an earlier start where there are any."""
        try:
            self._begin()
        except Exception as error:  # the boundary: a log that is beyond reading is its job's matter
            self._jobs.fail(self.job, error)

    def _begin(self) -> None:
        context, job, placement = self._context, self.job, self._runner.placement
        if context.persistence is not None:
            header = {
                "version": context.version,
                "device": f"{placement.device.type} {placement.dtype_name}",
                "picture": self.index,
            }
            replies = context.persistence.replies(job.id, self.index)
            try:
                self._replay = Replay(
                    replies, header, placement.device, self._bench.recorder, self._lost
                )
            except OSError as fault:
                if lacking(fault) == "files":  # what it has is not given up for that
                    self._hold(fault, self.begin)
                    return
                log.warning(
                    "job %s: its replies are not kept: %s", job.id, fault, extra={"job": job.id}
                )
                replies.remove()
            else:
                if self._replay.dropped:
                    self._tell_over("its replies are of other code or another device")
                    if job.interrupted:  # there is nothing of it to be kept
                        self._jobs.skip(job, self.index)
                        return
        studio = PictureStudio(
            self.request,
            self.index,
            context.parts,
            placement.device,
            self._own_folder,
            self._broken_off,
        )
        self._studio = studio
        self._task = finished_picture(self.request, studio, context.parts, read=self._parsed)
        self.advance(None)

    def _parsed(self, text: str) -> Prompt:
        """A text of its task: as it was parsed when the request was accepted, unless the task has made it."""
        prompts = self.job.prompts
        if text not in prompts:
            prompts[text] = parse(text, self._context.adapter_files.embeddings())
        return prompts[text]

    def _broken_off(self) -> bool:
        """Whether its sampling ends with the step that it has made."""
        if self._replay is None:
            return self.job.interrupted
        return self._replay.broken_off(lambda: self.job.interrupted)

    def _own_folder(self) -> Path:
        """The folder of its task's files, made when it is first asked for."""
        if self._folder is None:
            persistence = self._context.persistence
            if persistence is None:
                self._folder = Path(tempfile.mkdtemp(prefix="easel-files-"))
            else:
                self._folder = persistence.folder(self.job.id, self.index)
                self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._bench.recorder.later(partial(shutil.rmtree, self._folder, ignore_errors=True))
            self._folder = None

    def _begin_again(self) -> None:
        """Its task anew, on the replies that it has had."""
        self.close()
        self._replay, self._answered = None, 0
        self._jobs.restart(self.picture)
        self.begin()

    def _start_over(self, why: str) -> None:
        """What was recorded is not what is asked now: it is made from its beginning."""
        self._tell_over(why)
        if self.job.interrupted:
            self._jobs.skip(self.job, self.index)
            return
        assert self._replay is not None
        self._replay.remove()
        self._begin_again()

    def _tell_over(self, why: str) -> None:
        job = self.job
        log.warning("job %s, picture %d starts over: %s", job.id, self.index, why, extra={"job": job.id})  # fmt: skip
        self._jobs.remark(job, STARTS_OVER)

    def close(self) -> None:
        """Ends the generator where it stands; its log stays as it is."""
        if self._task is not None:
            try:
                with on_behalf_of(self.job.owner or self.job.id):
                    self._task.close()
            except BaseException as error:  # the boundary: no task keeps a job from ending
                job = self.job.id
                log.warning("job %s: its task ends badly: %r", job, error, extra={"job": job})
        if self.making is not None:
            self.making.close()
        if self._replay is not None:
            self._replay.close()
        self._task = self.call = self.making = self.picture.look = None
        self._runner.release(self)

    def rest(self, resting: bool) -> None:
        """While its job is paused, what it needs may leave the memory."""
        if resting:  # also what has been loaded for it since
            self._resting = (self._resting or set()) | self._runner.release(self)
        elif not resting and self._resting is not None:
            self._runner.parts.hold(self, self._resting)
            self._resting = None

    def leave(self) -> None:
        """Easel stops: what it has stays for the next start, where there is a store."""
        self.close()
        if self._context.persistence is None:
            self._remove_folder()

    def drop(self) -> None:
        """It is given up, or its job has ended: so does it, and its log with it unless the job goes on at the next
        start."""
        self.close()
        if self.job.later and self.picture.state != "skipped":
            return
        self._remove_folder()
        if self._replay is not None:
            self._replay.remove()
            self._replay = None

    # --- its task ---------------------------------------------------------------------------------

    def received(self, reply: Any) -> tuple[Replay, Call, Any] | None:
        """What is to be written down before it goes on with a reply."""
        if self._replay is None or self.call is None or self._task is None or self.over:
            return None
        known = reply is not WAITING and not isinstance(reply, Exception)
        return (self._replay, self.call, reply) if known else None

    def progressed(self, progress: Progress | None) -> None:
        """Tells how far its call is, not too often."""
        if progress is None or self.call is None or time.monotonic() < self._told_s + PROGRESS_S:
            return
        self._told_s, part = time.monotonic(), min(max(progress.part, 0.0), 1.0)
        what = call_type(self.call).name(self.call)
        words = f"{what}: {progress.words}" if progress.words else what
        self._jobs.progressed(self.picture, part, f"{words}, {round(part * 100)} %")

    def advance(self, reply: Any) -> None:
        """Hands a reply, or why there is none, to its generator and puts its next call where it will be answered;
        what is known already (a resident model, a recorded reply) is answered at once."""
        call, self.call = self.call, None
        if self._told_s:
            self._told_s = 0.0
            self._jobs.progressed(self.picture, 0.0, "")
        if self._task is None or self.over:  # ended meanwhile
            return
        if isinstance(reply, Exception):
            self._failed(reply, partial(self._ask_again, call), partial(self._go_on, call))
            return
        if isinstance(call, Prepare):
            self._runner.hold(self, reply)
            self._loaded(reply)
            return
        self._go_on(call, reply)

    def _go_on(self, call: Call | None, reply: Any) -> None:
        """Has its task go on from `reply`, an exception where its call failed, until a call of it is in somebody's
        hands."""
        self._context.witness.enter_pictures(self.mark)
        try:
            with on_behalf_of(self.job.owner or self.job.id):
                self._drive(call, reply)
        finally:
            self._context.witness.leave()

    def _drive(self, call: Call | None, reply: Any) -> None:
        known = False
        while reply is not WAITING and self._task is not None:
            if self.over:  # a long replay is left at its next call
                return
            failed = isinstance(reply, Exception)
            if call is not None and not failed:
                self._saw(call, reply, known)
            try:
                self._answered += 1
                call = self._task.throw(reply) if failed else self._task.send(reply)
            except StopIteration as stop:
                self._finish(stop.value)
                return
            except Exception as error:  # the boundary: a task's fault is its job's
                self._failed(error, self._begin_again, partial(self._jobs.fail, self.job))
                return
            except BaseException as error:  # one that means to end a thread ends its job alone
                self._jobs.fail(self.job, as_exception(error))
                return
            reply, known = self._asked(call), True
            if self._jobs.closing.is_set():  # what is known already is known at the next start
                return

    def _saw(self, call: Call, reply: Any, known: bool) -> None:
        """Notes the progress of a sampling, or of the steps of other calls. `known`: the reply took no time."""
        kind = call_type(call)
        step, steps = kind.step(call)
        if kind.latent is not None:
            self._sampled = True
            if self._model is not None:
                look = partial(look_at, self._runner, self._model, kind.latent(reply), self.request)
                self.picture.look = look
        if steps or kind.latent is not None:
            self._jobs.stepped(self.picture, step, steps, known)

    def _asked(self, call: Call) -> Any:
        """As `_known`; an exception in the place of a reply that cannot be had."""
        try:
            return self._known(call)
        except Exception as error:  # the boundary, as of a call that fails when it is made
            if lacking(error) and not self._jobs.closing.is_set():
                self._hold(error, lambda: self._go_on(call, self._asked(call)))
                return WAITING
            return error

    def _known(self, call: Call) -> Any:
        """The reply to a call if it need not be made, else `WAITING`: the call is then in somebody's hands."""
        try:
            reply = MISSING if self._replay is None else self._replay.recall(call)
            if reply is not MISSING:
                return reply
            if (loads := call_type(call).loads) is not None:
                loaded = loads.resident(self._runner, call)
                if loaded is None or not self._runner.hold(self, loaded):
                    self._load(call, loads)
                    return WAITING
                self._note_model(loaded)
                return loaded
        except OtherCall as why:
            self._start_over(str(why))
            return WAITING
        self._ask_again(call)
        return WAITING

    def _ask_again(self, call: Call | None) -> None:
        """Puts a call among those that wait."""
        self.call, self.since = call, self._jobs.fairness.turn

    def _note_model(self, loaded: object) -> None:
        """Which model it is made with; raises `OtherCall` where it was begun with another."""
        if isinstance(loaded, Model):
            self._model = loaded
            if self._replay is not None:
                self._replay.model(loaded)

    def _lost(self, fault: Exception) -> None:
        """On the recorder's thread. A full disk, or all that logs may take: it goes on, but would start over after a
        crash."""
        job = self.job.id
        log.warning("job %s: its replies are no longer kept: %s", job, fault, extra={"job": job})
        self._jobs.ask_oldest_paused()

    # --- what other threads bring -----------------------------------------------------------------

    def _load(self, call: Call, loads: Loads[Any]) -> None:
        def load(progress: Callable[[float], None]) -> Any:
            loaded = loads.load(self._runner, call, progress)
            self._runner.hold(self, loaded)
            return loaded

        self._beside(call, load, self._loaded)

    def fetch(self) -> bool:
        """Whether something that its call works with has to be read first, which is then done."""
        call, since = self.call, self.since
        if call is None or not self._runner.lacks(call):
            return False

        def read(progress: Callable[[float], None]) -> None:
            self._runner.bring(call, progress)
            self._runner.hold(self, getattr(call, "model", None))

        def go_on(read: None) -> None:
            self._jobs.note(self.job, "")
            self.call, self.since = call, since

        self.call = None
        self._beside(call, read, go_on)
        return True

    def _beside(
        self,
        call: Call,
        read: Callable[[Callable[[float], None]], Any],
        take: Callable[[Any], None],
    ) -> None:
        """Has something read on the loading thread for a call; `take` is given what came of it."""
        jobs, what, model = self._jobs, call_type(call).name(call), getattr(call, "model", None)
        if call_type(call).loads is None and isinstance(model, Model):
            what = Sentence("model {name}", name=model.name)
        jobs.note(self.job, Sentence("Loading {what}", what=what))
        told = 0

        def progress(part: float) -> None:
            """On the loading thread."""
            nonlocal told
            jobs.go_on()
            percent = int(part * 10) * 10
            if percent > told:
                told = percent
                jobs.note(
                    self.job, Sentence("Loading {what}, {percent} %", what=what, percent=percent)
                )

        def load() -> Any:
            self._context.witness.enter_pictures(self.mark)
            try:
                return read(progress)
            finally:
                self._context.witness.leave()

        def failed(error: Exception) -> None:
            jobs.note(self.job, "")
            again = partial(self._beside, call, read, take)
            self._failed(error, again, partial(self._go_on, call))

        future = self._bench.loader.submit(load)
        future.add_done_callback(
            lambda done: self._bench.arrive(lambda: self._receive(done.result, take, failed))
        )

    def _loaded(self, loaded: Any) -> None:
        self._jobs.note(self.job, "")
        if isinstance(loaded, Prepare):
            self._ask_again(loaded)
            return
        try:
            self._note_model(loaded)
        except OtherCall as why:
            self._start_over(str(why))
        else:
            self.advance(loaded)

    def _receive(
        self,
        bring: Callable[[], Any],
        take: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """What another thread brought goes to `take`, or why it could not to `failed`."""
        if self.over or (self._jobs.closing.is_set() and self.picture.state != "made"):
            self._runner.release(self)
            return  # what was loaded is asked for again at the next start
        try:
            brought = bring()
        except Stopping:  # the job goes on at the next start
            return
        except Exception as error:  # the boundary: loading and saving fail their own job
            failed(error)
        except BaseException as error:  # one that means to end a thread ends its job alone
            self._jobs.fail(self.job, as_exception(error))
        else:
            take(brought)

    def _finish(self, result: Any) -> None:
        """It is finished: off to be saved."""
        bench, context, request = self._bench, self._context, self.request
        if not self._jobs.made(self.picture):  # it was given up while its last code ran
            return
        self._task = None
        self._runner.release(self)
        picture, notes, warnings, model = result
        assert self._studio is not None
        finished = Finished(
            job=self.job.id,
            request=request,
            index=self.index,
            seed=request.seed_of(self.index),
            picture=picture,
            model=model or self._model,
            scheduler=self._studio.scheduler,
            seconds=self.job.seconds(),
            sampled=self._sampled,
            notes=notes,
            warnings=warnings,
            controls=frozenset(c.name for c in context.parts.tasks[request.task].flat_controls()),
        )
        future = context.saver.save(finished, self.mark)
        future.add_done_callback(
            lambda done: bench.arrive(
                lambda: self._receive(done.result, self._saved, self._unsaved)
            )
        )

    def _unsaved(self, error: Exception) -> None:
        """It could not be saved. What is lacking when Easel stops may be there at the next start."""
        if lacking(error) and self._jobs.closing.is_set():
            return
        self._jobs.fail(self.job, too_large(self._runner, None) if starved(error) else error)

    def _saved(self, saved: SavedPicture) -> None:
        runner, job = self._runner, self.job
        self._remove_folder()
        if self._replay is not None:
            self._replay.keep()
            self._replay = None
        if self._jobs.saved(self.picture, saved):
            made = f"{runner.calls} UNet calls with {runner.rows} rows so far"
            log.info("job %s: %s; %s", job.id, job.summary(), made, extra={"job": job.id})

    # --- what does not work, and may in a while ---------------------------------------------------

    def _failed(
        self, error: Exception, again: Callable[[], None], in_vain: Callable[[Exception], None]
    ) -> None:
        """It cannot go on. What the machine lacks for now is waited for, and `again` tried; for want of memory once,
        with other models put away; everything else is `in_vain`."""
        job, runner = self.job, self._runner
        if self.over:
            return
        if lacking(error) and not self._jobs.closing.is_set():
            self._hold(error, again)
        elif starved(error) and not self._starved and not isinstance(error, CapacityError):
            self._starved = True
            log.warning("job %s: %s; once more, with all the memory there is", job.id, error)
            runner.put_away(self._model)
            again()
        elif starved(error) and not isinstance(error, CapacityError):
            log.error("job %s", job.id, exc_info=error, extra={"job": job.id})
            in_vain(too_large(runner, None))
        else:
            in_vain(error)

    def _hold(self, error: Exception, again: Callable[[], None]) -> None:
        """Waits for what is lacking; its job is told."""
        lack = lacking(error)
        assert lack
        log.warning("job %s waits: %s", self.job.id, error, extra={"job": self.job.id})
        self._bench.held.append(Held(time.monotonic() + faults.AGAIN_S, self, again))
        self._jobs.note(self.job, LACKING[lack])
