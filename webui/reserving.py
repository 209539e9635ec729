"""A name of its own for every picture of a folder, by however many threads and processes at once.

A name belongs to whoever creates the hidden file that stands for it: `.NNNNN.part` where names are numbered,
`.NAME.part` where they are not. The picture is written there and renamed into its place. Knows files
and names; no pictures.
"""

from __future__ import annotations

import os
from pathlib import Path

from webui.naming import Facts, Pattern

__all__ = ["FLAGS", "part_of", "taken"]

FLAGS = os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0)  # Windows asks for the last


def taken(folder: Path, pattern: Pattern, facts: Facts) -> tuple[str, Path, int]:
    """A name that is ours now, without its ending; the file that holds it, and its open descriptor.

    Raises `OSError` where the folder cannot be written.
    """
    return (_numbered if pattern.numbered else _named)(folder, pattern, facts)


def part_of(path: Path, pattern: Pattern) -> Path:
    """The file that holds a name which was taken earlier."""
    number = pattern.number_of(path.name)
    return path.with_name(f".{path.stem}.part" if number is None else f".{number:05d}.part")


def _numbered(folder: Path, pattern: Pattern, facts: Facts) -> tuple[str, Path, int]:
    """A number may have been published between our look at the folder and our reservation, so we look
    again; while we hold it, nobody else can publish it."""
    number = max(_numbers(folder, pattern), default=-1) + 1
    while True:
        part = folder / f".{number:05d}.part"
        try:
            descriptor = os.open(part, FLAGS | os.O_EXCL, 0o666)
        except FileExistsError:
            number += 1
            continue
        if not any(pattern.number_of(name) == number for name in os.listdir(folder)):
            return pattern.stem(facts, number), part, descriptor
        os.close(descriptor)
        part.unlink()
        number += 1


def _named(folder: Path, pattern: Pattern, facts: Facts) -> tuple[str, Path, int]:
    """The name itself, else with -1, -2, ... behind it. Names are one in any case, as on Windows and macOS."""
    plain, again = pattern.stem(facts), 0
    while True:
        stem = f"{plain}-{again}" if again else plain
        part = folder / f".{stem}.part"
        again += 1
        try:
            descriptor = os.open(part, FLAGS | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        if stem.casefold() not in {Path(name).stem.casefold() for name in os.listdir(folder)}:
            return stem, part, descriptor
        os.close(descriptor)
        part.unlink()


def _numbers(folder: Path, pattern: Pattern) -> list[int]:
    """The numbers taken in a folder, by pictures and by reservations."""
    names = os.listdir(folder)
    held = [name[1:-5] for name in names if name.startswith(".") and name.endswith(".part")]
    numbers = [int(name) for name in held if name.isascii() and name.isdigit()]
    return numbers + [n for name in names if (n := pattern.number_of(name)) is not None]
