"""The engine as faces hold it: takes requests, tells how they go, and owns the jobs and the devices that work on them.

Each device has a thread for its loop and one that loads models (`device.py`); one thread saves pictures for all, one
calls whoever listens. Nobody who asks waits for any of them.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimeoutError_
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from webui.catalog.model_folders import AdapterFiles
from webui.engine.accepting import CHUNK, accept_prompts, counted
from webui.engine.context import EngineContext
from webui.engine.device import HANG_S, ROWS, Device, EngineOptions
from webui.engine.job import Job
from webui.engine.jobs import Jobs
from webui.engine.saving import PictureSaver, StateWriter
from webui.engine.taking_up import take_up
from webui.engine.text.chunks import count
from webui.engine.text.tokenizer import Tokenizer, beside, shipped
from webui.errors import EaselError, RequestError, Sentence
from webui.prompt import parse
from webui.types import (
    Event,
    Finished,
    GenerationRequest,
    JobStatus,
    ModelCard,
    ModelFacts,
    Parts,
    SavedPicture,
    SubmissionKey,
    on_behalf_of,
)
from webui.types.persistence import JobPersistence, Unmarked, Witness

if TYPE_CHECKING:
    from PIL.Image import Image

    from webui.engine.runner import Runner

__all__ = ["HANG_S", "Engine", "EngineOptions"]

log = logging.getLogger(__name__)

STOP_S = 8.0  # that stopping may take in all,
CALL_S, SAVE_S = 5.0, 2.0  # of it the running call at most, and the saving of pictures at least
MAX_CHUNKS = 32  # of one prompt


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
        self._change = change
        self._heard = saved
        self._persistence = persistence
        self._witness = witness or Unmarked()
        self._saving = ThreadPoolExecutor(1, thread_name_prefix="easel-saver")
        self._states = StateWriter(persistence, self._saving)
        self._jobs = Jobs(ROWS, self._states.keep)
        saver = PictureSaver(self._jobs, self._states, self._saving, self._save, self._witness)
        context = EngineContext(
            jobs=self._jobs,
            saver=saver,
            parts=parts,
            list_models=list_models,
            adapter_files=self.adapter_files,
            facts=facts,
            persistence=persistence,
            witness=self._witness,
            version=version,
            called=called,
            hung=hung,
        )
        self._devices = [Device(context, options)]
        self._accepting = Lock()  # one request after the other; only who submits waits
        self._restored = False
        self._stopped: bool | None = None  # what came of it

    def start(self, take_up: bool = True) -> None:
        """Starts the devices, with the jobs that were kept unless they are somebody else's to `take_up`; torch is
        loaded meanwhile."""
        if take_up:
            self.restore()
        self._jobs.listeners.start()
        for device in self._devices:
            device.start()

    def restore(self) -> None:
        """Knows the jobs that were kept, before anything of them is made: faces may be asked for them at once."""
        if not self._restored and self._persistence is not None:
            take_up(self._jobs, self._persistence, self._witness)
        self._restored = True

    def stop(self) -> bool:
        """Finishes the running call and the saving of finished pictures, within `STOP_S` seconds whatever runs. What is
        left goes on at the next start where a store has it, else it is cancelled. False where something does not come
        to its end, which is told."""
        if self._stopped is None:
            self._stopped = self._stop()
        return self._stopped

    def _stop(self) -> bool:
        jobs, until = self._jobs, time.monotonic() + STOP_S
        jobs.close()
        call_until = time.monotonic() + CALL_S
        in_time = all(
            [device.end(max(0.0, call_until - time.monotonic())) for device in self._devices]
        )
        saved = True
        with suppress(RuntimeError):  # it was stopped before
            last = self._saving.submit(self._states.rest)
            try:
                last.result(max(SAVE_S, until - time.monotonic() - SAVE_S / 2))
            except TimeoutError_:
                log.error("a picture has not been saved for long: Easel stops without it")
                saved = False
        if in_time:
            patience = max(0.5, until - time.monotonic() - SAVE_S / 2)
            in_time = all([device.settle(patience) for device in self._devices])
        why = (
            Sentence("Easel was stopped; this job goes on at the next start")
            if self._persistence
            else Sentence("Easel was stopped before this job was done")
        )
        for job in jobs.open():
            jobs.end(job, "cancelled", why, later=True)
        self._saving.shutdown(wait=saved)
        jobs.listeners.stop()
        patience = max(0.5, until - time.monotonic()) if in_time and saved else 0.0
        return all([device.loaded(patience) for device in self._devices]) and in_time and saved

    # --- what faces call, from any thread ---------------------------------------------------------

    def submit(
        self,
        request: GenerationRequest,
        owner: str = "",
        priority: int = 0,
        key: SubmissionKey | None = None,
    ) -> str:
        job_id = uuid.uuid4().hex[:12]
        with on_behalf_of(owner or job_id):
            request = self._change(request)
        names = self.adapter_files.embeddings()
        texts = self._parts.tasks[request.task].prompts(request)
        prompts = {field: parse(text, names) for field, text in texts.items()}
        # Refused here rather than when it is its turn.
        accept_prompts(
            prompts,
            request.missing,
            self.adapter_files,
            self._max_chunks(),
            lambda: self._tokenizer(request.model),
        )
        notes = tuple(
            note
            for field, prompt in prompts.items()
            for note in prompt.notes(negative=field == "negative_prompt")
        )
        job = Job(job_id, request, owner, priority, notes=notes)
        job.prompts = {prompt.source: prompt for prompt in prompts.values()}
        return self._accept(job, key)

    def _accept(self, job: Job, key: SubmissionKey | None) -> str:
        """Keeps a job and puts it into the queue; gives its id, or that of the job which had its key."""
        self._jobs.check_open()
        for device in self._devices:  # it gets what the files hold now
            device.look()
        with self._accepting:  # whose key came before is given a job that is known here
            if self._persistence is not None:
                known = self._persistence.accept(job.kept(), key)
                if known != job.id:
                    return known
            try:
                self._jobs.add(job)
            except EaselError:  # it is refused after all, so it must not be taken up either
                self._states.refuse(job)
                raise
        return job.id

    def repeat(self, job_id: str, owner: str = "", changes: Mapping[str, Any] | None = None) -> str:
        job = self._jobs[job_id]
        request = replace(self.request(job_id), **(changes or {}))
        again = Job(uuid.uuid4().hex[:12], request, owner, notes=job.notes)
        return self._accept(again, None)

    def request(self, job_id: str) -> GenerationRequest:
        job = self._jobs[job_id]
        if not job.stripped:
            return job.request
        if self._persistence is None:
            raise EaselError(
                Sentence(
                    "job {job_id}: its pictures are gone; give them again in its tab",
                    job_id=job_id,
                )
            )
        return self._persistence.request(job_id)

    def status(self, job_id: str) -> JobStatus:
        return self._jobs.status(job_id)

    def watch(self, job_id: str, wake: Callable[[], None]) -> AbstractContextManager[None]:
        return self._jobs.watch(job_id, wake)

    def wait(self, job_id: str, after: int, timeout_s: float) -> JobStatus:
        return self._jobs.wait(job_id, after, timeout_s)

    def events(self, job_id: str, after: int = 0) -> Sequence[Event]:
        return self._jobs.events(job_id, after)

    def cancel(self, job_id: str) -> None:
        self._jobs.end(self._jobs[job_id], "cancelled")

    def interrupt(self, job_id: str) -> None:
        self._jobs.interrupt(self._jobs[job_id])

    def skip(self, job_id: str, picture: int | None = None) -> int | None:
        job = self._jobs[job_id]
        count = len(job.pictures)
        if picture is not None and not 0 <= picture < count:
            raise RequestError(
                Sentence(
                    "picture {picture}: the job has {number}, counted from 0",
                    picture=picture,
                    number=count,
                ),
                "picture",
            )
        return self._jobs.skip(job, picture)

    def pause(self, job_id: str) -> None:
        self._jobs.pause(self._jobs[job_id])

    def resume(self, job_id: str) -> None:
        self._jobs.resume(self._jobs[job_id])

    def prioritise(self, job_id: str, priority: int) -> None:
        self._jobs.prioritise(self._jobs[job_id], priority)

    def jobs(self) -> Sequence[JobStatus]:
        return self._jobs.statuses()

    def preview(self, job_id: str, picture: int | None = None) -> Image | None:
        looks = [
            one.look
            for one in self._jobs[job_id].pictures
            if one.look is not None and picture in (None, one.index)
        ]
        return looks[0]() if looks else None

    def count_tokens(self, model: str, text: str) -> int:
        prompt = parse(text, self.adapter_files.embeddings())
        return count(*counted(self._tokenizer(model), prompt, self.adapter_files), CHUNK)

    def _tokenizer(self, model: str) -> Tokenizer:
        """A model's tokenizer, which need not be in memory."""
        found = (device.tokenizer(model) for device in self._devices)
        own = next((one for one in found if one is not None), None)
        if own is None:
            card = next((card for card in self.models() if card.name == model), None)
            own = beside(card.path) if card and card.path.is_dir() else shipped()
        return own

    def describe(self) -> Mapping[str, str]:
        return self._devices[0].describe()

    # --- beside -----------------------------------------------------------------------------------

    @property
    def _runner(self) -> Runner | None:
        return self._devices[0].runner

    def _save(self, finished: Finished) -> SavedPicture:
        """On the saving thread."""
        saved = self._write(finished)
        self._heard(saved, finished.request.without_pictures())
        return saved
