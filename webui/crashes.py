"""Who ended the process, over many starts: pictures that are made alone, jobs that fail, extensions that are set aside.

Reads the marks of processes that died (`webui.marks`), keeps the count in a file, and is asked by the engine and by
`plugins`. docs/decisions/0011 says what counts and why.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from webui.marks import Death, Frame, Marks, deaths, framed

__all__ = ["Crashes"]

log = logging.getLogger(__name__)

FILE = "crashes.json"
LAST = "last-crash.txt"  # what the process said that died last
FOLDER = "running"
CERTAIN, UNSURE, ENOUGH = 2, 1, 4  # what a death counts, and what is too much
NUMBERS = {2: "twice", 3: "three times", 4: "four times"}


class Crashes:
    """The marks of this process, and what is known of those before it. Any thread may ask.

    With no folder nothing is marked and nothing is known.
    """

    def __init__(self, folder: Path | None = None, command: str = "") -> None:
        self._folder = folder
        self._command = command
        self._lock = Lock()
        self._frames: dict[tuple[str, str], bytes] = {}
        self._deaths = [] if folder is None else deaths(folder / FOLDER)
        self._known: dict[str, dict[str, Any]] = {} if folder is None else self._read(folder)
        for death in self._deaths:
            self._count(death)
        if self._deaths:
            self._write()
        self.marks = Marks(None if folder is None else folder / FOLDER, command)

    # --- marking ----------------------------------------------------------------------------------

    def enter_pictures(self, *pictures: tuple[str, int, int]) -> None:
        """This thread works on pictures from now on: job, place, and how many replies each has had."""
        self.marks.enter(*(framed("picture", *picture) for picture in pictures))

    def enter_model(self, name: str) -> None:
        """This thread reads a model that nobody has asked for yet."""
        self.marks.enter(framed("model", name))

    def enter_extension(self, name: str, hook: str) -> None:
        """This thread goes into an extension's code."""
        frame = self._frames.get((name, hook))
        if frame is None:
            frame = self._frames[name, hook] = framed("extension", name, hook)
        self.marks.enter(frame)

    def leave(self) -> None:
        """This thread is out of what it entered last."""
        self.marks.leave()

    # --- asking -----------------------------------------------------------------------------------

    def aside(self, sources: Mapping[str, str]) -> dict[str, str]:
        """The extensions that have ended the process too often, with a sentence for each. `sources` are the
        files or folders of all that were found, by name: they tell what died in a thread of an extension's own."""
        with self._lock:
            for death in self._deaths:
                self._by_source(death, sources)
            if self._deaths:
                self._write()
            self._deaths = []
            return {
                name: f"the process ended {often(entry)} while {entry['what']} of it ran; it is set aside until "
                "somebody switches it on"
                for name, entry in self._of("extensions").items()
                if entry["counts"] >= ENOUGH
            }

    def forgive(self, extension: str) -> None:
        """Somebody has switched the extension on: it is tried again."""
        with self._lock:
            if self._of("extensions").pop(extension, None) is not None:
                self._write()

    def picture(self, job: str, index: int) -> str | None:
        """None for a picture that nothing is known of, "" for one that is made alone, else why its job has failed."""
        entry = self._of("pictures").get(f"{job} {index}")
        if entry is None:
            return None
        if entry["counts"] < ENOUGH:
            return ""
        inside = f", inside the extension {entry['what']!r}" if entry["what"] else ""
        return f"the process ended {often(entry)} while this was painted{inside}"

    def model(self, name: str) -> bool:
        """Whether the process has ended while the model was read before anybody asked for it."""
        return name in self._of("models")

    def forget_pictures(self, but: Collection[str]) -> None:
        """Forgets the pictures of all jobs but those that are open."""
        with self._lock:
            known = self._of("pictures")
            gone = [name for name in known if name.partition(" ")[0] not in but]
            for name in gone:
                del known[name]
            if gone:
                self._write()

    def close(self) -> None:
        """The process ends as it should: a server's end forgives what has happened once."""
        if self.marks.path is not None and self._command == "serve":
            with self._lock:
                known = dict(self._known)
                self._known["models"] = {}
                self._known["extensions"] = {
                    name: entry
                    for name, entry in self._of("extensions").items()
                    if entry["counts"] >= ENOUGH
                }
                if self._known != known:
                    self._write()
        self.marks.close()

    # --- counting ---------------------------------------------------------------------------------

    def _count(self, death: Death) -> None:
        inner = [thread for thread in death.threads if thread]
        what = "; ".join(" > ".join(map(spoken, thread)) for thread in inner) or "nothing of ours"
        log.error(
            "the process before this one ended without being asked to; it was at: %s%s",
            what,
            f"\n{death.short}" if death.said else "",
        )
        if self._folder is not None and death.said:
            with suppress(OSError):
                (self._folder / LAST).write_text(f"{what}\n{death.said}\n", encoding="utf-8")
        blamed: dict[tuple[str, str], tuple[int, str, int | None]] = {}  # each once, however often
        for thread in inner:
            guests = [frame for frame in thread if frame[0] == "extension" and len(frame) == 3]
            weight = CERTAIN if death.certain or guests else UNSURE
            for _, name, hook in guests[-1:]:
                blamed["extensions", name] = (weight, hook, None)
            for frame in thread:
                if frame[0] == "picture" and len(frame) == 4:
                    inside = guests[-1][1] if guests else ""
                    blamed["pictures", f"{frame[1]} {frame[2]}"] = (weight, inside, int(frame[3]))
                elif frame[0] == "model" and len(frame) == 2:
                    blamed["models", frame[1]] = (weight, "", None)
        for (kind, name), (weight, inside, at) in blamed.items():
            self._add(kind, name, weight, inside, at)

    def _by_source(self, death: Death, sources: Mapping[str, str]) -> None:
        """Blames the extension whose file the dying thread was in, where no mark of one says so."""
        if any(frame[0] == "extension" for thread in death.threads for frame in thread):
            return
        for file in death.sources:
            for name, source in sources.items():
                if file == source or file.startswith(source + os.sep):
                    self._add("extensions", name, CERTAIN, f"code ({Path(file).name})")
                    log.error("it was the extension %r: %s", name, file)
                    for thread in death.threads:
                        for frame in thread:
                            if frame[0] == "picture" and len(frame) == 4:
                                entry = self._of("pictures").get(f"{frame[1]} {frame[2]}")
                                if entry is not None:
                                    entry["what"] = name
                    return

    def _add(self, kind: str, name: str, weight: int, what: str, at: int | None = None) -> None:
        entry = self._of(kind).get(name)
        went_on = entry is not None and at is not None and at > entry.get("at", -1)
        if entry is None or went_on:  # a picture that came further is not what ends the process
            entry = self._of(kind)[name] = {"counts": 0, "times": 0}
        entry["counts"] += weight
        entry["times"] += 1
        entry["what"] = what or entry.get("what", "")
        if at is not None:
            entry["at"] = at

    def _of(self, kind: str) -> dict[str, Any]:
        return self._known.setdefault(kind, {})

    # --- the file ---------------------------------------------------------------------------------

    def _read(self, folder: Path) -> dict[str, dict[str, Any]]:
        try:
            known = json.loads((folder / FILE).read_text(encoding="utf-8"))
            assert isinstance(known, dict)
            for kind in ("pictures", "extensions", "models"):
                for entry in known.setdefault(kind, {}).values():
                    int(entry["counts"]), int(entry["times"]), str(entry["what"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as fault:
            log.warning("%s cannot be read (%s): it is begun anew", folder / FILE, fault)
            return {}
        return known

    def _write(self) -> None:
        if self._folder is None:
            return
        path = self._folder / FILE
        part = path.with_name(f"{FILE}.{os.getpid()}.part")
        try:
            part.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
            part.replace(path)
        except OSError as fault:
            log.warning("%s cannot be written: %s", path, fault.strerror)


def often(entry: Mapping[str, Any]) -> str:
    times = int(entry["times"])
    return NUMBERS.get(times, f"{times} times")


def spoken(frame: Frame) -> str:
    """A frame in words, for the log."""
    match frame:
        case ("picture", job, index, replies):
            return f"job {job}, picture {index}, after {replies} replies"
        case ("extension", name, hook):
            return f"extension {name!r}, {hook}"
        case ("model", name):
            return f"the model {name}, read ahead"
    return " ".join(frame)
