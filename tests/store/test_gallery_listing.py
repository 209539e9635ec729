"""How pictures are listed for searching: in their order, with all that they are filtered by; from an old index, too."""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime

import pytest

from tests.store.pictures import gallery_at, picture
from webui.errors import RequestError
from webui.store.gallery.listing import place_at
from webui.store.gallery.schema import MIGRATIONS
from webui.store.gallery.search_tokens import indexed, query, signs
from webui.types import Search


def names(gallery, owner=None, **asked) -> list[str]:
    return [
        one.name.removesuffix(".png") for one in gallery.search(Search(**asked), owner).pictures
    ]


def listed(gallery) -> list[int]:
    return [row[0] for row in gallery._index.rows("SELECT rowid FROM words ORDER BY rowid")]


def test_places_are_in_the_order_of_time_and_those_of_the_trash_behind():
    chance = random.Random(3)
    moments = [-1e12, -1.0, 0.0, 1.7e9, 1.7e9 + 1e-4, 1e300, float("inf")]
    moments = sorted([*moments, *(chance.uniform(0, 3e9) for _ in range(500))])
    numbers = [place_at(moment) for moment in moments]
    assert numbers == sorted(numbers, reverse=True)
    assert place_at(1.7e9) > place_at(1.7e9 + 1e-4)
    assert max(numbers) < min(place_at(moment, trashed=True) for moment in moments)


@pytest.mark.parametrize("before", [5e-7, 1e-5, 1e-3])
def test_what_is_made_just_before_midnight_is_of_the_day_before(gallery, outputs, before):
    midnight = datetime(2026, 3, 6).timestamp()
    picture(outputs / "late.png", at=midnight - before)
    picture(outputs / "early.png", "other", at=midnight)
    gallery.scan()
    assert names(gallery, from_day="2026-03-06") == ["early"]
    assert names(gallery, to_day="2026-03-05") == ["late"]


def test_days_that_no_clock_knows_are_far_away(gallery, outputs):
    picture(outputs / "a.png", at=0)
    gallery.scan()
    assert names(gallery, from_day="0001-01-01", to_day="9999-12-31") == ["a"]
    assert names(gallery, from_day="9999-12-31") == names(gallery, to_day="0001-01-01") == []


def test_files_of_one_time_have_places_of_their_own_on_their_day(gallery, outputs):
    for number in range(60):
        picture(outputs / f"{number}.png", f"number {number}", at=86400 * 365)
    gallery.scan()
    assert len(set(listed(gallery))) == 60
    day = gallery.facets()["day"][0][0]
    assert gallery.search(Search(from_day=day, to_day=day)).total == 60


def test_a_picture_is_listed_once_whatever_happens_to_it(gallery, outputs):
    for number in range(4):
        picture(outputs / f"{number}.png", f"red {number}", at=1000 + number)
    gallery.scan()
    ids = [one.id for one in gallery.search(Search()).pictures]
    gallery.favour(ids[:2], True)
    gallery.trash(ids[1:3])
    assert names(gallery) == ["3", "0"] and names(gallery, trash=True) == ["2", "1"]
    assert names(gallery, favourites=True) == ["3"]
    assert names(gallery, trash=True, favourites=True, words="red") == ["2"]
    gallery.restore(ids[1:3])
    picture(outputs / "0.png", "blue 0", colour="blue", at=5000)  # is the newest now
    gallery.scan()
    assert names(gallery) == ["0", "3", "2", "1"] and names(gallery, words="red") == ["3", "2", "1"]
    (outputs / "3.png").unlink()
    gallery.scan()
    assert len(listed(gallery)) == 3 and names(gallery, favourites=True) == ["2"]
    gallery.favour(ids[1:2], False)
    assert names(gallery, favourites=True) == []
    gallery.trash([ids[1]])
    gallery.empty_trash()
    assert len(listed(gallery)) == 2
    gallery._index.rows("SELECT count(*) FROM words WHERE words MATCH 'red'")
    with gallery._index.changing() as connection:  # FTS5 checks itself, and raises
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")


def test_filters_are_no_words(gallery, outputs):
    """What a picture is filtered by cannot be found by typing it, and no prompt can pretend to have it."""
    picture(outputs / "a.png", "a cat", model="every")
    gallery.scan()
    (row,) = gallery._index.rows("SELECT marks FROM words")
    for typed in ("every", "favourite", "txt2img", *row["marks"].split()):
        assert names(gallery, words=typed) == [] or not typed.isascii()
    mark = row["marks"].split()[-1]
    assert query(mark) == query(mark[1:]) and mark[0] not in indexed(f"cat {mark}")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("((", ["b", "a"]),
        ("(((", ["a"]),
        ("🐈", ["c"]),
        ("<", ["c"]),
        (":", ["c", "b", "a"]),
        ("_", ["b"]),
        ("(( green", ["b", "a"]),
        ("))", ["b", "a"]),
        (")))", ["a"]),
        ("（（", ["b", "a"]),  # full-width signs are the same
        ("(" * 30, []),
    ],
)
def test_signs_are_found_wherever_they_stand(gallery, outputs, words, found):
    picture(outputs / "a.png", "(((green))) eyes:1.2", at=1)
    picture(outputs / "b.png", "((green_eyes:1.1))", at=2)
    picture(outputs / "c.png", "<lora:one>", negative="🐈", at=3)
    gallery.scan()
    assert names(gallery, words=words) == found


