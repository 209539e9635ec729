"""Styles in A1111's file: read in every state that people's files are in, written whole, nothing lost."""

from __future__ import annotations

import csv
import os
import random
import time
from pathlib import Path

import pytest

from webui.errors import EaselError, RequestError
from webui.store.style_tables import compose, parse
from webui.store.styles import DAMAGED, FILE, Style, StyleBook, Styles
from webui.texts import BLANKS

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


# --- Files of other programs and hands ------------------------------------------------------------

INK = Style("Ink", "{prompt}, ink", "bad")


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ('Name,Prompt,Negative_Prompt\nInk,"{prompt}, ink",bad\n', ()),
        ('name,prompt,negative prompt\nInk,"{prompt}, ink",bad\n', ()),
        ('NEGATIVE-PROMPT,NAME,Text\nbad,Ink,"{prompt}, ink"\n', ()),
        ('"Prompt","Negative Prompt","Name"\n"{prompt}, ink","bad","Ink"\n', ()),
        ("name;prompt;negative_prompt\nInk;{prompt}, ink;bad\n", ()),
        ('"name";"prompt";"negative_prompt"\n"Ink";"{prompt}, ink";"bad"\n', ()),
        ("name\tprompt\tnegative_prompt\r\nInk\t{prompt}, ink\tbad\r\n", ()),
        ('sep=,\nname,prompt,negative_prompt\nInk,"{prompt}, ink",bad\n', ()),
        ("SEP=;\r\nname;prompt;negative_prompt\r\nInk;{prompt}, ink;bad\r\n", ()),
        ('# mine, all mine\n\n#\nname,prompt,negative_prompt\nInk,"{prompt}, ink",bad', ()),
        ('name,prompt,negative_prompt\rInk,"{prompt}, ink",bad\r', ()),
        ('name,prompt,negative_prompt,,\nInk,"{prompt}, ink",bad,,,,\n', ("", "")),
        ('extra, name ,wildcards,prompt,negative_prompt\n1,Ink,2,"{prompt}, ink",bad', ("extra", "wildcards")),
        ('name, prompt, negative_prompt\nInk, "{prompt}, ink",bad\n', ()),
        ("Name;Prompt;Negativer Prompt\nInk;{prompt}, ink;bad\n", ()),
        ('name,"Prompt négatif",prompt\nInk,bad,"{prompt}, ink"\n', ()),
        ('\ufeff"name",prompt,negative_prompt\nInk,"{prompt}, ink",bad\n', ()),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_any_header_is_understood(
    book: StyleBook, tmp_path: Path, text: str, others: tuple[str, ...], encoding: str
) -> None:
    write(tmp_path, text.encode(encoding))
    styles = book.read()
    assert styles.damaged == () and styles.others == others
    assert [(s.name, s.prompt, s.negative_prompt) for s in styles.found] == [
        ("Ink", "{prompt}, ink", "bad")
    ]
    book.put("Pen", Style("Pen", "pen; sharp, black"))
    again = book.read()
    assert again.found == (
        *styles.found,
        Style("Pen", "pen; sharp, black", "", ("",) * len(others)),
    )
    assert (again.separator, again.before) == (styles.separator, styles.before)
    assert not (tmp_path / DAMAGED).exists()


@pytest.mark.parametrize(
    "text",
    ["Ink,black ink,photo\nOil,thick,\n", "colour,words\nred,x\n", '{"name": "Ink"}', "a\n\0\xff"],
)
def test_a_file_that_names_no_columns_is_told_and_put_aside_whole(
    book: StyleBook, tmp_path: Path, text: str
) -> None:
    content = text.encode("latin-1")
    write(tmp_path, content)
    styles = book.read()
    assert styles.found == ()
    assert [(d.line, d.reason.partition(":")[0]) for d in styles.damaged] == [
        (1, "no column is called name")
    ]
    book.put("Ink", INK)
    assert (tmp_path / DAMAGED).read_bytes().strip() == content.strip()
    assert book.read() == Styles((INK,))


