"""What is fetched, one after the other, by a thread of its own; paused, taken up again, kept over restarts.

Whatever is not whole lies in a hidden folder beside its place. A file gets its name when its checksum is the hub's.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

from webui.errors import EaselError, RequestError
from webui.store.downloads.fetching import Stopped, Wrong, fetch, verify
from webui.store.downloads.hub import Hub, HubError
from webui.types.library import FOLDERS, Download, HubFile, HubListing

__all__ = ["FILE", "OFFLINE", "Downloads"]

FILE = "downloads.json"
KNOWN = Path(__file__).with_name("known.json")
OFFLINE = "Easel was started with --offline, so nothing is downloaded"
MARGIN = 1 << 30  # bytes that stay free on the disk
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 6, 1.0, 60.0
KEPT = 50  # ended ones that are remembered
SPEED_S = 2.0  # of which the speed is the average
NAMELESS = (  # names that say nothing outside of their repository
    *("diffusion_pytorch_model.safetensors", "model.safetensors"),
    *("pytorch_lora_weights.safetensors", "diffusion_pytorch_model.fp16.safetensors"),
)
ACTIVE = ("waiting", "running", "verifying")
log = logging.getLogger(__name__)


class Downloads:
    """The downloads of a data folder. `models` is where files go, `state` the folder of what is remembered. `check` may
    refuse a whole file with an `EaselError`; `arrived` hears of each one that is there. Implements
    `webui.types.library.DownloadsFace`."""

    def __init__(
        self,
        models: Path,
        state: Path,
        *,
        offline: bool = False,
        hub: Hub | None = None,
        check: Callable[[Path], None] = lambda path: None,
        arrived: Callable[[], object] = lambda: None,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._models = models
        self._file = state / FILE
        self._offline = offline
        self._hub = hub or Hub()
        self._check = check
        self._arrived = arrived
        self._first_wait_s = first_wait_s
        self._changed = threading.Condition()
        self._turns: dict[
            str, int
        ] = {}  # grows with each pause and removal: an older turn of the thread ends
        self._closed = False
        self._downloads = {one.id: one for one in self._read()}
        self._thread: threading.Thread | None = None

    @property
    def locked(self) -> str:
        return OFFLINE if self._offline else ""

    @property
    def folder(self) -> Path:
        return self._models

    def start(self) -> None:
        """Goes on with what was not finished."""
        with self._changed:
            if self._thread is None and not self._offline:
                self._thread = threading.Thread(target=self._run, name="downloads", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends the thread with the block that it waits for; what is not whole is taken up at the next start."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(5)

    def known(self) -> Sequence[Mapping[str, Any]]:
        found: list[dict[str, Any]] = json.loads(KNOWN.read_text(encoding="utf-8"))
        return found

    def all(self) -> Sequence[Download]:
        with self._changed:
            return list(self._downloads.values())

    def look(self, repo: str) -> HubListing:
        self._allow()
        return self._hub.listing(repo)

    def add(self, repo: str, kind: str, path: str) -> Download:
        self._allow()
        if kind not in FOLDERS:
            raise RequestError(f"kind {kind!r}: use {', '.join(FOLDERS)}", "kind")
        if path and not path.lower().endswith(".safetensors"):
            raise RequestError(
                f"{path}: only .safetensors are downloaded; other files can run code when they are opened",
                "path",
            )
        listing = self._hub.listing(repo)
        files = tuple(one for one in listing.files if one.path == path) if path else listing.folder
        if not files:
            lacks = f"has no file {path!r}" if path else "is no diffusers folder of .safetensors"
            raise RequestError(f"{listing.repo} {lacks}", "path")
        name = listing.repo.partition("/")[2]
        last = _plain(PurePosixPath(path).name if path else name)
        if last in NAMELESS:
            last = f"{_plain(name)}.safetensors"
        target = f"{FOLDERS[kind]}/{last}"
        with self._changed:
            if any(
                one.target == target and one.state != "done" for one in self._downloads.values()
            ):
                raise RequestError(f"{target} is in the list already", "path")
            if (self._models / target).exists():
                raise RequestError(f"{target} is there already", "path")
            made = Download(
                id=uuid.uuid4().hex[:12],
                repo=listing.repo,
                revision=listing.revision,
                kind=kind,
                target=target,
                files=files,
            )
            self._room(made)
            self._downloads[made.id] = made
            self._keep()
            self._changed.notify_all()
        self.start()
        return made

    def pause(self, download: str) -> Download:
        with self._changed:
            found = self._get(download)
            if found.state in ACTIVE:
                self._turns[download] = self._turns.get(download, 0) + 1
                self._set(download, state="paused", speed=0.0)
            return self._downloads[download]

    def resume(self, download: str) -> Download:
        self._allow()
        with self._changed:
            found = self._get(download)
            if found.state in ("paused", "failed"):
                self._set(download, state="waiting", problem="")
        self.start()
        return self._downloads[download]

    def remove(self, download: str) -> None:
        with self._changed:
            found = self._get(download)
            self._turns[download] = self._turns.get(download, 0) + 1
            del self._downloads[download]
            self._keep()
            self._changed.notify_all()
        shutil.rmtree(self._work(found), ignore_errors=True)

    # --- The thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next() is not None)
                found = self._next()
                if self._closed or found is None:
                    return
                self._set(found.id, state="running", problem="")
                turn = self._turns.get(found.id, 0)
            try:
                self._fetch(self._downloads[found.id], turn)
            except Stopped:
                if found.id not in self._downloads:  # removed while a block came
                    shutil.rmtree(self._work(found), ignore_errors=True)
                continue
            except (EaselError, OSError) as fault:
                said = (
                    str(fault)
                    if isinstance(fault, EaselError)
                    else f"{fault.filename}: {fault.strerror}"
                )
                if isinstance(fault, Wrong):
                    shutil.rmtree(self._work(found), ignore_errors=True)
                    self._told(found.id, 0, 0.0)
                self._end(found.id, turn, state="failed", problem=said, speed=0.0)
                log.warning("%s: %s", found.target, said)
                continue
            self._end(found.id, turn, state="done", done=found.size, speed=0.0)
            log.info("%s is there", found.target)
            self._arrived()

    def _next(self) -> Download | None:
        return next((one for one in self._downloads.values() if one.state == "waiting"), None)

    def _fetch(self, wanted: Download, turn: int) -> None:
        work, target = self._work(wanted), self._models / wanted.target
        self._room(wanted)
        for file in wanted.files:
            (work / file.path).parent.mkdir(parents=True, exist_ok=True)
        before = 0
        meter = _Meter(sum(_size(work / file.path) for file in wanted.files))
        with self._hub.client() as client:
            for file in wanted.files:
                part = work / file.path

                def came(done: int, before: int = before) -> None:
                    self._go_on(wanted.id, turn)
                    if meter.told(before + done):
                        self._told(wanted.id, before + done, meter.speed)

                for attempt in range(TRIES):
                    try:
                        fetch(client, self._hub, wanted.repo, wanted.revision, file, part, came)
                        break
                    except HubError as fault:
                        if not fault.again or attempt == TRIES - 1:
                            raise
                        wait_s = max(self._first_wait_s * 2**attempt, fault.wait_s)
                        self._wait(wanted.id, turn, min(wait_s, LONGEST_WAIT_S))
                before += file.size
        self._end(wanted.id, turn, state="verifying", done=0, speed=0.0)
        before = 0
        for file in wanted.files:

            def checked(done: int, before: int = before) -> None:
                self._go_on(wanted.id, turn)
                self._told(wanted.id, before + done, 0.0)

            verify(file, work / file.path, checked)
            if file.path.endswith(".safetensors"):
                try:
                    self._check(work / file.path)
                except EaselError as fault:
                    raise Wrong(str(fault)) from fault
            before += file.size
        with self._changed:
            self._go_on(wanted.id, turn)
            if target.exists():
                raise EaselError(f"{wanted.target} is there already, and was not replaced")
            one = wanted.files[0].path
            os.replace(work / one if wanted.target.endswith(".safetensors") else work, target)
        shutil.rmtree(work, ignore_errors=True)

    def _go_on(self, download: str, turn: int) -> None:
        """Raises `Stopped` where a turn of the thread is over."""
        if self._closed or self._turns.get(download, 0) != turn:
            raise Stopped

    def _wait(self, download: str, turn: int, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._turns.get(download, 0) != turn, seconds
            )
        self._go_on(download, turn)

    def _told(self, download: str, done: int, speed: float) -> None:
        with self._changed:
            if download in self._downloads:
                found = self._downloads[download]
                self._downloads[download] = replace(found, done=done, speed=speed)

    def _end(self, download: str, turn: int, **values: Any) -> None:
        with self._changed:
            if self._turns.get(download, 0) == turn and download in self._downloads:
                self._set(download, **values)

    # --- What is remembered -----------------------------------------------------------------------------

    def _allow(self) -> None:
        if self._offline:
            raise EaselError(OFFLINE)

    def _get(self, download: str) -> Download:
        if download not in self._downloads:
            raise RequestError("this download is no longer in the list", "id")
        return self._downloads[download]

    def _set(self, download: str, **values: Any) -> None:
        self._downloads[download] = replace(self._downloads[download], **values)
        self._keep()
        self._changed.notify_all()

    def _work(self, download: Download) -> Path:
        target = self._models / download.target
        return target.with_name(f".{download.id}.part")

    def _room(self, wanted: Download) -> None:
        """Raises `EaselError` where the disk has no room for what is still to come."""
        work = self._work(wanted)
        missing = wanted.size - sum(_size(work / file.path) for file in wanted.files)
        place = self._models
        while not place.exists() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free
        if missing + MARGIN > free:
            raise EaselError(
                f"{wanted.target} needs {_gb(missing)}, and the disk has {_gb(free)} free; "
                f"{_gb(MARGIN)} are to stay free"
            )

    def _keep(self) -> None:
        ended = [one.id for one in self._downloads.values() if one.state == "done"]
        for old in ended[:-KEPT]:
            del self._downloads[old]
        told = [asdict(one) for one in self._downloads.values()]
        part = self._file.with_name(f"{FILE}.{os.getpid()}.part")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")
            os.replace(part, self._file)
        except OSError as fault:
            with suppress(OSError):
                part.unlink()
            log.warning("%s cannot be written: %s", self._file, fault.strerror)

    def _read(self) -> list[Download]:
        try:
            told = json.loads(self._file.read_text(encoding="utf-8"))
            found = [
                Download(**{**one, "files": tuple(HubFile(**f) for f in one["files"])})
                for one in told
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as fault:
            log.warning("%s is not understood (%s); downloads begin anew", self._file, fault)
            return []
        return [self._taken_up(one) for one in found if _is_safe(one)]

    def _taken_up(self, kept: Download) -> Download:
        done = kept.size
        if kept.state != "done":
            done = sum(_size(self._work(kept) / file.path) for file in kept.files)
        state = "waiting" if kept.state in ACTIVE else kept.state
        return replace(kept, state=state, done=done, speed=0.0)


class _Meter:
    """How fast bytes come, and when it is time to tell."""

    def __init__(self, done: int) -> None:
        self.speed = 0.0
        self._seen = [(time.monotonic(), done)]
        self._at = 0.0

    def told(self, done: int) -> bool:
        now = time.monotonic()
        if now - self._at < 0.1:
            return False
        self._at = now
        self._seen = [one for one in self._seen if now - one[0] <= SPEED_S] or self._seen[-1:]
        begun, had = self._seen[0]
        self.speed = max(0.0, (done - had) / max(now - begun, 0.1))
        self._seen.append((now, done))
        return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _plain(name: str) -> str:
    """A file's name as every system takes it."""
    kept = "".join(sign if sign.isalnum() or sign in "._- ()+" else "_" for sign in name)
    return kept.strip(". ") or "model"


def _is_safe(kept: Download) -> bool:
    """Whether what was remembered still stays inside of the models folder."""
    names = [PurePosixPath(kept.target), *(PurePosixPath(file.path) for file in kept.files)]
    inside = all(not one.is_absolute() and ".." not in one.parts for one in names)
    return inside and kept.id.isalnum() and names[0].parts[0] in FOLDERS.values()
