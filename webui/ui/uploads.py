"""The ASGI middleware around Gradio's upload route, and what is left lying where uploads go.

Gradio writes an upload into `tmp????????` and renames it when it is whole. One that is cut, or that does not fit on the
disk, leaves that file behind, and so does a killed process.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.errors import Sentence
from webui.ui.gradio_adapter import is_upload, upload_folder

__all__ = ["KEEP_S", "Uploads", "UploadsFolder"]

log = logging.getLogger(__name__)

KEEP_S = (
    24 * 3600
)  # how long uploads and links to pictures last; the pictures themselves stay in outputs/
PART = re.compile(r"tmp[a-z0-9_]{8}")  # as `tempfile` names files
WHOLE = re.compile(r"[0-9a-f]{32,64}")  # a folder with an upload, or with a link to a picture
COARSE_S = 2.0  # by which a file's time may be off
FULL = {errno.ENOSPC, errno.EDQUOT}


class UploadsFolder:
    """Which uploads are under way, and the sweeping of what belongs to none. May be used from any thread."""

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._began: dict[
            int, tuple[float, float]
        ] = {}  # time of day, and of a clock that nobody sets

    @property
    def folder(self) -> Path:
        return self._given or upload_folder()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around an upload: its file is in use."""
        with self._lock:
            number = next(self._numbers)
            self._began[number] = (time.time(), time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._began[number]

    def _seen(self) -> list[tuple[str, str, os.stat_result]]:
        """Path, name and state of what lies in the folder."""
        found = []
        try:
            for entry in os.scandir(self.folder):
                with suppress(FileNotFoundError):  # whole, or swept, meanwhile
                    found.append((entry.path, entry.name, entry.stat()))
        except OSError:  # nothing has ever been uploaded
            return []
        return found

    def sweep(self) -> int:
        """Removes the files of uploads that have ended without being whole, and what is older than `KEEP_S`; gives how
        many. A file is in use if it may be that of an upload that is under way: not older than the first of them."""
        seen = self._seen()
        with self._lock:  # afterwards: the files of whoever began later are not among those seen
            began = list(self._began.values())
        now, steady = time.time(), time.monotonic()
        if any(abs((now - day) - (steady - clock)) > COARSE_S / 2 for day, clock in began):
            return 0  # the clock was set meanwhile, so that times say nothing
        first = min((day for day, _ in began), default=float("inf"))
        swept = 0
        for path, name, found in seen:
            try:
                if PART.fullmatch(name) and found.st_mtime < first - COARSE_S:
                    os.truncate(
                        path, 0
                    )  # Gradio may still have it open, which would hold the space
                    os.unlink(path)
                elif WHOLE.fullmatch(name) and newest(Path(path)) < now - KEEP_S:
                    shutil.rmtree(path)
                else:
                    continue
                swept += 1
            except OSError as fault:  # gone meanwhile, or open on Windows
                log.debug("%s: %s", path, fault)
        return swept


def newest(folder: Path) -> float:
    """When a folder or one of its files was last changed."""
    return max(path.stat().st_ctime for path in (folder, *folder.iterdir()))


class Uploads:
    """Wraps Gradio's app: an upload that fails is answered with a sentence and leaves nothing behind."""

    def __init__(self, app: ASGIApp, folder: UploadsFolder) -> None:
        self.app = app
        self.folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_upload(scope["path"]):
            await self.app(scope, receive, send)
            return
        answered = False

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        status, sentence = 0, ""
        with self.folder.one():
            try:
                await self.app(scope, receive, noted)
                return
            except ClientDisconnect:
                pass  # nobody waits for an answer
            except OSError as fault:
                status, sentence = 503, f"the upload cannot be kept: {fault.strerror or fault}"
                if fault.errno in FULL:
                    sentence = Sentence("the disk is full: make some space, and upload it again")
                    status = 507
            except (TypeError, AttributeError, ValueError, LookupError) as fault:
                log.info("an upload was refused: %r", fault)
                status, sentence = 400, "send files, as multipart/form-data under the name 'files'"
        await to_thread.run_sync(self.folder.sweep)
        if status and not answered:
            await JSONResponse({"detail": sentence}, status_code=status)(scope, receive, send)
