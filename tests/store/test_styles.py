"""Styles in A1111's file: read in every state that people's files are in, written whole, nothing lost."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from webui.errors import EaselError, RequestError
from webui.store.styles import DAMAGED, FILE, Style, StyleBook

QUOTED = (
    "name,prompt,negative_prompt\r\n"
    'Oil,"oil painting of {prompt}, ""thick"" strokes","photo, blurry"\r\n'
    'Verse,"two\nlines",\r\n'
    "Plain,ink\r\n"
)


@pytest.fixture
def book(tmp_path: Path) -> StyleBook:
    return StyleBook(tmp_path)


def write(folder: Path, content: bytes) -> None:
    (folder / FILE).write_bytes(content)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a1111s_file_is_read_with_or_without_a_bom(
    book: StyleBook, tmp_path: Path, start: bytes
) -> None:
    write(tmp_path, start + QUOTED.encode())
    styles = book.read()
    assert styles.damaged == ()
    assert styles.found == (
        Style("Oil", 'oil painting of {prompt}, "thick" strokes', "photo, blurry"),
        Style("Verse", "two\nlines"),
        Style("Plain", "ink"),
    )


def test_a_quotation_mark_inside_words_is_a_letter(book: StyleBook, tmp_path: Path) -> None:
    write(tmp_path, b'name,prompt,negative_prompt\na,5" wide,\nb,"6"" wide, ""so""",x"\nc,ink,\n')
    assert [(s.name, s.prompt) for s in book.read().found] == [
        ("a", '5" wide'),
        ("b", '6" wide, "so"'),
        ("c", "ink"),
    ]


def test_no_file_is_no_styles(book: StyleBook) -> None:
    assert book.read().found == ()


def test_what_is_written_python_s_csv_reads(book: StyleBook, tmp_path: Path) -> None:
    hard = Style("Größe, 1", 'a "b", {prompt}\nc', "ü;\t'")
    book.put(hard.name, hard)
    book.put("second", Style("second", "x"))
    with (tmp_path / FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["Größe, 1", "second"]
    assert (rows[0]["prompt"], rows[0]["negative_prompt"]) == (hard.prompt, hard.negative_prompt)
    assert book.read().found == (hard, Style("second", "x"))
    assert [file.name for file in tmp_path.iterdir()] == [FILE]  # no part is left behind


def test_damaged_lines_are_told_of_and_never_lost(book: StyleBook, tmp_path: Path) -> None:
    lines = [
        b"name,prompt,negative_prompt",
        b"good,ink,",
        b"one,two,three,four",
        b",words without a name,",
        b"latin,caf\xe9,",
        b"good,again,",
        b'open,"never closed,',
        b"last,wash,",
    ]
    write(tmp_path, b"\n".join(lines) + b"\n")
    styles = book.read()
    assert [one.name for one in styles.found] == ["good", "last"]
    assert [(d.line, d.reason) for d in styles.damaged] == [
        (3, "4 columns instead of 3"),
        (4, "it has no name"),
        (5, "it is not UTF-8"),
        (6, "the name 'good' is used above"),
        (7, "a quotation mark is not closed"),
    ]
    book.put("new", Style("new", "chalk"))
    assert (tmp_path / DAMAGED).read_bytes().splitlines() == lines[2:7]
    again = book.read()
    assert again.damaged == () and [s.name for s in again.found] == ["good", "last", "new"]


def test_further_columns_are_kept(book: StyleBook, tmp_path: Path) -> None:
    write(tmp_path, b"name,description,prompt,negative_prompt\nink,like a pen,ink,photo\n")
    book.put("ink", Style("ink", "black ink", "photo"))
    book.put("new", Style("new", "chalk"))
    assert book.read().others == ("description",)
    assert (tmp_path / FILE).read_text().splitlines() == [
        "name,prompt,negative_prompt,description",
        "ink,black ink,photo,like a pen",
        "new,chalk,,",
    ]


def test_a_style_is_changed_in_its_place_renamed_and_brought_back(book: StyleBook) -> None:
    for name in "abc":
        book.put(name, Style(name, name))
    book.put("b", Style("B", "other"))
    assert [s.name for s in book.read().found] == ["a", "B", "c"]
    assert book.delete("a") and not book.delete("a")
    book.put("a", Style("a", "a"), place=0)
    assert [s.name for s in book.read().found] == ["a", "B", "c"]
    with pytest.raises(RequestError, match="called 'c' already"):
        book.put("a", Style("c", "x"))


@pytest.mark.parametrize(
    ("style", "field"),
    [
        (Style("  "), "name"),
        (Style("x" * 201), "name"),
        (Style("a", "x" * 20_001), "prompt"),
        (Style("a", "", "nul\0"), "negative_prompt"),
    ],
)
def test_what_cannot_be_kept_is_refused(book: StyleBook, style: Style, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        book.put(style.name, style)
    assert refused.value.field == field
    assert book.read().found == ()


def test_a_file_that_cannot_be_written_stays_as_it_was(book: StyleBook, tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(EaselError, match="cannot be read"):
        book.put("a", Style("a"))