def test_a_second_header_is_no_style(book: StyleBook, tmp_path: Path) -> None:
    write(tmp_path, b"name,prompt,negative_prompt\na,ink,\nname,prompt,negative_prompt\nb,oil,\n")
    styles = book.read()
    assert [one.name for one in styles.found] == ["a", "b"]
    assert [(d.line, d.reason) for d in styles.damaged] == [(3, "it names the columns again")]


def test_a_cell_that_is_too_long_is_a_damaged_line(book: StyleBook, tmp_path: Path) -> None:
    rows = ["name,prompt,negative_prompt", "a,ink,", "b," + "x" * 140_000 + ",", "c,oil,"]
    write(tmp_path, "\n".join(rows).encode())
    styles = book.read()
    assert [one.name for one in styles.found] == ["a", "c"]
    assert [(d.line, d.reason) for d in styles.damaged] == [
        (3, "a cell has more than 131,072 characters")
    ]
    assert book.delete("a")
    assert (tmp_path / DAMAGED).read_text() == rows[2] + "\n"


def test_every_style_is_read_back_as_it_was_saved() -> None:
    random_ = random.Random(7)
    letters = "ab \",;\t\n\r|'#={}\\\u2028\u2029\x85\x0b\x0c\ufeff\u200bü猫"

    def words(most: int) -> str:
        return "".join(random_.choices(letters, k=random_.randrange(most)))

    for _ in range(500):
        others = tuple(f"{words(5)}x".strip(BLANKS) for _ in range(random_.randrange(3)))
        made = [
            Style(f"{i}{words(9)}x", words(12), words(12), tuple(words(6) for _ in others))
            for i in range(3)
        ]
        before, separator = random_.choice(["", "# one\n", "\r\n"]), random_.choice(",;\t|")
        styles = Styles(tuple(made), (), others, separator, before)
        assert parse(compose(styles)) == styles


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\r", "\n", "\r\n"])
def test_no_sign_inside_of_words_ends_a_style(book: StyleBook, sign: str) -> None:
    style = Style("a", f"ink{sign}b, c{sign}", f"{sign}x")
    book.put("a", style)
    assert book.read() == Styles((style,))


def test_what_another_program_writes_meanwhile_is_kept(
    book: StyleBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.put("a", Style("a", "ink"))
    wrote = []

    def fsync(file: int) -> None:
        if not wrote:
            wrote.append(file)
            write(tmp_path, b"name,prompt,negative_prompt\na,ink,\nb,oil,\n")

    monkeypatch.setattr(os, "fsync", fsync)
    book.put("c", Style("c", "chalk"))
    assert [one.name for one in book.read().found] == ["a", "b", "c"]


def test_a_link_to_another_studios_file_stays_one(book: StyleBook, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / FILE
    theirs.parent.mkdir()
    theirs.write_text("name,prompt,negative_prompt\n")
    (tmp_path / FILE).symlink_to(theirs)
    book.put("Ink", INK)
    assert (tmp_path / FILE).is_symlink() and parse(theirs.read_text()).found == (INK,)


def test_reading_takes_time_as_the_file_is_long() -> None:
    """Each line is looked at once, whatever its quotation marks; with a look at all lines for each, minutes."""

    def cost(begin: str, unit: str, lines: int) -> float:
        text = begin + unit * lines
        start = time.process_time()
        parse(text)
        return time.process_time() - start

    for unit in ('a"b,"c\n', '"', 'a,"b\n', ',  "'):
        for begin in ("name,prompt\n", ""):
            short = min(cost(begin, unit, 5_000) for _ in range(3))
            assert min(cost(begin, unit, 20_000) for _ in range(2)) < 10 * short + 0.02, unit


def test_a_file_that_cannot_be_written_stays_as_it_was(book: StyleBook, tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(EaselError, match="cannot be read"):
        book.put("a", Style("a"))
