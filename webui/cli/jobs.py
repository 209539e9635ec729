"""A job followed from a terminal: its progress in a line, its pictures' paths, its copies."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from webui.errors import EaselError, RequestError
from webui.reserving import publish
from webui.types import EngineFace, GenerationRequest, JobStatus

__all__ = ["CANCELLED", "ProgressLine", "check_output", "destinations", "generate"]

CANCELLED = 130  # exit code, as shells have it for Ctrl+C
NAMES = 10_000  # that are tried for a copy
FILES = (".png", ".jpg", ".webp", ".gif")  # what `images.save` makes


def generate(
    engine: EngineFace, request: GenerationRequest, output: Path | None, stop: threading.Event
) -> int:
    """Runs a request on a started engine; prints the pictures' paths to stdout, the rest to stderr.

    Gives 0, or 1 when it failed; when `stop` is set the job is cancelled: 130.
    """
    status = follow(engine, engine.submit(request), stop)
    paths = [picture.path for picture in status.pictures]
    if output is not None:
        targets = destinations(output, paths)
        paths = [copied(path, target) for path, target in zip(paths, targets, strict=True)]
        for path, target in zip(paths, targets, strict=True):
            if path != target:
                told = f"{target} is there already and stays; the picture is {path}"
                print(f"Easel: {told}", file=sys.stderr, flush=True)
    for path in paths:
        print(path, flush=True)
    for note in dict.fromkeys(note for picture in status.pictures for note in picture.notes):
        print(f"Easel: {note}", file=sys.stderr, flush=True)
    if status.error:
        print(f"Easel: {status.error}", file=sys.stderr, flush=True)
    return {"done": 0, "cancelled": CANCELLED}.get(status.state, 1)


def follow(engine: EngineFace, job_id: str, stop: threading.Event) -> JobStatus:
    """Shows the job's progress until it has ended; cancels it when `stop` is set."""
    line = ProgressLine(sys.stderr)
    status = engine.status(job_id)
    while not status.ended:
        if stop.is_set():
            engine.cancel(job_id)
        line.show(progress(status))
        status = engine.wait(job_id, status.version, 0.5)
    line.end(f"{status.state} in {status.seconds:.1f} s")
    return status


def progress(status: JobStatus) -> str:
    """What a job is doing, in a few words."""
    if status.note:
        return status.note
    if status.position:
        return f"position {status.position} in the queue"
    left = "" if status.eta_s is None else f", {max(status.eta_s, 0):.0f} s left"
    step = f"step {status.step} of {status.steps}{left}" if status.step else "starting"
    number, places = status.request.batch_size, [one.index + 1 for one in status.running]
    if number == 1 or not places:
        return step
    if len(places) == 1:
        return f"picture {places[0]} of {number}, {step}"
    return f"pictures {places[0]} to {places[-1]} of {number}, {step}"


class ProgressLine:
    """One line that changes on a terminal; elsewhere a new line for what is new, at most every 2 s."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._changing = stream.isatty()
        self._shown = ""
        self._shown_s = 0.0

    def show(self, text: str) -> None:
        if text == self._shown:
            return
        now = time.monotonic()
        if self._changing:
            self._stream.write("\r" + text.ljust(len(self._shown)))
        elif now - self._shown_s >= 2:
            self._stream.write(text + "\n")
        else:
            return
        self._stream.flush()
        self._shown, self._shown_s = text, now

    def end(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(len(self._shown)) if self._changing else text)
        self._stream.write("\n")
        self._stream.flush()


def check_output(output: Path, suffix: str = "") -> None:
    """Makes the folder of `output`; a RequestError where no picture could be put there, nor what the task makes, whose
    name ends in `suffix`."""
    named = output.name.lower()
    fits = output.suffix.lower() in ("", *FILES) or (suffix and named.endswith(suffix))
    if not output.is_dir() and not fits:
        raise RequestError(
            f"-o {output}: this task makes a file of its own; use {output.stem}{suffix}"
            if suffix
            else f"-o {output}: pictures are saved as PNG, JPEG or WebP; use {output.stem}.png"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"-o {output}: {error.strerror}") from None


def destinations(output: Path, paths: Sequence[Path]) -> list[Path]:
    """Where copies of `paths` go: under their names into a folder, else FILE, or FILE-1, FILE-2 ...

    A FILE that says another kind than the picture's gets the picture's suffix: nothing is converted.
    """
    if output.is_dir():
        return [output / path.name for path in paths]
    numbered = [output.with_stem(f"{output.stem}-{i}") for i in range(1, len(paths) + 1)]
    targets = numbered if len(paths) > 1 else [output]
    return [
        target.with_suffix(path.suffix) if target.suffix.lower() in FILES else target
        for path, target in zip(paths, targets, strict=False)
    ]


def copied(source: Path, target: Path) -> Path:
    """A copy of `source` that appears whole: `target`, or the next free name beside it, for no file is replaced."""
    part = target.with_name(f".easel-{os.getpid()}.part")
    try:
        with open(source, "rb") as picture, open(part, "xb") as copy:
            shutil.copyfileobj(picture, copy)
        try:
            for number in range(NAMES):
                free = target.with_stem(f"{target.stem}-{number}") if number else target
                with suppress(FileExistsError):
                    publish(part, free)
                    return free
            raise FileExistsError(errno.EEXIST, "so many files of that name are there")
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise EaselError(f"-o {target}: {error.strerror}; the picture is {source}") from None
