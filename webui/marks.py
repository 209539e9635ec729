"""What the process is doing at this moment, on disk: so that the next process knows what ended this one.

A file for each process: a slot for each thread, with what it is inside of, the outermost first; behind the slots what
the process said while it died. Nothing is fsynced: this outlives the process, not a power failure. A mark is one small
write into a file that has its size already, never a mapped page: on a full disk a write fails and is left out, where a
page of a copy-on-write file system would end the process. Knows the standard library only.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Death", "Frame", "Marks", "deaths", "framed", "told_exits"]

log = logging.getLogger(__name__)

SLOT = 1024  # bytes; what is longer loses its end
SLOTS = 64  # the first says whose file it is, the others are threads
TAIL_MAX = 200_000  # bytes of what a dying process said that are read
ENDING = ".marks"
CURRENT = re.compile(r"^Current thread 0x0*([0-9a-f]+)", re.MULTILINE)
MODULES = re.compile(r"^Extension modules: .*$", re.MULTILINE)  # a long list of no use
LINE = re.compile(r'^  File "([^"]+)", line \d+', re.MULTILINE)

Frame = tuple[str, ...]  # its kind, then what it is about


class Marks:
    """The marks of this process in `folder`; without a folder, or where the disk says no, there are none.

    `enter` and `leave` stand around work, on one thread, and may be nested. Any thread may call.
    """

    def __init__(self, folder: Path | None = None, command: str = "") -> None:
        self._threads: dict[int, tuple[int, list[bytes]]] = {}
        self._free = list(range(SLOTS - 1, 0, -1))
        self._file = self._tail = -1
        self.path: Path | None = None
        self._about: dict[str, object] = {}
        if folder is None:
            return
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{ENDING}"
        about = {"pid": os.getpid(), "command": command, "boot": boot(), "kills": kills()}
        self._about = about
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(file, _slot([json.dumps(about).encode()]).ljust(SLOT * SLOTS, b"\n"))
                lock(file)
                self._tail = os.open(path, os.O_WRONLY | os.O_APPEND)
            except BaseException:
                os.close(file)
                path.unlink(missing_ok=True)
                raise
        except OSError as fault:
            log.warning("what ends the process will not be known: %s: %s", path, fault.strerror)
            return
        self.path, self._file = path, file
        _living.add(path)

    @property
    def tail(self) -> int:
        """The descriptor that what a dying process says is written to, -1 where there are no marks."""
        return self._tail

    def enter(self, *frames: bytes) -> None:
        """This thread is inside of `frames` (each made by `framed`) from now on, until it leaves."""
        if self._file < 0:
            return
        thread = threading.get_ident()
        mine = self._threads.get(thread)
        if mine is None:
            try:
                slot = self._free.pop()
            except IndexError:  # more threads than anybody has
                slot = -1
            mine = self._threads[thread] = (slot, [b"%x" % thread])
        mine[1].append(b"\x1f".join(frames))
        self._write(*mine)

    def leave(self) -> None:
        """This thread is outside of what it entered last."""
        thread = threading.get_ident()
        mine = self._threads.get(thread)
        if self._file < 0 or mine is None:
            return
        slot, inside = mine
        inside.pop()
        if len(inside) > 1:
            self._write(slot, inside)
            return
        del self._threads[thread]
        self._write(slot, [])
        if slot > 0:
            self._free.append(slot)

    def _write(self, slot: int, inside: list[bytes]) -> None:
        if slot > 0:
            with suppress(OSError):  # a full disk costs a mark
                write_at(self._file, _slot(inside), slot * SLOT)

    def asked(self) -> None:
        """Somebody has asked the process to end: whoever kills it while it does means nothing by it."""
        if self._file >= 0:
            with suppress(OSError):
                about = json.dumps({**self._about, "asked": True}).encode()
                write_at(self._file, _slot([about]), 0)

    def tell(self, what: str, stack: bool = True) -> None:
        """The process is about to end by something that nobody asked for; `stack`: by this thread's doing."""
        if self._tail < 0:
            return
        with suppress(OSError, ValueError):
            os.write(self._tail, what.encode() + b"\n")
            if stack:
                faulthandler.dump_traceback(self._tail)

    def close(self) -> None:
        """The process ends as it should: nothing is to be known of it."""
        file, self._file = self._file, -1
        tail, self._tail = self._tail, -1
        if file >= 0:
            with suppress(OSError):
                os.close(tail)
                os.close(file)
            if self.path is not None:
                _living.discard(self.path)
                with suppress(OSError):
                    self.path.unlink(missing_ok=True)


def framed(kind: str, *about: object) -> bytes:
    """A frame for `Marks.enter`: what `Death` gives back as a tuple of texts."""
    return b"\x1e".join(
        re.sub(r"[\x00-\x1f]", " ", str(part)).encode("utf-8", "replace") for part in (kind, *about)
    )


