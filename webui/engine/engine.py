"""The engine as faces hold it: takes requests, tells how they go, and owns the threads that work on them.

Three kinds of threads: the loop (owns the device), one that loads models, one that saves pictures. torch is
imported on the loop's thread, so that whoever starts the engine can answer at once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimeoutError_
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from webui.catalog.model_folders import AdapterFiles
from webui.engine.accepting import CHUNK, accept_prompts, counter
from webui.engine.adapters.tags import extract_network_tags
from webui.engine.job import Job
from webui.engine.jobs import AGAIN_S, LACKING, Jobs, sentence
from webui.engine.text.chunks import count
from webui.engine.text.tokenizer import Tokenizer, beside, shipped
from webui.errors import EaselError, lacking
from webui.types import (
    Event,
    Finished,
    GenerationRequest,
    JobStatus,
    LoadModel,
    ModelCard,
    ModelFacts,
    Parts,
    SavedPicture,
    SubmissionKey,
)
from webui.types.persistence import JobPersistence, Witness

if TYPE_CHECKING:
    from PIL.Image import Image

    from webui.engine.loop import Loop
    from webui.engine.runner import Runner

__all__ = ["Engine", "EngineOptions"]

log = logging.getLogger(__name__)

WATCH_S = 0.5
HANG_S = 60.0  # a call that takes longer is told
STOP_S = 30.0  # that the running call, and then the saving of pictures, may take when Easel stops
SPARE = 64  # files that can still be opened before torch is loaded: half an import stays broken
ROWS = 16  # of one UNet call: eight pictures with guidance
MAX_CHUNKS = 32  # of one prompt


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the engine runs on; "auto" lets it choose.

    `deterministic` gives a picture the same bits whatever runs beside it: no two requests share a call.
    A call that takes longer than `hang_s` seconds is told, in the log and to every job. Models stay in memory as
    far as they fit `models_gb` gigabytes (None: a share of what is free at the start); one always does.
    """

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    deterministic: bool = False
    hang_s: float = HANG_S
    models_gb: float | None = None


