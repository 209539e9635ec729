"""Styles: words to merge into a prompt, in `styles.csv` of the data folder, in A1111's format.

The columns are `name,prompt,negative_prompt`; others that a file has are kept. A line that cannot be read is told
of (`Damaged`) and, when the file is next written, moved to `styles.damaged.csv`: nothing is lost.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from webui.errors import EaselError, RequestError

__all__ = ["DAMAGED", "FILE", "Damaged", "Style", "StyleBook", "Styles"]

FILE = "styles.csv"
DAMAGED = "styles.damaged.csv"
COLUMNS = ("name", "prompt", "negative_prompt")
FORMER = {"text": "prompt"}  # a column's name in A1111's oldest files
NAME_MAX, WORDS_MAX, STYLES_MAX = 200, 20_000, 10_000


@dataclass(frozen=True, slots=True)
class Style:
    """Words under a name. `others` are the file's further columns, in its order."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Damaged:
    """What could not be read: where it begins (the first line is 1), as it stands there, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Styles:
    """What a file holds; `others` are the names of its further columns."""

    found: tuple[Style, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    others: tuple[str, ...] = ()


# --- Reading --------------------------------------------------------------------------------------


def parse(text: str) -> Styles:
    """The styles in the text of a CSV file. Raises nothing: what is damaged is in `Styles.damaged`."""
    records = list(_records(text))
    header: tuple[str, ...] = COLUMNS
    if records and records[0][2] and records[0][2][0].strip().lower() == "name":
        header = tuple(FORMER.get(c.strip().lower(), c.strip()) for c in records.pop(0)[2] or ())
    others = tuple(column for column in header if column not in COLUMNS)
    found: dict[str, Style] = {}
    damaged: list[Damaged] = []
    for line, raw, cells in records:
        reason = _fault(cells, header, raw, found)
        if reason:
            damaged.append(Damaged(line, raw, reason))
        elif cells:
            given = dict(zip(header, [*cells, *[""] * len(header)], strict=False))
            style = Style(
                given["name"].strip(),
                given.get("prompt", ""),
                given.get("negative_prompt", ""),
                tuple(given[column] for column in others),
            )
            found[style.name] = style
    return Styles(tuple(found.values()), tuple(damaged), others)


def _fault(
    cells: Sequence[str] | None, header: Sequence[str], raw: str, known: dict[str, Style]
) -> str:
    """Why a record is no style, or ""."""
    if any("\udc80" <= c <= "\udcff" for c in raw):
        return "it is not UTF-8"
    if "\0" in raw:
        return "it holds a NUL"
    if cells is None:
        return "a quotation mark is not closed"
    if not cells:
        return ""
    if len(cells) > len(header):
        return f"{len(cells)} columns instead of {len(header)}"
    if not cells[0].strip():
        return "it has no name"
    if cells[0].strip() in known:
        return f"the name {cells[0].strip()!r} is used above"
    return ""


def _records(text: str) -> Iterator[tuple[int, str, list[str] | None]]:
    """(line, text, cells) of each record; None for the cells of a line whose quotation mark is never closed.
    Reading goes on in the line after it."""
    lines = text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        end, cells = _record(lines, at)
        raw = "".join(lines[at:end])
        if raw.strip():
            yield at + 1, raw.rstrip("\r\n"), cells
        at = end


def _record(lines: Sequence[str], at: int) -> tuple[int, list[str] | None]:
    """The record that begins in line `at`: the line after it, and its cells."""
    inside = False
    for end in range(at + 1, len(lines) + 1):
        inside = _inside_quotes(lines[end - 1], inside)
        if not inside:
            cells = next(csv.reader(io.StringIO("".join(lines[at:end]), newline="")), [])
            return end, cells
    return at + 1, None


def _inside_quotes(line: str, inside: bool) -> bool:
    """Whether a quoted cell goes on after `line`, when one did before it. A quotation mark opens a cell at its start
    only: in `5" wide` it is a letter like others."""
    begins = not inside
    for char in line:
        if inside:
            inside = char != '"'  # of a doubled one, the second opens again
            begins = not inside
        elif char == '"':
            inside = begins
        else:
            begins = char == ","
    return inside


# --- The file -------------------------------------------------------------------------------------


class StyleBook:
    """The styles of a data folder. Every look reads the file: somebody may have edited it by hand."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._damaged = data_dir / DAMAGED
        self._lock = threading.Lock()

    def read(self) -> Styles:
        """What the file says now; nothing where there is none. Raises `EaselError` where it cannot be read."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return Styles()
        except OSError as error:
            raise EaselError(f"{FILE} cannot be read: {error.strerror}") from None
        return parse(content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))

    def put(self, former: str, style: Style, place: int | None = None) -> Style:
        """Writes a style in the place of the one called `former`; a new one goes to the end, or to
        `place`. Raises `RequestError` for a name or words that cannot be kept."""
        style = replace(style, name=style.name.strip())
        _check(style)
        with self._lock:
            styles = self.read()
            names = [one.name for one in styles.found]
            if style.name != former and style.name in names:
                raise RequestError(f"there is a style called {style.name!r} already", "name")
            found = list(styles.found)
            if former in names:
                at = names.index(former)
                found[at] = style = replace(style, others=found[at].others)
            elif len(found) >= STYLES_MAX:
                raise RequestError(f"{FILE} holds {STYLES_MAX} styles; delete some", "name")
            else:
                found.insert(len(found) if place is None else max(0, place), style)
            self._write(replace(styles, found=tuple(found)))
        return style

    def delete(self, name: str) -> bool:
        """Deletes a style; False where there was none of that name."""
        with self._lock:
            styles = self.read()
            found = tuple(one for one in styles.found if one.name != name)
            if len(found) == len(styles.found):
                return False
            self._write(replace(styles, found=found))
        return True

    def _write(self, styles: Styles) -> None:
        """Replaces the file, wholly or not at all; what was damaged is put aside first."""
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        rows.writerow((*COLUMNS, *styles.others))
        blank = ("",) * len(styles.others)
        for one in styles.found:
            rows.writerow((one.name, one.prompt, one.negative_prompt, *(one.others or blank)))
        part = self._path.with_name(f"{FILE}.{os.getpid()}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if styles.damaged:
                with self._damaged.open("ab") as aside:
                    for line in styles.damaged:
                        aside.write(line.text.encode("utf-8", "surrogateescape") + b"\n")
                    aside.flush()
                    os.fsync(aside.fileno())
            with part.open("wb") as file:
                file.write(text.getvalue().encode("utf-8"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise EaselError(f"{FILE} cannot be written: {error.strerror}") from None


def _check(style: Style) -> None:
    if not style.name:
        raise RequestError("give the style a name", "name")
    if len(style.name) > NAME_MAX:
        raise RequestError(f"name: use at most {NAME_MAX} characters", "name")
    for field in COLUMNS:
        words = getattr(style, field)
        if len(words) > WORDS_MAX:
            raise RequestError(f"{field}: use at most {WORDS_MAX} characters", field)
        if any((ord(c) < 32 and c not in "\t\n\r") or 0xD800 <= ord(c) <= 0xDFFF for c in words):
            raise RequestError(f"{field}: it holds a character that no text has", field)
