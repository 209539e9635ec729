"""The text of a `styles.csv`, read in every state that people's files are in, and written again.

The columns are A1111's `name,prompt,negative_prompt`, in any order and spelling, between commas, semicolons or tabs.
What stands before them (Excel's `sep=;`, remarks that begin with `#`) and further columns are kept. Knows no files.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from webui.texts import BLANKS

__all__ = ["COLUMNS", "Damaged", "Style", "Styles", "bare", "compose", "parse"]

COLUMNS = ("name", "prompt", "negative_prompt")
# What else the columns are called: A1111's oldest files say "text", people what they like. Folded as `_folded` does.
ALSO = {
    "text": "prompt",
    "positive": "prompt",
    "positiveprompt": "prompt",
    "negative": "negative_prompt",
    "negprompt": "negative_prompt",
    "negativeprompt": "negative_prompt",
    "stylename": "name",
}
SEPARATORS = (",", ";", "\t", "|")
CELL_MAX = 131_072  # characters; more, other programs do not read
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")  # not str.splitlines: U+2028 and its like are words
END = re.compile(r"(?:\r\n|\r|\n)\Z")
NO_HEADER = (
    f"no column is called name: begin the file with the line {','.join(COLUMNS)}; "
    "a style that is saved here moves these lines to styles.damaged.csv"
)


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
    """What a file holds. `others` are the names of its further columns, `separator` stands between cells, and `before`
    are the lines above the columns' names, as they stand there."""

    found: tuple[Style, ...] = ()
    damaged: tuple[Damaged, ...] = ()
    others: tuple[str, ...] = ()
    separator: str = ","
    before: str = ""


@dataclass(frozen=True, slots=True)
class _Header:
    """Where the columns are: that of each of `COLUMNS`, None for one that is missing, and all the others."""

    places: tuple[int | None, ...]
    others: tuple[int, ...]
    names: tuple[str, ...]


# --- Reading --------------------------------------------------------------------------------------


def parse(text: str) -> Styles:
    """The styles in the text of a CSV file. Raises nothing: what is damaged is in `Styles.damaged`; all of the text
    where no line names the columns, for nobody can say which words are which."""
    lines = [line for line in LINE.findall(text) if line]
    at, hint = 0, ""
    while at < len(lines) and _is_before(lines[at]):
        found = re.match(r"\W*sep=(.)", lines[at], re.IGNORECASE)
        hint = found[1] if found else hint
        at += 1
    before = "".join(lines[:at])
    if at == len(lines):
        return Styles(before=before)
    for separator in sorted(SEPARATORS, key=lambda one: one != hint):
        end, cells = next(_records(lines[at:], separator))[1:3]
        header = _header(cells or ())
        if header is not None:
            break
    else:
        return Styles(damaged=(Damaged(at + 1, "".join(lines[at:]), NO_HEADER),), before=before)
    found_styles: dict[str, Style] = {}
    damaged: list[Damaged] = []
    begin = at + end
    for start, stop, row in _records(lines[begin:], separator):
        raw = "".join(lines[begin + start : begin + stop]).rstrip("\r\n")
        style = None if row is None else _style(row, header)
        reason = _fault(raw, row, style, header, found_styles)
        if reason:
            damaged.append(Damaged(begin + start + 1, raw, reason))
        elif style is not None:
            found_styles[style.name] = style
    others = tuple(header.names[place] for place in header.others)
    return Styles(tuple(found_styles.values()), tuple(damaged), others, separator, before)


def bare(name: str) -> str:
    """A name without what stands around it unseen."""
    return name.strip(BLANKS)


def _is_before(line: str) -> bool:
    """Whether a line at the start of a file is none of the table's."""
    plain = bare(bare(line).strip('"'))
    return (
        not plain or plain.startswith("#") or re.match(r"sep=.?$", plain, re.IGNORECASE) is not None
    )


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _header(cells: Sequence[str]) -> _Header | None:
    """Where the columns are, by their names in the first line; None where none is called name."""
    names = tuple(map(bare, cells))
    meant = [_folded(name) for name in names]
    places: list[int | None] = []
    for column in COLUMNS:
        plain = _folded(column)
        exact = [i for i, name in enumerate(meant) if name == plain]
        also = [i for i, name in enumerate(meant) if ALSO.get(name) == column]
        if column == "negative_prompt":  # in many a language: "Negativer Prompt", "Prompt négatif"
            also += [i for i, name in enumerate(meant) if re.search(r"n[eé]gat", name)]
        places.append(next(iter(exact + also), None))
    if places[0] is None:
        return None
    others = tuple(i for i in range(len(names)) if i not in places)
    return _Header(tuple(places), others, names)


