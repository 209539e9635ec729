"""A device at work: its thread with the loop and the networks, the thread that loads for it, and who watches both.

torch is imported on the device's thread, so that whoever starts the engine can answer at once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from webui.engine import faults
from webui.engine.context import EngineContext
from webui.engine.faults import LACKING, sentence
from webui.engine.text.tokenizer import Tokenizer
from webui.errors import Sentence, lacking
from webui.types import LoadModel

if TYPE_CHECKING:
    from webui.engine.loop import Loop
    from webui.engine.runner import Runner

__all__ = ["HANG_S", "ROWS", "Device", "EngineOptions", "spare_files"]

log = logging.getLogger(__name__)

WATCH_S = 0.5
LOOK_S = 1.0  # between two looks at files
HANG_S = 60.0  # a call that takes longer is told
SPARE = 64  # files that can still be opened before torch is loaded: half an import stays broken
ROWS = 16  # of one UNet call: eight pictures with guidance


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


class Device:
    """`start` before, then `end`, `settle` and `close` after the jobs have been closed."""

    def __init__(self, context: EngineContext, options: EngineOptions) -> None:
        self.runner: Runner | None = None  # None before torch is loaded
        self._context = context
        self._options = options
        self._loop: Loop | None = None
        self._thread = threading.Thread(target=self._run, name="easel-engine", daemon=True)
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="easel-loader")

    def start(self) -> None:
        self._thread.start()

    def end(self, patience_s: float) -> bool:
        """Waits for the running call; False where it, or the task that runs, takes longer than that."""
        if self._thread.is_alive():
            self._thread.join(patience_s)
        self._loader.shutdown(wait=False, cancel_futures=True)  # a task may have asked until now
        if self._thread.is_alive():
            making = self._loop.making if self._loop is not None else None
            idle = "loading PyTorch" if self._loop is None else "a task"
            what = making[0] if making else idle
            log.error("%s has not ended for %.0f s: Easel stops without it", what, patience_s)
            return False
        return True

    def settle(self, patience_s: float) -> bool:
        """Once the thread has ended: notes what the saving thread has brought since, and leaves what is left. False
        where a task does not come to its end that long."""
        if self._loop is None:
            return True
        loop = self._loop

        def leave() -> None:
            loop.settle()
            loop.close()

        ending = threading.Thread(target=leave, name="easel-settle", daemon=True)
        ending.start()
        ending.join(patience_s)
        if ending.is_alive():
            log.error("a task has not ended for %.0f s: Easel stops without it", patience_s)
        return not ending.is_alive()

    def loaded(self, patience_s: float) -> bool:
        """Whether the loading thread has ended, which gives up at the next weight: it must not work on while Python
        takes itself down."""
        ending = threading.Thread(target=self._loader.shutdown, name="easel-loaded", daemon=True)
        ending.start()
        ending.join(patience_s)
        if ending.is_alive():
            log.error("a model is still being loaded: Easel stops without it")
        return not ending.is_alive()

    def look(self) -> None:
        """Looks at the files of what is in memory: a request that is accepted now gets what they hold now."""
        if self.runner is not None:
            self.runner.look()

    def tokenizer(self, model: str) -> Tokenizer | None:
        """The tokenizer of a model that is in memory."""
        return None if self.runner is None else self.runner.tokenizer(model)

    def describe(self) -> Mapping[str, str]:
        runner, jobs = self.runner, self._context.jobs
        if runner is None:
            state = jobs.failure or jobs.engine_note
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

    # --- its thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        jobs = self._context.jobs
        loop = self._begun()
        if loop is None:
            return
        self._loop = loop
        watch = threading.Thread(target=self._watch, args=(loop,), name="easel-watch", daemon=True)
        watch.start()
        files = threading.Thread(target=self._watch_files, name="easel-files", daemon=True)
        files.start()
        try:
            loop.run()
        except Exception as error:  # the boundary: a fault of ours, told to whoever waits
            log.exception("the engine's loop failed")
            jobs.give_up(
                Sentence(
                    "The engine failed, start Easel again: {sentence}", sentence=sentence(error)
                )
            )
        jobs.close()
        watch.join()  # it holds the loop, whose tensors must not be freed while Python ends

    def _begun(self) -> Loop | None:
        """The loop, as soon as the machine has what it takes; None where it cannot be, which is told."""
        jobs = self._context.jobs
        while not jobs.closing.is_set():
            try:
                spare_files(SPARE)
                return self._begin()
            except Exception as error:  # the boundary: without a device there is nothing to run
                lack = lacking(error)
                if not lack:
                    log.exception("the engine could not start")
                    jobs.give_up(
                        Sentence("The engine could not start: {sentence}", sentence=sentence(error))
                    )
                    return None
                log.error("the engine waits: %s", error)
                jobs.note_all(LACKING[lack])
            jobs.closing.wait(faults.AGAIN_S)
        return None

    def _begin(self) -> Loop:
        """Loads torch, finds the device, and has the first model loaded."""
        context, options = self._context, self._options
        context.jobs.note_all(Sentence("Loading PyTorch"))
        from webui.engine.loop import Loop
        from webui.engine.placement import place
        from webui.engine.runner import Runner
        from webui.engine.workbench import Workbench

        placement = place(options.device, options.dtype, options.attention)
        limit = None if options.models_gb is None else int(options.models_gb * 1e9)
        self.runner = runner = Runner(
            context.list_models,
            placement,
            limit,
            context.facts,
            context.adapter_files,
            self._loader.submit,
        )
        first = next((card.name for card in context.list_models() if card.problem is None), None)
        if first is not None and not context.witness.model(first):
            self._loader.submit(self._ahead, runner, first)
        context.jobs.note_all("")
        log.info("engine ready: %s", dict(self.describe()))
        return Loop(Workbench(context, runner, self._loader), ROWS, options.deterministic)

    def _ahead(self, runner: Runner, model: str) -> None:
        """Loads a model so that a request finds it, on the loading thread; a fault is told to who asks for it."""
        witness, jobs = self._context.witness, self._context.jobs

        def progress(part: float) -> None:
            jobs.go_on()

        witness.enter_model(model)
        try:
            runner.read(LoadModel(model), progress)
        except Exception as error:  # the boundary, as said
            log.info("%s was not loaded ahead: %s", model, error)
        finally:
            witness.leave()

    def _watch_files(self) -> None:
        """Looks at files while there is work: a network disk that does not answer holds up nothing but this."""
        jobs = self._context.jobs
        while not jobs.closing.wait(LOOK_S):
            if jobs.open():
                try:
                    self.look()
                except Exception:  # the boundary: what is in memory goes on being used
                    log.exception("files cannot be looked at")

    def _watch(self, loop: Loop) -> None:
        """Tells of a call that does not come back, on a thread of its own. It cannot be broken off from here."""
        jobs, told = self._context.jobs, None
        while not jobs.closing.wait(WATCH_S):
            making = loop.making
            if told and making != told:
                told = None
                jobs.note_all("")
            if making and not told and time.monotonic() - making[1] > self._options.hang_s:
                told, what = making, making[0]
                log.error("the device has not answered for %.0f s: %s", self._options.hang_s, what)
                jobs.note_all(Sentence("The device has not answered for long: {what}", what=what))
                self._context.hung(what)


def spare_files(count: int) -> None:
    """Raises `OSError` where not so many files more can be opened."""
    opened: list[int] = []
    try:
        opened += (os.open(os.devnull, os.O_RDONLY) for _ in range(count))
    finally:
        for descriptor in opened:
            os.close(descriptor)