def _slot(inside: list[bytes]) -> bytes:
    return b"\x1f".join(inside)[: SLOT - 1] + b"\n"


def write_at(file: int, content: bytes, place: int) -> None:
    if sys.platform == "win32":  # pragma: no cover
        with _writing:
            os.lseek(file, place, os.SEEK_SET)
            os.write(file, content)
    else:
        os.pwrite(file, content, place)


_writing = threading.Lock()
_living: set[Path] = set()  # this process's own: a lock does not keep out who holds it


# --- What a process said of its end ---------------------------------------------------------------


@contextmanager
def told_exits(marks: Marks) -> Iterator[None]:
    """Has the ways in which Python code ends the process at once write down who did it.

    `os._exit` leaves no trace, whoever calls it; nor does a SIGKILL to oneself. A forked child's exit is its own.
    """
    process = os.getpid()
    real_exit, real_kill = os._exit, os.kill

    def told_exit(status: int) -> Any:
        if os.getpid() == process:
            marks.tell(f"os._exit({status}) was called")
        real_exit(status)

    def told_kill(pid: int, number: int) -> None:
        if pid == process == os.getpid() and number == getattr(signal, "SIGKILL", None):
            marks.tell("os.kill ended its own process")
        real_kill(pid, number)

    os._exit, os.kill = told_exit, told_kill
    try:
        yield
    finally:
        os._exit, os.kill = real_exit, real_kill


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended that did not end as it should.

    `said` is its last words ("" where it was killed from outside, or by a power failure), `threads` what each of its
    threads was inside of, those of who ended it alone where that is known; `sources` are the files of the thread that
    ended it, the innermost first. `certain`: it ended by its own doing or for lack of memory, not by somebody's hand.
    """

    command: str
    said: str
    certain: bool
    threads: tuple[tuple[Frame, ...], ...] = ()
    sources: tuple[str, ...] = field(default=())

    @property
    def short(self) -> str:
        """Its last words without what the other threads were doing."""
        current = CURRENT.search(self.said)
        if current is None:
            return self.said
        first = self.said.partition("\n")[0]
        stack = self.said[current.start() :].partition("\n\n")[0].partition("\nThread 0x")[0]
        return f"{first}\n{stack}"


def deaths(folder: Path) -> list[Death]:
    """The processes that died with marks in `folder`; their files are gone then. Living ones are left alone."""
    found = []
    for path in sorted(set(folder.glob("*" + ENDING)) - _living, key=_age):
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            lock(file)
            content = os.read(file, SLOT * SLOTS + TAIL_MAX)
        except OSError:  # it lives, or the disk says no
            continue
        finally:
            os.close(file)
        death = read(content)
        if death is not None:
            found.append(death)
        with suppress(OSError):
            path.unlink()
    return found


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read(content: bytes) -> Death | None:
    """What a file of marks says; None where the system itself was started anew since, or nothing was going on."""
    slots = [content[at : at + SLOT].partition(b"\n")[0] for at in range(0, SLOT * SLOTS, SLOT)]
    try:
        about = json.loads(slots[0])
    except ValueError:
        return None
    if about.get("boot") != boot():
        return None
    said = content[SLOT * SLOTS :].decode("utf-8", "replace").strip("\x00\n")
    said = MODULES.sub("", said).strip("\n")
    killed = about.get("kills")
    starved = killed is not None and (kills() or 0) > killed
    if not said and starved:
        said = "the system ended a process because the memory did not suffice"
    threads = {}
    for slot in slots[1:]:
        thread, *frames = slot.split(b"\x1f")
        if frames:
            named = [tuple(f.decode("utf-8", "replace").split("\x1e")) for f in frames]
            threads[thread.decode("ascii", "replace")] = tuple(named)
    current = CURRENT.search(said)
    sources: tuple[str, ...] = ()
    inside = tuple(threads.values())
    if current:
        stack = said[current.end() :].partition("\n\n")[0].partition("\nThread 0x")[0]
        sources = tuple(LINE.findall(stack))
        guilty = threads.get(current[1])
        if guilty is not None:
            inside = (guilty,)
        elif sources:  # a thread that has no mark: what others were doing is not what ended it
            inside = ()
    if not said and (not inside or about.get("asked")):
        return None
    return Death(str(about.get("command", "")), said, bool(said), inside, sources)


# --- What the system tells ------------------------------------------------------------------------


def boot() -> str:
    """Which start of the system this is, "" where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def kills() -> int | None:
    """How many processes the system has ended for lack of memory since its start; None where it does not tell."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def lock(file: int) -> None:
    """Locks a file of marks for as long as its process lives. `OSError` where another has it."""
    if sys.platform == "win32":  # pragma: no cover
        import msvcrt

        os.lseek(file, 1 << 30, os.SEEK_SET)  # a place that nobody reads
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a forked child does not keep it