def _style(row: Sequence[str], header: _Header) -> Style:
    def cell(place: int | None) -> str:
        return row[place] if place is not None and place < len(row) else ""

    name, prompt, negative = map(cell, header.places)
    return Style(bare(name), prompt, negative, tuple(map(cell, header.others)))


def _fault(
    raw: str,
    row: Sequence[str] | None,
    style: Style | None,
    header: _Header,
    known: dict[str, Style],
) -> str:
    """Why a record is no style, or ""."""
    if any("\udc80" <= c <= "\udcff" for c in raw):
        return "it is not UTF-8"
    if "\0" in raw:
        return "it holds a NUL"
    if row is None or style is None:
        return "a quotation mark is not closed"
    if any(len(cell) > CELL_MAX for cell in row):
        return f"a cell has more than {CELL_MAX:,} characters"
    if any(row[len(header.names) :]):
        return f"{len(row)} columns instead of {len(header.names)}"
    if not style.name:
        return "it has no name"
    if tuple(map(bare, row)) == header.names and len(row) > 1:
        return "it names the columns again"
    if style.name in known:
        return f"the name {style.name!r} is used above"
    return ""


@dataclass(frozen=True, slots=True)
class _Grammar:
    """What opens, closes and makes a cell between separators. A quotation mark opens a cell at its start only, blanks
    before it do not count: in `5" wide` it is a letter. What follows the closing one belongs to the cell."""

    opens_line: re.Pattern[str]
    opens: re.Pattern[str]
    closes: re.Pattern[str]
    cell: re.Pattern[str]


@cache
def _grammar(separator: str) -> _Grammar:
    mark, rest = re.escape(separator), f"[^{re.escape(separator)}]*+"
    return _Grammar(
        re.compile(' *+"'),
        re.compile(f'{mark} *+"'),
        re.compile(rf'(?:[^"]|"")*+"{rest}'),
        re.compile(rf' *+"((?:[^"]|"")*+)"({rest})|({rest})'),
    )


def _records(lines: Sequence[str], separator: str) -> Iterator[tuple[int, int, list[str] | None]]:
    """(first line, line after it, cells) of each record that is not blank; None for the cells of a line whose quotation
    mark is never closed. Reading goes on in the line after it."""
    grammar = _grammar(separator)
    closing = [i for i, line in enumerate(lines) if '"' in line and not _open(line, grammar, True)]
    at = 0
    while at < len(lines):
        end = at + 1
        if _open(lines[at], grammar, False):
            later = bisect_left(closing, end)
            if later == len(closing):
                yield at, end, None
                at = end
                continue
            end = closing[later] + 1
        raw = END.sub("", "".join(lines[at:end]))
        if bare(raw):
            yield at, end, _cells(raw, grammar)
        at = end


def _cells(raw: str, grammar: _Grammar) -> list[str]:
    cells, at = [], 0
    while True:
        found = grammar.cell.match(raw, at)
        assert found is not None, "the second kind of cell may be empty"
        if found[1] is None:
            cells.append(found[3])
        else:
            cells.append(found[1].replace('""', '"') + (found[2] if found[2].strip() else ""))
        if found.end() == len(raw):
            return cells
        at = found.end() + 1  # a separator is one character


def _open(line: str, grammar: _Grammar, inside: bool) -> bool:
    """Whether a quoted cell goes on after `line`, when one did before it."""
    opened = None if inside else grammar.opens_line.match(line) or grammar.opens.search(line)
    at = opened.end() if opened else 0
    while inside or opened:
        closed = grammar.closes.match(line, at)
        if closed is None:
            return True
        inside, opened = False, grammar.opens.search(line, closed.end())
        at = opened.end() if opened else 0
    return False


# --- Writing --------------------------------------------------------------------------------------


def compose(styles: Styles) -> str:
    """The text of a file with these styles, which `parse` reads back as they are."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, delimiter=styles.separator)
    rows.writerow((*COLUMNS, *styles.others))
    blank = ("",) * len(styles.others)
    for one in styles.found:
        rows.writerow((one.name, one.prompt, one.negative_prompt, *(one.others or blank)))
    before = styles.before
    if before and not before.endswith(("\r", "\n")):
        before += "\r\n"
    return before + text.getvalue()