def test_the_signs_of_a_wild_prompt_are_few():
    assert len(signs("(" * 100_000)) == 1
    chance = random.Random(1)
    assert len(signs("".join(chance.choices("!#$%&()*+,-./", k=100_000)))) == 200


def test_the_page_behind_a_place_begins_there(gallery, outputs):
    for number in range(7):
        picture(outputs / f"{number}.png", f"red {number}", at=1000 + number)
    gallery.scan()
    ids = [one.id for one in gallery.search(Search()).pictures]
    gallery.trash(ids[::2])
    for trash, whole in ((False, ["5", "3", "1"]), (True, ["6", "4", "2", "0"])):
        first = gallery.search(Search(trash=trash, limit=2, words="red"))
        rest = gallery.search(Search(trash=trash, limit=2, words="red", after=first.next))
        assert [one.name[0] for one in (*first.pictures, *rest.pictures)] == whole
        assert (first.total, rest.total, rest.next) == (len(whole), len(whole), "")
    with pytest.raises(RequestError, match="after"):
        gallery.search(Search(after="1000.5_7"))  # of an older version


def test_searching_waits_for_nobody_who_writes(gallery, outputs):
    picture(outputs / "a.png", at=1)
    gallery.scan()
    with gallery._index.changing() as connection:
        connection.execute("UPDATE pictures SET model = 'other'")
        assert names(gallery) == ["a"] and gallery.facets()["model"] == [("tiny", 1)]
    assert gallery.facets()["model"] == [("other", 1)]


# --- An index of an earlier version -----------------------------------------------------------------


def old_index(folder, outputs) -> dict[str, int]:
    """Makes the index as version 1 left it: three pictures, of which one is a favourite and one in the trash."""
    gallery = gallery_at(folder)
    for at, (name, prompt) in enumerate((("a", "red ((cat))"), ("b", "red dog"), ("c", "blue"))):
        picture(outputs / f"{name}.png", prompt, negative="dull", at=1000 + at)
    gallery.scan()
    ids = {one.name[0]: one.id for one in gallery.search(Search()).pictures}
    gallery.favour([ids["a"], ids["b"]], True)
    gallery.trash([ids["b"]])
    gallery.close()
    path = folder / "kept" / "gallery.db"
    with sqlite3.connect(path) as db:
        rows = {
            table: db.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
            for table in ("pictures", "texts")
        }
        columns = [row[1] for row in db.execute("PRAGMA table_info(pictures)")]
    db.close()
    path.unlink()
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0])
        kept = [name for name in columns if name != "place"]
        for row in rows["pictures"]:
            values = [value for name, value in zip(columns, row, strict=True) if name != "place"]
            marks = ", ".join("?" * len(kept))
            db.execute(f"INSERT INTO pictures ({', '.join(kept)}) VALUES ({marks})", values)
        for row in rows["texts"]:
            db.execute("INSERT INTO texts VALUES (?, ?, ?, ?)", row)
            db.execute(
                "INSERT INTO words (rowid, prompt, negative_prompt) VALUES (?, ?, ?)", row[:3]
            )
        db.execute("PRAGMA user_version = 1")
    db.close()
    return ids


def test_an_index_of_version_1_keeps_favourites_trash_and_numbers(tmp_path, outputs):
    ids = old_index(tmp_path, outputs)
    gallery = gallery_at(tmp_path)
    assert (tmp_path / "kept" / "gallery.db.version-1").exists()
    assert gallery.get(ids["a"]).favourite  # known by its number before it is listed
    gallery.scan()
    assert names(gallery) == ["c", "a"] and names(gallery, trash=True) == ["b"]
    assert names(gallery, favourites=True) == ["a"] and names(gallery, words="((") == ["a"]
    assert names(gallery, words="dull red") == ["a"] and gallery.get(ids["b"]).favourite
    assert gallery.restore([ids["b"]]) == [ids["b"]]
    assert names(gallery, words="red", favourites=True) == ["b", "a"]
    gallery.close()


def test_what_is_changed_before_it_is_listed_again_is_listed_as_it_is(tmp_path, outputs):
    ids = old_index(tmp_path, outputs)
    gallery = gallery_at(tmp_path)
    assert names(gallery) == []  # the scanner's thread lists them
    gallery.favour([ids["c"]], True)
    gallery.trash([ids["a"]])
    (outputs / "c.png").rename(outputs / "d.png")
    gallery.scan()
    assert names(gallery) == names(gallery, favourites=True) == ["d"]
    assert names(gallery, trash=True) == ["b", "a"] and not gallery._index.list_waiting()
    gallery.close()