class Engine:
    """See `webui.types.EngineFace` for what the faces use. `start` before, `stop` after.

    `save` puts a finished picture on disk; then `saved` hears of it, with the request without its pictures
    (both on the saving thread). `change` is what becomes of a request when it is accepted. With `persistence` jobs
    outlive the process: those that had not ended go on, each picture from where it stood, as long as `version`
    (of the code that makes pictures, extensions' too) is what it was. `hung` is called, once, with the name of a
    call that takes longer than it may; `called` after each UNet call, with the model's name, the number of rows and
    the seconds that it took. `facts` is what is remembered of models that their files do not say, `adapter_files`
    what models may wear: adapters, textual inversions, VAEs. `max_chunks` says how long a prompt may be. `witness`
    notes what is being done, in case the process ends over it, and knows what earlier ones ended over.
    """

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        parts: Parts,
        save: Callable[[Finished], SavedPicture],
        options: EngineOptions,
        change: Callable[[GenerationRequest], GenerationRequest] = lambda request: request,
        saved: Callable[[SavedPicture, GenerationRequest], None] = lambda picture, request: None,
        persistence: JobPersistence | None = None,
        version: str = "",
        hung: Callable[[str], None] = lambda what: None,
        called: Callable[[str, int, float], None] = lambda model, rows, seconds: None,
        facts: ModelFacts | None = None,
        adapter_files: AdapterFiles | None = None,
        max_chunks: Callable[[], int] = lambda: MAX_CHUNKS,
        witness: Witness | None = None,
    ) -> None:
        self.models = list_models
        self._max_chunks = max_chunks
        self.adapter_files = adapter_files or AdapterFiles(())
        self._parts = parts
        self._write = save
        self._options = options
        self._change = change
        self._heard = saved
        self._version = version
        self._hung = hung
        self._called = called
        self._facts = facts
        self._jobs = Jobs(ROWS, persistence, witness)
        self._restored = False
        self._runner: Runner | None = None
        self._turns: Loop | None = None
        self._thread = threading.Thread(target=self._run, name="easel-engine", daemon=True)
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="easel-loader")

    def start(self, take_up: bool = True) -> None:
        """Starts the loop, with the jobs that were kept unless they are somebody else's to `take_up`; torch is
        loaded meanwhile."""
        if take_up:
            self.restore()
        self._thread.start()

    def restore(self) -> None:
        """Knows the jobs that were kept, before anything of them is made: faces may be asked for them at once."""
        if not self._restored:
            self._restored = True
            self._jobs.restore()

    def stop(self) -> bool:
        """Finishes the running call and the saving of finished pictures. What is left goes on at the next start
        where it is stored, else it is cancelled. False where something does not come to its end, which is told."""
        jobs, in_time = self._jobs, True
        jobs.close()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                making = self._turns.making if self._turns is not None else None
                what = making[0] if making else "loading PyTorch"
                log.error("%s has not ended for %.0f s: Easel stops without it", what, STOP_S)
                in_time = False
        self._loader.shutdown(wait=False, cancel_futures=True)
        with suppress(RuntimeError):  # it was stopped before
            last = jobs.saver.submit(jobs.keep_rest)
            try:
                last.result(STOP_S)  # what is being saved is on disk then
            except TimeoutError_:
                log.error("a picture has not been saved for %.0f s: Easel stops without it", STOP_S)
                in_time = False
            if self._turns is not None and in_time:
                self._turns.settle()
        rest = (
            "; this job goes on at the next start"
            if jobs.persistence
            else " before this job was done"
        )
        for job in jobs.queue.open():
            jobs.end(job, "cancelled", f"Easel was stopped{rest}", taken_up=True)
        jobs.saver.shutdown(wait=in_time)
        return self._loaded(STOP_S if in_time else 0.0) and in_time

    def _loaded(self, patience_s: float) -> bool:
        """Whether the loading thread has ended, which gives up at the next weight: it must not work on while Python
        takes itself down."""
        ending = threading.Thread(target=self._loader.shutdown, name="easel-loaded", daemon=True)
        ending.start()
        ending.join(patience_s)
        if ending.is_alive():
            log.error("a model is still being loaded: Easel stops without it")
        return not ending.is_alive()

    # --- what faces call, from any thread ---------------------------------------------------------

    def submit(
        self,
        request: GenerationRequest,
        owner: str = "",
        priority: int = 0,
        key: SubmissionKey | None = None,
    ) -> str:
        request = self._change(request)
        prompts = self._parts.tasks[request.task].prompts(request)
        # Refused here rather than when it is its turn.
        accept_prompts(
            prompts,
            request.missing,
            self.adapter_files,
            self._max_chunks(),
            lambda: self._tokenizer(request.model),
        )
        return self._jobs.accept(Job(uuid.uuid4().hex[:12], request, owner, priority), key)

    def repeat(self, job_id: str, owner: str = "") -> str:
        persistence, job = self._jobs.persistence, self._jobs.queue[job_id]
        request = job.request
        if job.stripped:
            if persistence is None:
                raise EaselError(f"job {job_id}: its pictures are gone; give them again in its tab")
            request = persistence.request(job_id)
        return self._jobs.accept(Job(uuid.uuid4().hex[:12], request, owner), None)

    def status(self, job_id: str) -> JobStatus:
        with self._jobs.changed:
            return self._jobs.status(self._jobs.queue[job_id])

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        changed = self._jobs.changed
        with changed:
            job = self._jobs.queue[job_id]
            changed.wait_for(lambda: job.version > after or job.ended, timeout_s)
            return self._jobs.status(job)

    def events(self, job_id: str, after: int = 0) -> Sequence[Event]:
        with self._jobs.changed:
            return [e for e in self._jobs.queue[job_id].events if e.number > after]

    def cancel(self, job_id: str) -> None:
        with self._jobs.changed:
            self._jobs.queue[job_id].cancelled = True
            self._jobs.changed.notify_all()

    def pause(self, job_id: str) -> None:
        self._jobs.hold(self._jobs.queue[job_id], True)

    def resume(self, job_id: str) -> None:
        self._jobs.hold(self._jobs.queue[job_id], False)

    def prioritise(self, job_id: str, priority: int) -> None:
        self._jobs.prioritise(self._jobs.queue[job_id], priority)

    def jobs(self) -> Sequence[JobStatus]:
        with self._jobs.changed:
            return self._jobs.statuses()

    def preview(self, job_id: str) -> Image | None:
        with self._jobs.changed:
            runs = [r for r in self._jobs.queue[job_id].runs if r.latest is not None]
            if not runs or self._runner is None or runs[0].model is None:
                return None
            run, latent, model = runs[0], runs[0].latest, runs[0].model
        request = run.job.request
        networks = self._runner.present(model)
        if networks is None:  # it had to make room for another model; this thread waits for no file
            return None
        picture: Image = networks.preview.picture(latent, request.width, request.height)
        return picture

    def count_tokens(self, model: str, text: str) -> int:
        words = extract_network_tags(text)[0]
        return count(counter(self._tokenizer(model), words, self.adapter_files), words, CHUNK)

    def _tokenizer(self, model: str) -> Tokenizer:
        """A model's tokenizer, which need not be in memory."""
        runner = self._runner
        own = None if runner is None else runner.tokenizer(model)
        if own is None:
            card = next((card for card in self.models() if card.name == model), None)
            own = beside(card.path) if card and card.path.is_dir() else shipped()
        return own

    def describe(self) -> Mapping[str, str]:
        runner = self._runner
        if runner is None:
            state = self._jobs.failure or self._jobs.note
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

    # --- the loop's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._begun()
        if loop is None:
            return
        self._turns = loop
        watch = threading.Thread(target=self._watch, args=(loop,), name="easel-watch", daemon=True)
        watch.start()
        try:
            loop.run()
        except Exception as error:  # the boundary: a fault of ours, told to whoever waits
            log.exception("the engine's loop failed")
            self._give_up(f"The engine failed, start Easel again: {sentence(error)}")
        self._jobs.close()
        watch.join()  # it holds the loop, whose tensors must not be freed while Python ends

    def _begun(self) -> Loop | None:
        """The loop, as soon as the machine has what it takes; None where it cannot be, which is told."""
        jobs = self._jobs
        while not jobs.stopping:
            try:
                spare_files(SPARE)
                return self._begin()
            except Exception as error:  # the boundary: without a device there is nothing to run
                lack = lacking(error)
                if not lack:
                    log.exception("the engine could not start")
                    self._give_up(f"The engine could not start: {sentence(error)}")
                    return None
                log.error("the engine waits: %s", error)
                jobs.note_all(LACKING[lack])
            with jobs.changed:
                jobs.changed.wait_for(lambda: jobs.stopping, AGAIN_S)
        return None

    def _give_up(self, why: str) -> None:
        jobs = self._jobs
        with jobs.changed:
            jobs.failure = why
            for job in jobs.queue.open():  # kept ones wait for a better start
                jobs.end(job, "failed", why, taken_up=True)

    def _watch(self, loop: Loop) -> None:
        """Tells of a call that does not come back, on a thread of its own. It cannot be broken off from here."""
        jobs, told = self._jobs, None
        while not jobs.stopping:
            with jobs.changed:
                jobs.changed.wait_for(lambda: jobs.stopping, WATCH_S)
            making = loop.making
            if told and making != told:
                told = None
                jobs.note_all("")
            if making and not told and time.monotonic() - making[1] > self._options.hang_s:
                told, what = making, making[0]
                log.error("the device has not answered for %.0f s: %s", self._options.hang_s, what)
                jobs.note_all(f"The device has not answered for long: {what}")
                self._hung(what)

    def _begin(self) -> Loop:
        """Loads torch, finds the device, and has the first model loaded."""
        self._jobs.note_all("Loading PyTorch")
        from webui.engine.loop import Loop
        from webui.engine.placement import place
        from webui.engine.runner import Runner

        options = self._options
        placement = place(options.device, options.dtype, options.attention)
        limit = None if options.models_gb is None else int(options.models_gb * 1e9)
        self._runner = runner = Runner(
            self.models, placement, limit, self._facts, self.adapter_files
        )
        first = next((card.name for card in self.models() if card.problem is None), None)
        if first is not None and not self._jobs.witness.model(first):
            self._loader.submit(self._ahead, first)
        self._jobs.note_all("")
        log.info("engine ready: %s", dict(self.describe()))
        return Loop(
            self._jobs,
            runner,
            self._parts,
            self._save,
            self._called,
            self._loader,
            rows=ROWS,
            alone=options.deterministic,
            version=self._version,
        )

    def _ahead(self, model: str) -> None:
        """Loads a model so that a request finds it, on the loading thread; a fault is told to who asks for it."""
        witness, runner = self._jobs.witness, self._runner
        assert runner is not None

        def progress(part: float) -> None:
            self._jobs.go_on()

        witness.enter_model(model)
        try:
            runner.load(LoadModel(model), progress)
        except Exception as error:  # the boundary, as said
            log.info("%s was not loaded ahead: %s", model, error)
        finally:
            witness.leave()

    def _save(self, finished: Finished) -> SavedPicture:
        saved = self._write(finished)
        self._heard(saved, finished.request.without_pictures())
        return saved


def spare_files(count: int) -> None:
    """Raises `OSError` where not so many files more can be opened."""
    opened: list[int] = []
    try:
        opened += (os.open(os.devnull, os.O_RDONLY) for _ in range(count))
    finally:
        for descriptor in opened:
            os.close(descriptor)
