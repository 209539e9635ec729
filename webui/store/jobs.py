"""Jobs, their pictures and their replies between starts (`webui.types.persistence.JobPersistence`), under one folder.

    easel.db        jobs and pictures
    pictures/       the pictures of requests, by their content
    replies/        a log for each picture that is being made
    steps/          the logs of saved pictures, where they are to be kept
    files/          a folder for each task that writes files

Knows requests as JSON and paths; knows no tensor.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from sqlite3 import Error as SqliteError
from sqlite3 import Row
from typing import Any

from webui import metadata
from webui.errors import EaselError, RequestError, lacking
from webui.metadata import PICTURE_SUFFIXES, beside
from webui.opening import open_file
from webui.sentences import Sentence, kept, with_keys
from webui.store import requests
from webui.store.database import Database
from webui.store.replies import Archive, ReplyLog, Room
from webui.types import GenerationRequest, JobState, SavedPicture, SubmissionKey
from webui.types.persistence import Record, StoredJob

__all__ = ["JobStore"]

log = logging.getLogger(__name__)
DAY_S = 24 * 3600
ENDED = ("done", "failed", "cancelled")
PICTURE = re.compile(r"[0-9a-f]{64}\.png")
OTHER_BODY = (
    "Idempotency-Key: it came with another request before; send the same request again, "
    "or use a new key for a new job"
)


class JobStore:
    """The store of one data folder. Raises `EaselError` with a sentence where the disk says no."""

    def __init__(self, folder: Path, replies_bytes: float = 4e9, steps_bytes: float = 0) -> None:
        """Opens or makes it; as `Database` for what can be wrong with that. Logs of replies take `replies_bytes` at
        most; of those of saved pictures the newest `steps_bytes` are kept."""
        self._folder = folder
        self._database = Database(folder / "easel.db")
        self._accepting = (
            threading.Lock()
        )  # a picture lies on disk before its job does: nobody tidies between
        logs = (folder / "replies").glob("*")
        self._steps_bytes = steps_bytes
        self._archive = Archive(folder / "steps", steps_bytes)
        self._room = Room(replies_bytes, sum(path.stat().st_size for path in logs))

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged database went, if it was."""
        return self._database.set_aside

    def close(self) -> None:
        self._database.close()

    # --- jobs -------------------------------------------------------------------------------------

    def accept(self, job: StoredJob, key: SubmissionKey | None) -> str:
        name, body = (None, None) if key is None else (key.key, key.body)
        with self._told(), self._accepting:
            text = requests.dump(job.request, self._folder / "pictures")
            with self._database.changing() as connection:
                known = connection.execute(
                    "SELECT id, body FROM jobs WHERE key IS NOT NULL AND key = ?", (name,)
                ).fetchone()
                if known is not None:
                    if known["body"] not in (None, body):
                        raise RequestError(OTHER_BODY, "Idempotency-Key")
                    return str(known["id"])
                connection.execute(
                    "INSERT INTO jobs (id, number, owner, key, body, request, state, priority, created_s) "
                    "SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ? FROM jobs",
                    (job.id, job.owner, name, body, text, job.state, job.priority, job.created_s),
                )
        return job.id

    def changed(
        self,
        job_id: str,
        state: JobState,
        priority: int = 0,
        error: str | None = None,
        interrupted: bool = False,
        skipped: Collection[int] = (),
    ) -> None:
        ended_s = time.time() if state in ENDED else None
        said = json.dumps(with_keys(error)) if isinstance(error, Sentence) else None
        places = ",".join(map(str, sorted(skipped)))
        with self._told(), self._database.changing() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, priority = ?, error = ?, said = ?, ended_s = ?, interrupted = ?, "
                "skipped = ? WHERE id = ?",
                (state, priority, error, said, ended_s, interrupted, places, job_id),
            )

    def unfinished(self) -> Sequence[StoredJob]:
        """The jobs that had not ended. One whose request can no longer be read has failed, with that sentence.
        A picture that was renamed into its place is finished, even if nobody lived to write that down."""
        found = []
        open_ = self._database.rows(
            "SELECT * FROM jobs WHERE state IN ('queued', 'running', 'paused') ORDER BY number"
        )
        for row in open_:
            try:
                request = requests.load(row["request"], self._folder / "pictures")
            except (EaselError, ValueError, KeyError, TypeError) as fault:
                if lacking(fault):  # what is there cannot be read for now
                    raise
                log.error("job %s cannot go on: %s", row["id"], fault)
                with suppress(EaselError):  # it is found out again at the next start
                    why = Sentence("it cannot go on: {why}", why=fault)
                    self.changed(row["id"], "failed", row["priority"], why)
                continue
            found.append(replace(self._kept(row, request), begun=self._begun(row["id"])))
        return found

    def _begun(self, job_id: str) -> frozenset[int]:
        """The pictures of a job that have a log."""
        logs = (self._folder / "replies").glob(f"{job_id}-*.log")
        places = (path.stem.rpartition("-")[2] for path in logs)
        return frozenset(int(place) for place in places if place.isdigit())

    def ended(self, limit: int) -> Sequence[StoredJob]:
        found = []
        rows = self._database.rows(
            "SELECT * FROM jobs WHERE state IN ('done', 'failed', 'cancelled') ORDER BY number DESC LIMIT ?",
            limit,
        )
        for row in reversed(rows):
            with suppress(
                EaselError, ValueError, KeyError, TypeError
            ):  # of another version: only a memory
                found.append(self._kept(row, requests.load(row["request"], None)))
        return found

    def _kept(self, row: Row, request: GenerationRequest) -> StoredJob:
        return StoredJob(
            row["id"],
            request,
            row["owner"],
            row["priority"],
            row["state"],
            row["created_s"],
            self._pictures(row["id"]),
            kept(row["error"], row["said"]),
            row["ended_s"],
            bool(row["interrupted"]),
            frozenset(int(place) for place in row["skipped"].split(",") if place),
        )

    def request(self, job_id: str) -> GenerationRequest:
        rows = self._database.rows("SELECT request FROM jobs WHERE id = ?", job_id)
        if not rows:
            raise EaselError(Sentence("job {job_id} is not kept", job_id=job_id))
        return requests.load(rows[0]["request"], self._folder / "pictures")

    def replies(self, job_id: str, index: int) -> ReplyLog:
        archive = self._archive if self._steps_bytes else None
        return ReplyLog(self._folder / "replies" / f"{job_id}-{index}.log", self._room, archive)

    def steps(self, job_id: str, index: int) -> tuple[Mapping[str, Any], Sequence[Record]] | None:
        """What a saved picture was made of, where that was kept: what its log was begun with, and every reply."""
        return self._archive.read(f"{job_id}-{index}.log")

    def folder(self, job_id: str, index: int) -> Path:
        return self._folder / "files" / f"{job_id}-{index}"

    # --- pictures ---------------------------------------------------------------------------------

    def reserved(self, job_id: str, index: int) -> Path | None:
        """The name that a picture got before a crash, if it did."""
        rows = self._database.rows(
            "SELECT path FROM pictures WHERE job = ? AND place = ?", job_id, index
        )
        return Path(rows[0]["path"]) if rows else None

    def reserve(
        self, job_id: str, index: int, path: Path, seed: int, sealed: str | None = None
    ) -> None:
        """Writes down where a picture will lie, before it is written there. `sealed` is the SHA-256 of the file that
        is about to appear there, "" while there is none: another file at the path is not this picture. Without it
        any picture at the path counts as this one."""
        with self._told(), self._database.changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pictures (job, place, path, seed, sealed) VALUES (?, ?, ?, ?, ?)",
                (job_id, index, str(path), seed, sealed),
            )

    def names_in(self, folder: Path) -> list[str]:
        """The names that pictures of a folder were given, whether they still lie there or not."""
        start = f"{folder}{os.sep}"
        rows = self._database.rows(
            "SELECT path FROM pictures WHERE path >= ? AND path < ?",
            *(start, start[:-1] + chr(ord(os.sep) + 1)),
        )
        names = [row["path"][len(start) :] for row in rows]
        return [name for name in names if os.sep not in name]

    def saved(self, job_id: str, index: int, picture: SavedPicture) -> None:
        """Writes down a picture that is on disk."""
        with self._told():
            rows = self._database.rows(
                "SELECT sealed FROM pictures WHERE job = ? AND place = ?", job_id, index
            )
            digest = (rows and rows[0]["sealed"]) or digest_of(picture.path)
            with self._database.changing() as connection:
                connection.execute(
                    "UPDATE pictures SET width = ?, height = ?, hash = ?, infotext = ? WHERE job = ? AND place = ?",
                    (picture.width, picture.height, digest, picture.parameters, job_id, index),
                )

    def heard(self, job_id: str, index: int) -> None:
        """Extensions were told of a picture."""
        with self._told(), self._database.changing() as connection:
            connection.execute(
                "UPDATE pictures SET heard = 1 WHERE job = ? AND place = ?", (job_id, index)
            )

    def unheard(self) -> list[tuple[str, int, str, SavedPicture, GenerationRequest]]:
        """The pictures that are on disk and that extensions may not have been told of, with job, place and owner."""
        found = []
        rows = self._database.rows(
            "SELECT pictures.*, owner, request FROM pictures JOIN jobs ON jobs.id = pictures.job "
            "WHERE hash IS NOT NULL AND NOT heard ORDER BY number, place"
        )
        for row in rows:
            picture = _as_saved(row)
            try:
                request = requests.load(row["request"], self._folder / "pictures")
            except (
                EaselError,
                ValueError,
                KeyError,
                TypeError,
            ):  # nobody can be told of it any more
                continue
            if picture is not None:
                found.append((row["job"], row["place"], row["owner"], picture, request))
        return found

    def whose(self, path: Path) -> tuple[str, str] | None:
        """The job that made a file, or has its name reserved, and whose that is; None for a file of no job."""
        rows = self._database.rows(
            "SELECT job, owner FROM pictures JOIN jobs ON jobs.id = job WHERE path = ?", str(path)
        )
        return (rows[0]["job"], rows[0]["owner"]) if rows else None

    def tidy(
        self,
        jobs_days: float = 0,
        outputs_days: float = 0,
        favourite: Callable[[Path], bool] = lambda path: False,
    ) -> None:
        """Removes logs and pictures of requests that belong to no open job; what is remembered of jobs that ended more
        than `jobs_days` ago; and saved pictures older than `outputs_days`, unless `favourite` says that a file is one.
        0 is for ever."""
        now = time.time()
        if outputs_days:
            self._remove_outputs(now - outputs_days * DAY_S, favourite)
        if jobs_days:
            self._forget_jobs(now - jobs_days * DAY_S, favourite)
        with self._accepting:
            self._remove_unneeded()

    def _remove_unneeded(self) -> None:
        open_ = self._database.rows(
            "SELECT id, request FROM jobs WHERE state IN ('queued', 'running', 'paused')"
        )
        needed = {name for row in open_ for name in PICTURE.findall(row["request"])}
        ids = {row["id"] for row in open_}
        for path in (self._folder / "replies").glob("*"):
            if path.stem.rpartition("-")[0] not in ids:
                ReplyLog(path, self._room).remove()
        self._archive.prune()
        for path in self._archive.folder.glob("*.log"):  # what went with its picture
            job, _, index = path.stem.rpartition("-")
            made = self.reserved(job, int(index)) if index.isdigit() else None
            if made is None or not made.is_file():
                path.unlink(missing_ok=True)
        for path in (self._folder / "files").glob("*"):
            if path.name.rpartition("-")[0] not in ids:
                shutil.rmtree(path, ignore_errors=True)
        for path in (self._folder / "pictures").glob("*"):
            if path.name not in needed:
                path.unlink(missing_ok=True)

    def _forget_jobs(self, before_s: float, favourite: Callable[[Path], bool]) -> None:
        rows = self._database.rows(
            "SELECT id, path FROM jobs LEFT JOIN pictures ON job = id WHERE ended_s < ?", before_s
        )
        kept = {row["id"] for row in rows if row["path"] and favourite(Path(row["path"]))}
        old = {row["id"] for row in rows} - kept
        with self._told(), self._database.changing() as connection:
            connection.executemany("DELETE FROM jobs WHERE id = ?", [(job,) for job in old])

    def _remove_outputs(self, before_s: float, favourite: Callable[[Path], bool]) -> None:
        rows = self._database.rows(
            "SELECT path, hash FROM pictures JOIN jobs ON jobs.id = job WHERE ended_s < ? AND hash IS NOT NULL",
            before_s,
        )
        old = []
        for path, digest in ((Path(row["path"]), row["hash"]) for row in rows):
            with suppress(
                OSError
            ):  # another file may have the name by now: only the picture itself goes
                if path.is_file() and not favourite(path) and digest_of(path) == digest:
                    old.append(path)
        for path in old:
            path.unlink(missing_ok=True)
            if path.suffix.lower() not in PICTURE_SUFFIXES:
                beside(path).unlink(missing_ok=True)
        if old:
            log.info("%d pictures were old enough to be removed", len(old))

    def _pictures(self, job_id: str) -> dict[int, SavedPicture]:
        found = {}
        for row in self._database.rows("SELECT * FROM pictures WHERE job = ?", job_id):
            picture = _as_saved(row)
            if picture is not None:
                found[row["place"]] = picture
                if row["hash"] is None:
                    with suppress(
                        EaselError, OSError
                    ):  # the picture is there, and told the next time
                        self.saved(job_id, row["place"], picture)
        return found

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of the disk as sentences; a full one keeps its number, for who waits for space."""
        try:
            yield
        except SqliteError as fault:
            cause = OSError(number, str(fault)) if (number := lack_of(fault)) else fault
            raise EaselError(
                Sentence("{path} cannot be written: {why}", path=self._database.path, why=fault)
            ) from cause
        except OSError as fault:
            raise EaselError(
                Sentence(
                    "{folder} cannot be written: {why}", folder=self._folder, why=fault.strerror
                )
            ) from fault


def lack_of(fault: SqliteError) -> int:
    """The system's number for what the disk or the machine lacks, 0 where that is not it. SQLite opens files of its own
    while it works, and says of that only that it could not."""
    if "full" in str(fault):
        return errno.ENOSPC
    if "unable to open" in str(fault):
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as lack:
            return lack.errno or 0
    return 0


def _as_saved(row: Row) -> SavedPicture | None:
    """A picture that is whole on disk; None where only its name is reserved. One that was finished and has
    been moved or deleted since counts as made."""
    path = Path(row["path"])
    if row["hash"] is not None:
        size, text = (row["width"], row["height"]), row["infotext"]
        notes = metadata.notes_in(text)
        return SavedPicture(path, row["seed"], *size, text, row["place"], notes)
    try:
        if row["sealed"] is not None and row["sealed"] != digest_of(path):
            return None  # another file has the name
        _let_go(path)
        if row["sealed"] is not None and path.suffix.lower() not in PICTURE_SUFFIXES:
            text = _told_beside(path)
            return SavedPicture(
                path, row["seed"], 0, 0, text, row["place"], metadata.notes_in(text)
            )
        with open_file(path) as picture:
            text = metadata.read(picture) or ""
            notes = metadata.notes_in(text)
            return SavedPicture(path, row["seed"], *picture.size, text, row["place"], notes)
    except Exception:  # what Pillow raises of a stranger's file is nowhere said
        return None


def _told_beside(path: Path) -> str:
    """The infotext beside a file that cannot hold one."""
    with suppress(OSError, UnicodeError):
        return beside(path).read_text(encoding="utf-8").removesuffix("\n")
    return ""


def _let_go(path: Path) -> None:
    """Removes the hidden file that a killed process wrote a picture to, where it is the picture itself."""
    for part in path.parent.glob(".*.part"):
        if part.samefile(path):
            part.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises `OSError`."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
