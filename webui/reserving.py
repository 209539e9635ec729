"""A name of its own for every picture of a folder, by however many threads and processes at once.

A name belongs to whoever creates the hidden file that stands for it: `.NNNNN.part` where names are numbered,
`.NAME.part` where they are not. The picture is written there, and gets its name only where no file has it. Knows files
and names; no pictures.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from webui.naming import DIGITS, Facts, Pattern

__all__ = ["FLAGS", "part_of", "publish", "taken"]

FLAGS = os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)  # Windows asks for the last
TRIES = 1000  # reservations of others that are passed over
ENDING = re.compile(r"\.[a-z][a-z0-9]{0,15}$")  # before another one


def taken(
    folder: Path, pattern: Pattern, facts: Facts, earlier: Iterable[str] = ()
) -> tuple[str, Path, int]:
    """A name that is ours now, without its ending; the file that holds it, and its open descriptor.

    `earlier` are names that were given in the folder once, whether their files are still there or not.
    Raises `OSError` where the folder cannot be written.
    """
    earlier = tuple(earlier)
    return (_numbered if pattern.numbered else _named)(folder, pattern, facts, earlier)


def part_of(path: Path, pattern: Pattern) -> Path:
    """The file that holds a name which was taken earlier."""
    number = pattern.number_of(path.name)
    numbered = path.with_name(f".{number or 0:05d}.part")
    known = number is not None and numbered.exists()
    return numbered if known else path.with_name(f".{path.stem}.part")


def publish(part: Path, path: Path) -> None:
    """Gives the file `part` the name `path`. Raises `FileExistsError` where a file has that name: it stays."""
    try:
        os.link(part, path)
    except FileExistsError:
        if not os.path.samefile(part, path):  # a network may answer so to its own repetition
            raise
    except (
        OSError
    ):  # a file system without links: an empty file keeps the name while ours takes its place
        os.close(os.open(path, FLAGS | os.O_EXCL, 0o666))
        try:
            os.replace(part, path)
        except BaseException:
            path.unlink()
            raise
        return
    part.unlink()


def _numbered(
    folder: Path, pattern: Pattern, facts: Facts, earlier: tuple[str, ...]
) -> tuple[str, Path, int]:
    """A number may have been published between our look at the folder and our reservation, so we look
    again; while we hold it, nobody else can publish it."""
    numbers = _numbers(folder, pattern)
    names = {*_names(folder), *earlier}
    numbers += [n for name in earlier if (n := pattern.number_of(name)) is not None]
    number = max([*numbers, *pattern.numbers_like(facts, names)], default=-1) + 1
    stems = _stems(names)
    for _ in range(TRIES + len(stems)):
        stem = pattern.stem(facts, number)
        part = folder / f".{number:05d}.part"
        if _plain(stem) not in stems:
            descriptor = _held(part)
            if descriptor is not None:
                # What had no number at our look is looked at again: it costs nothing then.
                fresh = [name for name in _names(folder) if name not in names or not numbers]
                used = [pattern.number_of(name) for name in fresh]
                used += pattern.numbers_like(facts, fresh)
                if number not in used and _plain(stem) not in _stems(fresh):
                    return stem, part, descriptor
                _let_go(part, descriptor)
        number += 1
    raise OSError(errno.EEXIST, "no free name was found")


def _named(
    folder: Path, pattern: Pattern, facts: Facts, earlier: tuple[str, ...]
) -> tuple[str, Path, int]:
    """The name itself, else with -1, -2, ... behind it."""
    names = {*_names(folder), *earlier}
    plain, stems = pattern.stem(facts), _stems(names)
    for again in range(TRIES + len(stems)):
        stem = f"{plain}-{again}" if again else plain
        part = folder / f".{stem}.part"
        if _plain(stem) not in stems:
            descriptor = _held(part)
            if descriptor is not None:
                fresh = [name for name in _names(folder) if name not in names]
                if _plain(stem) not in _stems(fresh):
                    return stem, part, descriptor
                _let_go(part, descriptor)
    raise OSError(errno.EEXIST, "no free name was found")


def _held(part: Path) -> int | None:
    """The descriptor of a reservation that is ours now; None where it is another's."""
    try:
        return os.open(part, FLAGS | os.O_EXCL, 0o666)
    except FileExistsError:
        return None


def _let_go(part: Path, descriptor: int) -> None:
    os.close(descriptor)
    part.unlink()


def _names(folder: Path) -> list[str]:
    """What lies in a folder and is not hidden: our own reservations are, and they are no names."""
    return [name for name in os.listdir(folder) if not name.startswith(".")]


def _stems(names: Iterable[str]) -> set[str]:
    """Names as they are compared, with any ending and without: of ".tar.gz.txt" each is one."""
    found = set()
    for name in names:
        found |= {_plain(name), _plain(stem := os.path.splitext(name)[0])}
        while ending := ENDING.search(stem):
            found.add(_plain(stem := stem[: ending.start()]))
    return found


def _plain(name: str) -> str:
    """Names are one in any case and however their accents are written, as on Windows and macOS."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _numbers(folder: Path, pattern: Pattern) -> list[int]:
    """The numbers taken in a folder, by pictures and by reservations."""
    held = [name[1:-5] for name in os.listdir(folder) if name[:1] == "." and name[-5:] == ".part"]
    numbers = [int(name) for name in held if re.fullmatch(DIGITS, name)]
    names = _names(folder)
    return numbers + [n for name in names if (n := pattern.number_of(name)) is not None]
