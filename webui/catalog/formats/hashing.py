"""SHA-256 of model files: at once, or of every listed model on a thread of low priority."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from webui.catalog.formats.header import open_regular, said
from webui.errors import EaselError, ModelFileError, Sentence
from webui.types import ModelCard, ModelMemory

__all__ = ["Hasher", "hashed", "sha256_of", "stamp_of"]

BLOCK = 4 << 20
BUSY_WAIT_S, LOOK_S = (
    0.5,
    20.0,
)  # how often it is asked whether there is other work, and for new files
log = logging.getLogger(__name__)


class Stopped(Exception):
    """Hashing was called off."""


def stamp_of(path: Path) -> str:
    """What tells versions of a file apart, as the list of models has it."""
    about = path.stat()
    return f"{about.st_size}-{about.st_mtime_ns}-{about.st_ino}"


def sha256_of(path: Path, progress: Callable[[int, int], None] = lambda done, size: None) -> str:
    """The SHA-256 of the file at `path`, 64 hex digits; `progress` hears of bytes done and all bytes.

    Raises `ModelFileError`; what `progress` raises goes through.
    """
    descriptor, size = open_regular(path)
    digest, done = hashlib.sha256(), 0
    try:
        with open(descriptor, "rb", buffering=0) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                done += len(block)
                progress(done, size)
    except OSError as fault:
        raise ModelFileError(
            Sentence("{file}: cannot be read ({why})", file=path.name, why=said(fault))
        ) from fault
    return digest.hexdigest()


def hashed(
    path: Path,
    keep: Callable[[str, str, str], None] | None,
    progress: Callable[[int, int], None] = lambda done, size: None,
) -> str:
    """`sha256_of`, handed to `keep` with path and stamp unless the file was written to meanwhile."""
    stamp = _stamp(path)
    digest = sha256_of(path, progress)
    if keep is not None and stamp and stamp == _stamp(path):
        keep(str(path), stamp, digest)
    return digest


def _stamp(path: Path) -> str:
    try:
        return stamp_of(path)
    except OSError:  # gone: reading it says so
        return ""


class Hasher:
    """Hashes what is listed without one, the models used last and then the newest first. A file that was begun
    when the program ends is begun again."""

    def __init__(
        self,
        list_models: Callable[[], Sequence[ModelCard]],
        memory: ModelMemory,
        busy: Callable[[], bool] = lambda: False,
        last_used: Callable[[str], float] = lambda fingerprint: 0.0,
    ) -> None:
        """While `busy` says so nothing is read. `last_used` gives the time for a fingerprint."""
        self._list_models = list_models
        self._memory = memory
        self._busy = busy
        self._last_used = last_used
        self._asked = 0.0  # when `busy` was asked last
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, at the latest with the block that it reads."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        _be_modest()
        while not self._stop.is_set():
            try:
                done = [self._hash(card) for card in self.pending()]
            except Stopped:
                return
            except (EaselError, OSError) as fault:  # of the index's disk, or a folder's
                log.warning("models are not hashed for now: %s", fault)
                done = []
            if not any(done):
                self._stop.wait(LOOK_S)

    def pending(self) -> list[ModelCard]:
        """What is to be hashed, in this order."""
        cards = [c for c in self._list_models() if not c.sha256 and c.problem is None and c.weights]
        cards.sort(key=lambda card: (-self._last_used(card.fingerprint), -card.modified))
        return cards

    def _hash(self, card: ModelCard) -> bool:
        """Whether the hash of the model is known now."""
        assert card.weights is not None
        kept: list[str] = []

        def keep(path: str, stamp: str, digest: str) -> None:
            self._memory.keep_sha256(path, stamp, digest)
            kept.append(digest)

        try:
            hashed(card.weights, keep, self._breathe)
        except ModelFileError as fault:
            log.debug("%s is not hashed: %s", card.name, fault)
        return bool(kept)

    def _breathe(self, done: int, size: int) -> None:
        now = time.monotonic()
        if now >= self._asked + BUSY_WAIT_S:
            while self._busy() and not self._stop.is_set():
                self._stop.wait(BUSY_WAIT_S)
            self._asked = now
        if self._stop.is_set():
            raise Stopped


def _be_modest() -> None:
    """Lowers this thread's priority where the system lets a thread have its own (Linux)."""
    if sys.platform == "linux":
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)
        except OSError as fault:
            log.debug("the hashing thread keeps its priority: %s", fault)
