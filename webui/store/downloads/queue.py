"""What is fetched, one after the other, by a thread of its own; paused, taken up again, kept over restarts.

Whatever is not whole lies in a hidden folder beside its place. A file gets its name when its checksum is the hub's.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from webui.errors import EaselError, RequestError, Sentence
from webui.store.downloads import state as state_file
from webui.store.downloads.fetching import Stopped, Wrong
from webui.store.downloads.hub import Hub
from webui.store.downloads.install import FIRST_WAIT_S, deliver
from webui.store.downloads.places import Place, target_of
from webui.types.library import FOLDERS, Download, HubListing

__all__ = ["OFFLINE", "Downloads"]

KNOWN = Path(__file__).with_name("known.json")
OFFLINE = Sentence("Easel was started with --offline, so nothing is downloaded")
KEPT = 50  # ended ones that are remembered
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
        self._place = Place(models)
        self._file = state / state_file.FILE
        self._offline = offline
        self._hub = hub or Hub()
        self._check = check
        self._arrived = arrived
        self._first_wait_s = first_wait_s
        self._changed = threading.Condition()
        self._turns: dict[str, int] = {}  # grow with each pause and removal: an older turn ends
        self._closed = False
        self._downloads = {one.id: self._taken_up(one) for one in state_file.read(self._file)}
        self._thread: threading.Thread | None = None

    @property
    def locked(self) -> str:
        return OFFLINE if self._offline else ""

    @property
    def folder(self) -> Path:
        return self._place.models

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
            raise RequestError(
                Sentence("kind {kind}: use {folders}", kind=repr(kind), folders=", ".join(FOLDERS)),
                "kind",
            )
        if path and not path.lower().endswith(".safetensors"):
            raise RequestError(
                Sentence(
                    "{path}: only .safetensors are downloaded; other files can run code "
                    "when they are opened",
                    path=path,
                ),
                "path",
            )
        listing = self._hub.listing(repo)
        files = tuple(one for one in listing.files if one.path == path) if path else listing.folder
        if not files:
            lacks = (
                Sentence("has no file {path}", path=repr(path))
                if path
                else Sentence("is no diffusers folder of .safetensors")
            )
            raise RequestError(Sentence("{repo} {lacks}", repo=listing.repo, lacks=lacks), "path")
        target = target_of(kind, listing.repo, path)
        with self._changed:
            if any(
                one.target == target and one.state != "done" for one in self._downloads.values()
            ):
                raise RequestError(
                    Sentence("{target} is in the list already", target=target), "path"
                )
            if (self._place.models / target).exists():
                raise RequestError(Sentence("{target} is there already", target=target), "path")
            made = Download(
                id=uuid.uuid4().hex[:12],
                repo=listing.repo,
                revision=listing.revision,
                kind=kind,
                target=target,
                files=files,
            )
            self._place.demand_room(made)
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
        self._place.clear(found)

    # --- The thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next() is not None)
                found = self._next()
                if self._closed or found is None:
                    return
                self._set(found.id, state="running", problem="")
                turn = _Turn(self, found.id, self._turns.get(found.id, 0))
            try:
                deliver(
                    self._downloads[found.id],
                    self._place,
                    self._hub,
                    turn,
                    self._check,
                    self._first_wait_s,
                )
            except Stopped:
                if found.id not in self._downloads:  # removed while a block came
                    self._place.clear(found)
                continue
            except (EaselError, OSError) as fault:
                said = str(fault)
                if isinstance(fault, OSError):
                    said = Sentence(
                        "{value}: {value2}",
                        value=fault.filename or found.target,
                        value2=fault.strerror or fault,
                    )
                if isinstance(fault, Wrong):
                    self._place.tidy(found)
                    turn.told(self._place.there(found), 0.0)
                turn.end(state="failed", problem=said, speed=0.0)
                log.warning("%s: %s", found.target, said)
                continue
            turn.end(state="done", done=found.size, speed=0.0)
            log.info("%s is there", found.target)
            self._arrived()

    def _next(self) -> Download | None:
        return next((one for one in self._downloads.values() if one.state == "waiting"), None)

    # --- What is remembered -----------------------------------------------------------------------------

    def _allow(self) -> None:
        if self._offline:
            raise EaselError(OFFLINE)

    def _get(self, download: str) -> Download:
        if download not in self._downloads:
            raise RequestError(Sentence("this download is no longer in the list"), "id")
        return self._downloads[download]

    def _set(self, download: str, **values: Any) -> None:
        self._downloads[download] = replace(self._downloads[download], **values)
        self._keep()
        self._changed.notify_all()

    def _keep(self) -> None:
        ended = [one.id for one in self._downloads.values() if one.state == "done"]
        for old in ended[:-KEPT]:
            del self._downloads[old]
        state_file.write(self._file, self._downloads.values())

    def _taken_up(self, kept: Download) -> Download:
        """A download of an earlier start."""
        done = kept.size if kept.state == "done" else self._place.there(kept)
        state = "waiting" if kept.state in ACTIVE else kept.state
        return replace(kept, state=state, done=done, speed=0.0)


class _Turn:
    """A turn of the thread: it is over once somebody has paused or removed the download, or closed the queue. Part of
    `Downloads`, whose lock and list it uses. Implements `webui.store.downloads.install.Turn`."""

    def __init__(self, queue: Downloads, download: str, number: int) -> None:
        self._queue, self._download, self._number = queue, download, number

    def _over(self) -> bool:
        queue = self._queue
        return queue._closed or queue._turns.get(self._download, 0) != self._number

    def go_on(self) -> None:
        if self._over():
            raise Stopped

    def wait(self, seconds: float) -> None:
        with self._queue._changed:
            self._queue._changed.wait_for(self._over, seconds)
        self.go_on()

    def told(self, done: int, speed: float) -> None:
        with self._queue._changed:
            found = self._queue._downloads.get(self._download)
            if found is not None:
                self._queue._downloads[self._download] = replace(found, done=done, speed=speed)

    def verifying(self) -> None:
        self.end(state="verifying", done=0, speed=0.0)

    def finish(self, move: Callable[[], None]) -> None:
        with self._queue._changed:
            self.go_on()
            move()

    def end(self, **values: Any) -> None:
        """Sets fields of the download, unless somebody else did so since."""
        queue = self._queue
        with queue._changed:
            if queue._turns.get(self._download, 0) == self._number:
                if self._download in queue._downloads:
                    queue._set(self._download, **values)
